/**
 * The hub's configuration: every key with its unit in the name, its default, its bounds and what it is for.
 * docs/configuration.md is generated from here.
 */
import * as z from "zod";
import {
  DAY_MS,
  INSECURE_DESCRIPTION,
  KIB,
  MIB,
  MINUTE_MS,
  SECOND_MS,
  checkProtection,
  fileName,
  flag,
  limitOrNone,
  listenAddress,
  logLevel,
  optionalAddress,
  secret,
  secretFile,
  text,
  wholeNumber,
} from "../shared/config/fields.ts";
import { loadConfig } from "../shared/config/load-config.ts";
import type { ConfigFlags, ConfigSources, LoadedConfig } from "../shared/config/load-config.ts";
import { UPLINK_MESSAGE_BYTES_MAX } from "../shared/uplink/frames.ts";
import { usersSection } from "./access/users-config.ts";
import { defaultGroupCoordinatorOptions } from "./group/coordinator-runner.ts";
import { kafkaDefaults } from "./kafka/options.ts";
import { defaultUplinkServerOptions as uplinkDefaults } from "./uplink/server.ts";
import { UNGUESSABLE_LENGTH } from "./uplink/upgrade-limiter.ts";

const data = z.strictObject({
  dir: text("data/hub", "Directory of the log. One hub at a time may use it."),
});

const HTTP_PROTECTION =
  "uplink.token protects the uplink only, not the other pages; " +
  "set http.insecure: true if the network is trusted, or listen on 127.0.0.1";

const http = z
  .strictObject({
    listen: listenAddress("127.0.0.1:7070", "Where agents connect (WebSocket) and HTTP is served."),
    insecure: flag(false, INSECURE_DESCRIPTION),
  })
  .superRefine(({ listen, insecure }, context) => {
    checkProtection(context, { key: "listen", address: listen, insecure, missing: HTTP_PROTECTION });
  });

const tls = z
  .strictObject({
    certFile: fileName("PEM file with the certificate; those of its issuers may follow in it."),
    keyFile: fileName("PEM file with the certificate's key, which only the hub's own user may read (mode 0600)."),
  })
  .meta({ description: "Speak TLS on the listener; both files are read again when they change." });

const kafka = z.strictObject({
  listen: listenAddress("127.0.0.1:9092", "Where Kafka clients connect."),
  advertised: optionalAddress(
    "What Kafka clients are told to connect to, where that differs from the address they came to (NAT, containers).",
  ),
  tls: tls.optional(),
  insecure: flag(false, INSECURE_DESCRIPTION),
  acceptAnyReplicationFactor: flag(
    kafkaDefaults.acceptAnyReplicationFactor,
    "Accept any replication factor for a new topic and report 1: for tools that insist on 3.",
  ),
  connectionsMax: wholeNumber(
    { min: 1, default: kafkaDefaults.connectionsMax },
    "Connections open at a time; a further one is closed at once.",
  ),
  connectionsPerAddressMax: wholeNumber(
    { min: 1, default: kafkaDefaults.connectionsPerAddressMax },
    "Connections open at a time from one address other than loopback.",
  ),
  connectionIdleMs: wholeNumber(
    { min: SECOND_MS, default: kafkaDefaults.connectionIdleMs },
    "A connection silent in both directions for so long is closed.",
  ),
  requestBytesMax: wholeNumber(
    { min: KIB, default: kafkaDefaults.requestBytesMax },
    "Largest request; a larger one closes its connection before it is read.",
  ),
  requestsInFlightMax: wholeNumber(
    { min: 1, default: kafkaDefaults.requestsInFlightMax },
    "Requests of one connection that are not answered; then it is not read on.",
  ),
  requestBytesInFlightMax: wholeNumber(
    { min: MIB, default: kafkaDefaults.requestBytesInFlightMax },
    "Bytes of all requests that are not answered; then no connection is read on.",
  ),
  responseBytesQueuedMax: wholeNumber(
    { min: KIB, default: kafkaDefaults.responseBytesQueuedMax },
    "Answers that wait for one slow reader; then it is not served on.",
  ),
  fetchBytesMax: wholeNumber(
    { min: KIB, default: kafkaDefaults.fetchBytesMax },
    "What one Fetch returns, whatever it asks for; the first batch is always returned whole.",
  ),
  fetchWaitMsMax: wholeNumber(
    { default: kafkaDefaults.fetchWaitMsMax },
    "How long a Fetch waits for data, whatever it asks for.",
  ),
  handshakeMsMax: wholeNumber(
    { min: SECOND_MS, default: kafkaDefaults.handshakeMsMax },
    "How long a client may take for the TLS handshake, from connecting.",
  ),
  loginMsMax: wholeNumber(
    { min: SECOND_MS, default: kafkaDefaults.loginMsMax },
    "How long a client may take to log in where the hub has users, from connecting.",
  ),
  loginFailuresPerMinuteMax: wholeNumber(
    { min: 1, default: kafkaDefaults.loginFailuresPerMinuteMax },
    "Failed logins from one address other than loopback; then its connections are refused for the rest of the minute.",
  ),
});

