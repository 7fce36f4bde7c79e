/**
 * Every operating error of both programs, in one table: the code is the identity, all else hangs on it.
 *
 * `retriable`: the same request may succeed later, unchanged.
 * `wire`: Kafka's error code (org.apache.kafka.common.protocol.Errors), for answers over the Kafka protocol.
 * `meaning` and `hint` are what an operator reads; docs/errors.md is generated from them (`npm run docs`).
 */
type ErrorRow = { readonly retriable: boolean; readonly wire: number; readonly meaning: string; readonly hint: string };

export const errorTable = {
  // Configuration and start-up
  CONFIG_INVALID: {
    retriable: false,
    wire: 40,
    meaning: "The configuration has mistakes.",
    hint: "Every mistake is listed; `tributary check` shows each value and where it came from.",
  },
  LISTENER_NOT_PROTECTED: {
    retriable: false,
    wire: 29,
    meaning: "A listener on an address other than loopback has no authentication.",
    hint: "Bind it to 127.0.0.1, configure authentication, or set `insecure: true` if the network itself is trusted.",
  },
  PORT_IN_USE: {
    retriable: true,
    wire: -1,
    meaning: "Another program listens on the address.",
    hint: "Stop the other program, or choose another port; port 0 takes any free one.",
  },
  CERTIFICATE_INVALID: {
    retriable: false,
    wire: -1,
    meaning: "A TLS certificate or its key cannot be used.",
    hint: "The message says what is wrong with which file; the key must be readable by the hub's user alone.",
  },
  // The log
  LOG_LOCKED: {
    retriable: true,
    wire: 56,
    meaning: "Another process has the data directory open.",
    hint: "Only one agent or hub may use a data directory. Stop the other one or give this one its own --data.",
  },
  LOG_FULL: {
    retriable: true,
    wire: 56,
    meaning: "The log cannot take more data: its byte cap or the disk is full.",
    hint: "Free disk space, raise the cap, or shorten retention.",
  },
  LOG_IO: {
    retriable: false,
    wire: 56,
    meaning: "The disk failed a read, a write or a flush; nothing that was not flushed is acknowledged.",
    hint: "Look at the kernel log. The program stops, so that the supervisor restarts it and it verifies its log.",
  },
  LOG_NOT_DURABLE: {
    retriable: false,
    wire: 56,
    meaning:
      "SQLite did not accept PRAGMA synchronous=FULL, without which an acknowledgement would be an empty promise.",
    hint: "Report this with the platform and the version of better-sqlite3; there is no safe setting to work around it.",
  },
  LOG_VERSION: {
    retriable: false,
    wire: 56,
    meaning: "The data directory was written by a newer version.",
    hint: "Start the version that wrote it, or a newer one.",
  },
  CLOSING: {
    retriable: true,
    wire: 15,
    meaning: "The program is stopping.",
    hint: "Try again after the restart.",
  },
  // Batches and records
  CORRUPT_RECORD: {
    retriable: true,
    wire: 2,
    meaning: "A record batch fails its CRC or its lengths do not add up.",
    hint: "The sender must send it again; if it happens often, suspect memory, disk or a proxy on the path.",
  },
  INVALID_RECORD: {
    retriable: false,
    wire: 87,
    meaning: "A record batch breaks a rule of the format.",
    hint: "One batch a partition and request, format v2, no control batches, as many records as the header says.",
  },
  INVALID_TIMESTAMP: {
    retriable: false,
    wire: 32,
    meaning: "A record's timestamp is out of the range the topic accepts.",
    hint: "Correct the producer's clock.",
  },
  MESSAGE_TOO_LARGE: {
    retriable: false,
    wire: 10,
    meaning: "A message or batch is larger than the limit.",
    hint: "Send less at once, or raise the limit that the message names.",
  },
  UNSUPPORTED_COMPRESSION_TYPE: {
    retriable: false,
    wire: 76,
    meaning: "The batch names a compression codec that does not exist or cannot be used here.",
    hint: "Use none, gzip, snappy, lz4 or zstd.",
  },
  OUT_OF_ORDER_SEQUENCE_NUMBER: {
    retriable: false,
    wire: 45,
    meaning: "A producer's sequence does not continue what the partition holds.",
    hint: "An agent mends this by itself with its next connection; a Kafka producer starts a new epoch.",
  },
  INVALID_PRODUCER_EPOCH: {
    retriable: false,
    wire: 47,
    meaning: "A producer of an older epoch tried to write.",
    hint: "A newer instance of the same producer has taken over; stop the old one.",
  },
  // Topics, partitions, offsets
  UNKNOWN_TOPIC_OR_PARTITION: {
    retriable: true,
    wire: 3,
    meaning: "The topic or partition does not exist.",
    hint: "`tributary topics list` shows what exists; `tributary topics create NAME` makes one.",
  },
  TOPIC_ALREADY_EXISTS: {
    retriable: false,
    wire: 36,
    meaning: "A topic of this name exists.",
    hint: "Use it, delete it first, or choose another name.",
  },
  INVALID_TOPIC: {
    retriable: false,
    wire: 17,
    meaning: "The topic name is not allowed.",
    hint: "1 to 249 characters of A-Z a-z 0-9 . _ - and not '.' or '..'.",
  },
  INVALID_PARTITIONS: {
    retriable: false,
    wire: 37,
    meaning: "The number of partitions is not allowed.",
    hint: "At least 1; an existing topic can only grow.",
  },
  INVALID_REPLICATION_FACTOR: {
    retriable: false,
    wire: 38,
    meaning: "The replication factor is not allowed.",
    hint: "One hub keeps one replica: use 1 or -1.",
  },
  INVALID_REPLICA_ASSIGNMENT: {
    retriable: false,
    wire: 39,
    meaning: "The replica assignment is not possible.",
    hint: "One hub is one broker with id 1: leave the assignment out.",
  },
  INVALID_CONFIG: {
    retriable: false,
    wire: 40,
    meaning: "A topic configuration key or value is not allowed.",
    hint: "`tributary topics describe NAME` lists the keys.",
  },
  POLICY_VIOLATION: {
    retriable: false,
    wire: 44,
    meaning: "A limit of the hub does not allow this.",
    hint: "The message names the limit.",
  },
  OFFSET_OUT_OF_RANGE: {
    retriable: false,
    wire: 1,
    meaning: "The partition does not hold this offset: retention took it, or it is not written yet.",
    hint: "Continue from the earliest or the latest offset.",
  },
  FENCED_LEADER_EPOCH: {
    retriable: true,
    wire: 74,
    meaning: "The client's leader epoch is older than the partition's.",
    hint: "The client refreshes its metadata by itself.",
  },
  UNKNOWN_LEADER_EPOCH: {
    retriable: true,
    wire: 75,
    meaning: "The client's leader epoch is newer than the partition's.",
    hint: "The client refreshes its metadata by itself.",
  },
  UNKNOWN_TOPIC_ID: {
    retriable: true,
    wire: 100,
    meaning: "No topic has this id.",
    hint: "The topic was deleted, perhaps created again; the client refreshes its metadata by itself.",
  },
  // Consumer groups
  INVALID_GROUP_ID: {
    retriable: false,
    wire: 24,
    meaning: "The group id is empty or too long.",
    hint: "Name the group.",
  },
  UNKNOWN_MEMBER_ID: {
    retriable: false,
    wire: 25,
    meaning: "The group does not know this member: it left, or its session expired.",
    hint: "The member joins again; if it happens often, poll more often or raise the session timeout.",
  },
  ILLEGAL_GENERATION: {
    retriable: false,
    wire: 22,
    meaning: "The request is of an older generation of the group.",
    hint: "The member joins again.",
  },
  INCONSISTENT_GROUP_PROTOCOL: {
    retriable: false,
    wire: 23,
    meaning: "The member supports no assignment protocol that all members support.",
    hint: "Give all members of the group the same partition assignment strategy.",
  },
  INVALID_SESSION_TIMEOUT: {
    retriable: false,
    wire: 26,
    meaning: "The session timeout is outside the hub's bounds.",
    hint: "Choose one between 6 seconds and 5 minutes, or change the hub's bounds.",
  },
  REBALANCE_IN_PROGRESS: {
    retriable: false,
    wire: 27,
    meaning: "The group is being rebalanced.",
    hint: "The member joins again.",
  },
  MEMBER_ID_REQUIRED: {
    retriable: false,
    wire: 79,
    meaning: "The member must join again with the id it was given (KIP-394).",
    hint: "Clients do this by themselves.",
  },
  FENCED_INSTANCE_ID: {
    retriable: false,
    wire: 82,
    meaning: "Another member uses the same group.instance.id.",
    hint: "Give each instance its own id.",
  },
  GROUP_MAX_SIZE_REACHED: {
    retriable: false,
    wire: 81,
    meaning: "The group or the hub has as many members or groups as it may.",
    hint: "Use fewer members or raise the limit.",
  },
  NON_EMPTY_GROUP: {
    retriable: false,
    wire: 68,
    meaning: "The group still has members.",
    hint: "Stop its members first.",
  },
  GROUP_ID_NOT_FOUND: { retriable: false, wire: 69, meaning: "There is no such group.", hint: "Check the name." },
  GROUP_SUBSCRIBED_TO_TOPIC: {
    retriable: false,
    wire: 86,
    meaning: "A member of the group still reads the topic.",
    hint: "Stop it first.",
  },
  COORDINATOR_NOT_AVAILABLE: {
    retriable: true,
    wire: 15,
    meaning: "The group coordinator is not ready.",
    hint: "Clients try again by themselves.",
  },
  FENCED_MEMBER_EPOCH: {
    retriable: false,
    wire: 110,
    meaning: "The request carries another member epoch than the member has (KIP-848).",
    hint: "The member gives up its partitions and joins again; clients do this by themselves.",
  },
  UNRELEASED_INSTANCE_ID: {
    retriable: false,
    wire: 111,
    meaning: "A living member uses the same group.instance.id.",
    hint: "Give each instance its own id; after a crash wait until the session of the old one has ended.",
  },
  UNSUPPORTED_ASSIGNOR: {
    retriable: false,
    wire: 112,
    meaning: "The hub has no assignor of this name.",
    hint: "Set group.remote.assignor to uniform or range, or leave it out.",
  },
  STALE_MEMBER_EPOCH: {
    retriable: false,
    wire: 113,
    meaning: "The offset is committed or fetched in a member epoch that is over (KIP-848).",
    hint: "The client learns the new epoch with its next heartbeat and tries again.",
  },
  INVALID_REGULAR_EXPRESSION: {
    retriable: false,
    wire: 128,
    meaning: "The regular expression of a subscription is not valid, or too large.",
    hint: "It is RE2 syntax, matches whole topic names, and must stay below the limits that the message names.",
  },
  OFFSET_METADATA_TOO_LARGE: {
    retriable: false,
    wire: 12,
    meaning: "The text kept with a committed offset is too long.",
    hint: "At most 4096 bytes.",
  },
  // Kafka requests
  UNSUPPORTED_VERSION: {
    retriable: false,
    wire: 35,
    meaning: "The request's API or version is not served.",
    hint: "ApiVersions lists what is.",
  },
  INVALID_REQUEST: { retriable: false, wire: 42, meaning: "The request is malformed.", hint: "Update the client." },
  SASL_AUTHENTICATION_FAILED: {
    retriable: false,
    wire: 58,
    meaning: "Nobody could be authenticated: user name, password or SASL message is wrong.",
    hint: "Check user and password; `users` in the hub's configuration has what `tributary users hash NAME` printed.",
  },
  UNSUPPORTED_SASL_MECHANISM: {
    retriable: false,
    wire: 33,
    meaning: "The hub does not offer this SASL mechanism on this connection.",
    hint: "Use SCRAM-SHA-512 or SCRAM-SHA-256. PLAIN is offered over TLS and to clients on the hub's own machine.",
  },
  ILLEGAL_SASL_STATE: {
    retriable: false,
    wire: 34,
    meaning: "A request came before its connection was authenticated, or a SASL message out of order.",
    hint: "The hub has users: set the client up for SASL. On a hub without users it must be set up without SASL.",
  },
  INVALID_REQUIRED_ACKS: {
    retriable: false,
    wire: 21,
    meaning: "acks is not 0, 1 or -1.",
    hint: "Set the producer's acks to 0, 1 or all.",
  },
  TRANSACTIONS_NOT_SUPPORTED: {
    retriable: false,
    wire: 53,
    meaning: "The hub has no Kafka transactions.",
    hint: "Use the idempotent producer without transactional.id.",
  },
  TRANSACTIONAL_ID_NOT_FOUND: {
    retriable: false,
    wire: 105,
    meaning: "There is no transaction under this transactional.id.",
    hint: "The hub has no Kafka transactions; use the idempotent producer without transactional.id.",
  },
  FETCH_SESSION_ID_NOT_FOUND: {
    retriable: true,
    wire: 70,
    meaning: "The consumer's fetch session is gone: it made room for another one, or the hub was started again.",
    hint: "Clients open a new one by themselves.",
  },
  INVALID_FETCH_SESSION_EPOCH: {
    retriable: true,
    wire: 71,
    meaning: "Consumer and hub do not agree on how far the fetch session is.",
    hint: "Clients open a new one by themselves.",
  },
  FETCH_SESSION_TOPIC_ID_ERROR: {
    retriable: true,
    wire: 106,
    meaning: "The fetch session names its topics by id and the request by name, or the other way round.",
    hint: "Clients open a new one by themselves.",
  },
  // Permissions
  TOPIC_AUTHORIZATION_FAILED: {
    retriable: false,
    wire: 29,
    meaning: "The user may not do this with the topic.",
    hint: "Add the permission to the user's `acls`; docs/kafka-authorization.md says which one each API needs.",
  },
  GROUP_AUTHORIZATION_FAILED: {
    retriable: false,
    wire: 30,
    meaning: "The user may not do this with the consumer group.",
    hint: "Add the permission to the user's `acls`; docs/kafka-authorization.md says which one each API needs.",
  },
  CLUSTER_AUTHORIZATION_FAILED: {
    retriable: false,
    wire: 31,
    meaning: "The user may not do this with the cluster.",
    hint: "Add the permission to the user's `acls`; docs/kafka-authorization.md says which one each API needs.",
  },
  SECURITY_DISABLED: {
    retriable: false,
    wire: 54,
    meaning: "The hub has no users, so it has no access control lists.",
    hint: "Configure `users` in the hub's configuration.",
  },
  // The uplink
  PROTOCOL_VIOLATION: {
    retriable: false,
    wire: 42,
    meaning: "The peer broke the protocol; the connection is closed.",
    hint: "The two sides may be of versions that do not fit, or something else speaks on this port.",
  },
  UNAUTHORIZED: {
    retriable: true,
    wire: 58,
    meaning: "The credentials are missing or wrong.",
    hint: "Give the agent the hub's uplink token (`uplink.token`, or TRIBUTARY_UPLINK_TOKEN).",
  },
  HUB_UNREACHABLE: {
    retriable: true,
    wire: -1,
    meaning: "The hub does not answer.",
    hint: "The agent keeps the data and tries again; check the address, the network and that the hub runs.",
  },
  TIMEOUT: {
    retriable: true,
    wire: 7,
    meaning: "No answer in time.",
    hint: "Try again; look at the load of the peer.",
  },
  OVERLOADED: {
    retriable: true,
    wire: 89,
    meaning: "A queue is at its maximum.",
    hint: "Send slower; the message names the queue.",
  },
  // HTTP
  NOT_FOUND: {
    retriable: false,
    wire: 42,
    meaning: "There is nothing at this address.",
    hint: "`/` lists what is served; check path and method.",
  },
  // MQTT
  MQTT_LIMIT: {
    retriable: false,
    wire: 42,
    meaning: "An MQTT client went over a limit of the listener.",
    hint: "The message names the limit; `mqtt.limits` in the agent's configuration sets it.",
  },
  UNEXPECTED: {
    retriable: false,
    wire: -1,
    meaning: "Something failed that should not.",
    hint: "Please report it with the log lines around it.",
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export type StreamErrorOptions = { cause?: unknown; details?: Readonly<Record<string, unknown>>; hint?: string };

/** An operating error. Compare `code`, never the text. `hint` tells the operator what to do. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: StreamErrorOptions = {}) {
    super(`${code}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint ?? errorTable[code].hint;
  }

  get retriable(): boolean {
    return errorTable[this.code].retriable;
  }

  /** Kafka's error code for answers over the Kafka protocol. */
  get wire(): number {
    return errorTable[this.code].wire;
  }
}

/** Anything thrown, as a StreamError: foreign errors become UNEXPECTED and keep their cause. */
export function toStreamError(error: unknown): StreamError {
  if (error instanceof StreamError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StreamError("UNEXPECTED", message, { cause: error });
}
