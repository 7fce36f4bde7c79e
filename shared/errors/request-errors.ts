/** Of Kafka requests: what the hub does not serve, who sends them, and what they may do. */
import type { ErrorRow } from "./error-row.ts";

export const requestErrors = {
  // Kafka requests
  UNSUPPORTED_VERSION: {
    retriable: false,
    wire: 35,
    meaning: "The request's API or version is not served.",
    hint: "ApiVersions lists what is.",
  },
  INVALID_REQUEST: {
    retriable: false,
    wire: 42,
    meaning: "The request is malformed.",
    hint: "The message says what is wrong with it: correct it, or update the client.",
  },
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
} as const satisfies Record<string, ErrorRow>;