const uplink = z.strictObject({
  token: secret("What agents have to present. Without one, any agent that reaches the listener is let in."),
  tokenFile: secretFile("uplink.token"),
  autoCreateTopics: flag(true, "Create the topics that an agent announces."),
  agentsMax: wholeNumber({ min: 1, default: uplinkDefaults.agentsMax }, "Agents connected at a time."),
  creditBytes: wholeNumber(
    { min: UPLINK_MESSAGE_BYTES_MAX, default: uplinkDefaults.creditBytes },
    "What one agent may have sent without an answer.",
  ),
  bytesInFlightMax: wholeNumber(
    { min: UPLINK_MESSAGE_BYTES_MAX, default: uplinkDefaults.bytesInFlightMax },
    "What all agents together may have sent without an answer; then none is read on until there is room.",
  ),
  silenceMsMax: wholeNumber(
    { min: SECOND_MS, default: uplinkDefaults.silenceMsMax },
    "A connection from which nothing was heard for so long is closed.",
  ),
  loginFailuresPerMinuteMax: wholeNumber(
    { min: 1, default: uplinkDefaults.loginFailuresPerMinuteMax },
    "Attempts with a wrong token or none from one address other than loopback; further ones in the minute are refused. " +
      `The right token is not counted, and heard all the same if it has ${UNGUESSABLE_LENGTH} characters or more, or if ` +
      "an agent of that address is connected or was within the hour.",
  ),
});

const topics = z.strictObject({
  partitions: wholeNumber(
    { min: 1, max: kafkaDefaults.partitionCountMax, default: kafkaDefaults.partitionCountDefault },
    "Partitions of a topic that is created without a count.",
  ),
  autoCreate: flag(kafkaDefaults.autoCreateTopics, "Create a topic when a Kafka client asks for its metadata."),
  countMax: wholeNumber({ min: 1, default: 1000 }, "Topics at the most."),
  partitionsMax: wholeNumber(
    { min: 1, max: 10_000, default: kafkaDefaults.partitionCountMax },
    "Partitions of one topic at the most.",
  ),
  retentionMs: limitOrNone(
    { default: 7 * DAY_MS },
    "How long records are kept after they were stored, in topics without a `retention.ms` of their own; time while the hub is off does not count.",
  ),
  retentionBytes: limitOrNone(
    { default: -1 },
    "How much of each partition is kept in topics without a `retention.bytes` of their own.",
  ),
  retentionCheckMs: wholeNumber(
    { min: SECOND_MS, default: MINUTE_MS },
    "How often every partition is looked at for records to remove.",
  ),
  compactionCheckMs: wholeNumber(
    { min: SECOND_MS, default: 15 * SECOND_MS },
    "How often partitions of topics with `cleanup.policy=compact` are looked at for records to remove.",
  ),
});

const groupDefaults = defaultGroupCoordinatorOptions;

