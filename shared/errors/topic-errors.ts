/** Of topics, partitions and offsets. */
import type { ErrorRow } from "./error-row.ts";

export const topicErrors = {
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
} as const satisfies Record<string, ErrorRow>;
