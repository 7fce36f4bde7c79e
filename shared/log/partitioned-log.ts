/**
 * The partitioned log as the main thread of agent and hub sees it. One SQLite database in a worker thread holds it
 * (worker-log.ts); test/conformance/partitioned-log.ts is its specification.
 *
 * "The disk is the clock": all that is asked for while a commit is on its way becomes the next transaction, with one
 * flush at its end; promises resolve only after it.
 */
import type { Offset, Partition, Timestamp } from "../ids.ts";
import type { ClockSession } from "../batch/provisional-time.ts";
import type { RecordMark } from "./log-messages.ts";
import type { Codec } from "../batch/record-batch.ts";
import type { OpenBatch } from "../batch/batch-builder.ts";
import type { Durability } from "../record.ts";

export type LogTopic = {
  readonly name: string;
  /** 16 random bytes, made when the topic was created. */
  readonly id: Buffer;
  readonly partitions: readonly LogPartition[];
  readonly config: Readonly<Record<string, string>>;
};

/** A partition's place in the log: a live view that the log moves after each commit. */
export interface LogPartition {
  /** Small integer, unique in this database, never used again. */
  readonly id: number;
  readonly topic: string;
  readonly partition: Partition;
  /** First retained offset. */
  readonly logStartOffset: Offset;
  /** Next offset to be written; everything before it is committed. */
  readonly logEndOffset: Offset;
  /** Bytes of stored batches. */
  readonly bytes: number;
}

export type LogAppended = {
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** The producer had sent this batch before; the offsets are those of then. */
  readonly duplicate: boolean;
};

/** Statements of a program's own tables (sessions, groups, …) that run in the log's worker and transactions. */
export type ExtensionCall = { readonly extension: string; readonly method: string; readonly args: unknown };

/**
 * Something that gathers work for the next commit by itself, such as the agent's ingest with its open batches. The log
 * calls `take` when it is free; what it returns is committed as one unit with all else that is waiting.
 */
export interface CommitSource {
  /** The records of the part are copied before anything else of the source is called. */
  take(): CommitPart | undefined;
}

export type CommitPart = {
  readonly appends: readonly { readonly partition: LogPartition; readonly records: OpenBatch }[];
  readonly calls: readonly ExtensionCall[];
  readonly durability: Durability;
  /** The commit is durable; one result for each of `appends`. */
  readonly done: (appended: readonly LogAppended[]) => void;
  /**
   * Nothing of the part is stored. `error` is a StreamError (LOG_FULL, LOG_IO, CLOSING). The source hears so before it is
   * asked for another part, so that it can withdraw what came after.
   */
  readonly failed: (error: Error) => void;
};

/** Why records go, for their books: in the same commit as the trim. `done`: it is durable so far, and nobody else has heard. */
export type TrimNote = { readonly calls: readonly ExtensionCall[]; readonly done: () => void };

export type MergedBatch = {
  /** One batch, base offset and offsets as in this log, no producer numbers. */
  readonly batch: Buffer;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly recordCount: number;
};

export type MergeRequest = {
  partition: LogPartition;
  offset: Offset;
  bytesMax: number;
  isSplit?: boolean;
  codec: Codec;
  sessions?: readonly ClockSession[];
  end?: Offset | undefined;
  mark?: RecordMark | undefined;
};

export interface PartitionedLog {
  readonly topics: ReadonlyMap<string, LogTopic>;
  /** 22 characters; made with the database. */
  readonly id: string;

  /** Durable on return. @throws StreamError TOPIC_ALREADY_EXISTS. */
  createTopic(request: {
    name: string;
    partitionCount: number;
    config?: Readonly<Record<string, string>>;
  }): Promise<LogTopic>;
  /** Grows a topic; shrinking is refused (INVALID_PARTITIONS). */
  createPartitions(name: string, partitionCount: number): Promise<LogTopic>;
  alterTopic(name: string, config: Readonly<Record<string, string>>): Promise<LogTopic>;
  /** With `calls`, which take what extensions know of it, as one. */
  deleteTopic(name: string, calls?: readonly ExtensionCall[]): Promise<void>;
  /** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
  partition(topic: string, partition: Partition): LogPartition;

  /**
   * Appends a complete batch. Batches with a producer id are checked against the producer's state, which moves in the
   * same transaction. The state is forgotten when nothing is heard of the producer for a day, unless `keepsProducer`.
   *
   * @throws StreamError OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, LOG_FULL, LOG_IO, CLOSING.
   */
  append(
    partition: LogPartition,
    batch: Buffer,
    durability: Durability,
    options?: { readonly keepsProducer?: boolean },
  ): Promise<LogAppended>;

  /** Registers a source of commits; `request` tells the log that it has work. */
  addSource(source: CommitSource): { request(): void };
  /** Runs extension statements in the next commit. Resolves with their results once it is durable. */
  call(calls: readonly ExtensionCall[], durability?: Durability): Promise<unknown[]>;
  /** Runs an extension's reading statement, outside of the commits but after those that were asked for before it. */
  query(call: ExtensionCall): Promise<unknown>;

  /**
   * Whole batches from the one that contains `offset` on, or else the next one, one after another in one buffer, CRC
   * checked; before `end`, which is where a batch begins.
   * Empty at the end. @throws StreamError OFFSET_OUT_OF_RANGE, LOG_IO.
   */
  read(request: {
    partition: LogPartition;
    offset: Offset;
    end?: Offset;
    bytesMax: number;
    atLeastOne: boolean;
  }): Promise<Buffer>;
  /**
   * The records from `offset` on as one batch of about `bytesMax` at the most: a large stored batch as it is, small ones
   * joined and compressed with `codec`; or with `isSplit` cut to that size before compression, of one record at least. Starts exactly at `offset`, or later where the log has a hole there.
   * Undefined at the end of the log, or of `end` (exclusive). `mark`: a header that every record gets.
   */
  readMerged(request: MergeRequest): Promise<MergedBatch | undefined>;
  offsetForTimestamp(
    partition: LogPartition,
    timestamp: Timestamp,
  ): Promise<{ offset: Offset; timestamp: Timestamp } | undefined>;

  /**
   * Moves the log start to `before` (at most the log end) and frees the batches that lie wholly before it. With what
   * `note` calls, as one: both or neither is there after a crash.
   */
  trim(partition: LogPartition, before: Offset, note?: TrimNote): Promise<void>;

  /** Calls `listener` after each commit, and after a flush that follows it, with the partitions it changed. Returns the undo. */
  onCommit(listener: (changed: readonly LogPartition[]) => void): () => void;
  /** The log cannot go on (LOG_IO): the program must exit and restart. */
  onFatal(listener: (error: Error) => void): void;

  /** Commits what is waiting and closes the database. */
  close(): Promise<void>;
}
