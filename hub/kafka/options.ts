/** Settings and limits of the Kafka listener, with their defaults. */
import type { TopicConfig } from "../engine/engine.ts";

export type KafkaOptions = {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** What Metadata tells clients to connect to; undefined: the address at which their connection was accepted. */
  readonly advertisedHost: string | undefined;
  readonly advertisedPort: number | undefined;
  /** Metadata requests create the topics they name, if the client allows it. */
  readonly autoCreateTopics: boolean;
  /** Partitions of a topic created without a count. */
  readonly partitionCountDefault: number;
  readonly partitionCountMax: number;
  /** Accept any replication factor and report 1: for tools that insist on 3. */
  readonly acceptAnyReplicationFactor: boolean;
  /** The hub's own defaults for topic configuration, where they differ from Kafka's. */
  readonly topicDefaults: TopicConfig;
  /** Where the log is: DescribeLogDirs names it and tells how much room its disk has. */
  readonly dataDirectory: string;

  /** Beyond this a new connection is closed at once. */
  readonly connectionsMax: number;
  /** From one address other than loopback. */
  readonly connectionsPerAddressMax: number;
  /** Silence in both directions after which a connection is closed; Kafka's own value. */
  readonly connectionIdleMs: number;
  /** A request announced larger than this closes the connection before anything is allocated. */
  readonly requestBytesMax: number;
  /** Requests of one connection that are not answered yet; then it is not read on. */
  readonly requestsInFlightMax: number;
  /** Bytes of all requests that are not answered yet; then no connection is read on. */
  readonly requestBytesInFlightMax: number;
  /** Answers that wait for one slow reader; then it is not served on. */
  readonly responseBytesQueuedMax: number;
  /** What one Fetch returns at the most, whatever it asks for (the first batch is always returned whole). */
  readonly fetchBytesMax: number;
  /** How long a Fetch waits at the most, whatever it asks for. */
  readonly fetchWaitMsMax: number;
  /** Fetch sessions that are open at a time; then old ones make room, or none is opened. */
  readonly fetchSessionsMax: number;
  /** Partitions of all fetch sessions together. */
  readonly fetchSessionPartitionsMax: number;
  /** A fetch session idle for longer gives way to a new one, and one that old to a larger one. */
  readonly fetchSessionIdleMs: number;
  /** From connecting to the end of the TLS handshake. */
  readonly handshakeMsMax: number;
  /** From connecting to being authenticated, where the hub has users. */
  readonly loginMsMax: number;
  /** Largest request before that. */
  readonly loginRequestBytesMax: number;
  /** Failed logins from one address other than loopback; then its connections are refused for the rest of the minute. */
  readonly loginFailuresPerMinuteMax: number;
  /** What `close` grants to requests that are still being answered. */
  readonly closeMsMax: number;
};

export const kafkaDefaults: KafkaOptions = {
  host: "127.0.0.1",
  port: 9092,
  advertisedHost: undefined,
  advertisedPort: undefined,
  autoCreateTopics: true,
  partitionCountDefault: 4,
  partitionCountMax: 1000,
  acceptAnyReplicationFactor: false,
  topicDefaults: {},
  dataDirectory: ".",
  connectionsMax: 500,
  connectionsPerAddressMax: 50,
  connectionIdleMs: 10 * 60_000,
  requestBytesMax: 4 * 1024 * 1024,
  requestsInFlightMax: 5,
  requestBytesInFlightMax: 256 * 1024 * 1024,
  responseBytesQueuedMax: 8 * 1024 * 1024,
  fetchBytesMax: 8 * 1024 * 1024,
  fetchWaitMsMax: 30_000,
  fetchSessionsMax: 1000,
  fetchSessionPartitionsMax: 100_000,
  fetchSessionIdleMs: 120_000,
  handshakeMsMax: 10_000,
  loginMsMax: 10_000,
  loginRequestBytesMax: 8 * 1024,
  loginFailuresPerMinuteMax: 20,
  closeMsMax: 3000,
};

/** One hub is one broker, and this is its id. */
export const NODE_ID = 1;
/** One node has no elections; a constant epoch never goes back. */
export const LEADER_EPOCH = 0;