const groups = z
  .strictObject({
    countMax: wholeNumber({ min: 1, default: groupDefaults.groupsMax }, "Consumer groups at the most."),
    membersMax: wholeNumber({ min: 1, default: groupDefaults.membersMax }, "Members of one group at the most."),
    memberBytesMax: wholeNumber(
      { min: KIB, default: groupDefaults.memberBytesMax },
      "Metadata of one member: its subscription.",
    ),
    sessionTimeoutMinMs: wholeNumber(
      { min: 1, default: groupDefaults.sessionTimeoutMinMs },
      "Shortest session timeout a member may ask for.",
    ),
    sessionTimeoutMaxMs: wholeNumber(
      { min: 1, default: groupDefaults.sessionTimeoutMaxMs },
      "Longest session timeout a member may ask for.",
    ),
    initialRebalanceDelayMs: wholeNumber(
      { max: MINUTE_MS, default: groupDefaults.initialRebalanceDelayMs },
      "How long an empty group waits for more members before it deals out partitions.",
    ),
    consumerSessionTimeoutMs: wholeNumber(
      { min: SECOND_MS, default: groupDefaults.consumerSessionTimeoutMs },
      "Members with `group.protocol=consumer` that are silent for so long are out; they do not choose it themselves.",
    ),
    consumerHeartbeatIntervalMs: wholeNumber(
      { min: 100, default: groupDefaults.consumerHeartbeatIntervalMs },
      "How often members with `group.protocol=consumer` are told to report; rebalances take a few of these.",
    ),
  })
  .superRefine(({ sessionTimeoutMinMs, sessionTimeoutMaxMs }, context) => {
    if (sessionTimeoutMinMs <= sessionTimeoutMaxMs) return;
    const message = `found ${sessionTimeoutMaxMs}, which is below groups.sessionTimeoutMinMs (${sessionTimeoutMinMs})`;
    context.addIssue({ code: "custom", path: ["sessionTimeoutMaxMs"], message });
  })
  .superRefine(({ consumerSessionTimeoutMs, consumerHeartbeatIntervalMs }, context) => {
    if (consumerHeartbeatIntervalMs < consumerSessionTimeoutMs) return;
    const message = `found ${consumerHeartbeatIntervalMs}, which is not below groups.consumerSessionTimeoutMs (${consumerSessionTimeoutMs})`;
    context.addIssue({ code: "custom", path: ["consumerHeartbeatIntervalMs"], message });
  });

const log = z.strictObject({
  commitIntervalMs: wholeNumber(
    { max: MINUTE_MS, default: 0 },
    "Commits start at least this far apart; acknowledgements wait that long. 0: as fast as the disk flushes.",
  ),
});

const tailCache = z.strictObject({
  bytesMax: wholeNumber(
    { default: 32 * MIB },
    "Memory for the newest batches of all partitions, so that consumers at the tail never touch the disk.",
  ),
});

const KAFKA_PROTECTION =
  "give the hub `users`, set kafka.insecure: true if the network is trusted, or listen on 127.0.0.1";

export const hubSchema = z
  .strictObject({
    data: data.prefault({}),
    http: http.prefault({}),
    kafka: kafka.prefault({}),
    users: usersSection(),
    uplink: uplink.prefault({}),
    topics: topics.prefault({}),
    groups: groups.prefault({}),
    log: log.prefault({}),
    tailCache: tailCache.prefault({}),
    logLevel: logLevel(),
  })
  .superRefine(
    ({ kafka: { listen, insecure }, users }, context) => {
      const listener = { section: ["kafka"], key: "listen", address: listen, insecure, missing: KAFKA_PROTECTION };
      checkProtection(context, { ...listener, isAuthenticated: users.length > 0 });
    },
    // Also beside mistakes in other sections, so that all are told at once.
    { when: ({ issues }) => !issues.some(({ path }) => path?.[0] === "kafka" || path?.[0] === "users") },
  );

export type HubConfig = z.output<typeof hubSchema>;

/** Flags of `tributary hub`; `--config` itself is none of them. */
export const hubFlags = {
  data: { path: "data.dir", placeholder: "DIR", description: "directory of the log" },
  http: { path: "http.listen", placeholder: "HOST:PORT", description: "where agents connect and HTTP is served" },
  kafka: { path: "kafka.listen", placeholder: "HOST:PORT", description: "where Kafka clients connect" },
  advertise: {
    path: "kafka.advertised",
    placeholder: "HOST:PORT",
    description: "what Kafka clients are told to connect to",
  },
  "token-file": { path: "uplink.tokenFile", placeholder: "FILE", description: "file that holds the agents' token" },
  "log-level": { path: "logLevel", placeholder: "LEVEL", description: "what is logged to stderr" },
} as const satisfies ConfigFlags;

/** @throws StreamError CONFIG_INVALID or LISTENER_NOT_PROTECTED, with every mistake in its message. */
export function loadHubConfig(sources: ConfigSources): LoadedConfig<HubConfig> {
  return loadConfig({ program: "hub", schema: hubSchema, flags: hubFlags }, sources);
}
