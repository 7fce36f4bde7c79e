import type { Offset, Timestamp } from "./ids.ts";

/** A header of a record: the name is text, the value bytes or null. */
export type RecordHeader = { readonly key: string; readonly value: Buffer | null };

/** One event as it is stored and consumed. A null value is a tombstone in a compacted topic. */
export type StoredRecord = {
  readonly offset: Offset;
  readonly timestamp: Timestamp;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
};

/** A record on its way into a batch. */
export type NewRecord = {
  readonly timestamp: Timestamp;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly { readonly key: string; readonly value: Uint8Array | null }[];
};

/** Of records that newer ones of their partition have overtaken, because an outage had gathered them; its value is `true`. */
export const HISTORY_HEADER = "historical";

/** When an acknowledgement is given: not at all, after the leader's commit, or after it is flushed (Kafka's `acks`). */
export type Acks = "none" | "leader" | "all";

/** What a commit must have reached before it is answered: the operating system, or the disk. */
export type Durability = "os" | "fsync";
