/** What crosses between the main thread and the log's worker: one message a commit, one a read. */
import type { ClockSession } from "../batch/provisional-time.ts";
import type { Codec } from "../batch/record-batch.ts";
import type { CrashPoint } from "../crash-point.ts";
import type { Offset, ProducerEpoch, Sequence, Timestamp } from "../ids.ts";
import type { Durability } from "../record.ts";
import type { ThreadFailure } from "../thread-failure.ts";
import type { CompactionCheckpoint, CompactionQuery, Replacement } from "./compaction-messages.ts";
import type { ExtensionCall } from "./partitioned-log.ts";
import type { EndHole } from "./readable-ends.ts";
import type { StoredIncident } from "./salvage/incidents.ts";

/** A stretch of the commit's bytes: `from` inclusive, `to` exclusive. */
export type Stretch = { readonly from: number; readonly to: number };

/** Operations with the same number are done all or none. */
type OfPart = { readonly part?: number };

export type CommitOperation =
  | ({ readonly type: "append-records"; readonly partitionId: number } & Stretch &
      OfPart & {
        readonly recordCount: number;
        readonly baseTimestamp: Timestamp;
        readonly maxTimestamp: Timestamp;
      })
  | ({ readonly type: "append-batch"; readonly partitionId: number; readonly keepsProducer: boolean } & Stretch)
  | ({ readonly type: "call"; readonly call: ExtensionCall } & OfPart)
  | {
      readonly type: "trim";
      readonly partitionId: number;
      readonly before: Offset;
      /** Note why, and stand or fall with it. */
      readonly calls: readonly ExtensionCall[];
    }
  | {
      readonly type: "retain";
      readonly partitionId: number;
      readonly bytesMax: number | undefined;
      readonly ageMsMax: number | undefined;
    }
  /** Gives the end of what was stored longer ago. */
  | { readonly type: "expired-end"; readonly partitionId: number; readonly ageMsMax: number }
  /** Notes how far the partition has come by now; gives the log's time. */
  | { readonly type: "mark-age"; readonly partitionId: number }
  | ({ readonly type: "replace-batches" } & ReplaceBatches & Stretch)
  | { readonly type: "compaction-checkpoint"; readonly partitionId: number; readonly checkpoint: CompactionCheckpoint }
  | { readonly type: "create-topic"; readonly topic: StoredTopic; readonly partitionCount: number }
  | { readonly type: "create-partitions"; readonly topic: string; readonly partitionCount: number }
  | { readonly type: "alter-topic"; readonly topic: string; readonly config: Readonly<Record<string, string>> }
  /** With what extensions know of it. */
  | { readonly type: "delete-topic"; readonly topic: string; readonly calls: readonly ExtensionCall[] }
  /** One step of the search for states of producers that have expired. */
  | { readonly type: "expire-producers" }
  /** Changes nothing: its answer tells that everything asked for before is committed. */
  | { readonly type: "barrier" };

export type ReplaceBatches = { readonly partitionId: number; readonly replacements: readonly Replacement[] };

export type StoredTopic = {
  readonly name: string;
  readonly id: Uint8Array;
  readonly config: Readonly<Record<string, string>>;
};

export type PartitionPlace = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
  readonly bytes: number;
};

/** What one operation of a commit gave: its value, or the reason it alone was refused. */
export type OperationResult = { readonly value: unknown } | { readonly failure: ThreadFailure };

export type AppendedValue = { readonly baseOffset: Offset; readonly lastOffset: Offset; readonly duplicate: boolean };

export type ReadQuery = {
  readonly partitionId: number;
  readonly offset: Offset;
  /** Exclusive. */
  readonly end: Offset;
  readonly bytesMax: number;
  readonly atLeastOne: boolean;
};
export type RecordMark = { readonly name: string; readonly value: string };

export type MergeQuery = {
  readonly partitionId: number;
  readonly offset: Offset;
  readonly bytesMax: number;
  readonly isSplit?: boolean;
  readonly codec: Codec;
  /** Exclusive: records from there on are left out. */
  readonly end?: Offset | undefined;
  /** A header that every record gets. */
  readonly mark?: RecordMark | undefined;
  /** Of the clock: provisional timestamps become real ones. */
  readonly sessions?: readonly ClockSession[] | undefined;
};

/** `end`: exclusive, what lies behind it is not looked at. */
export type TimeQuery = { readonly partitionId: number; readonly end: Offset };

export type LogQuery =
  | ({ readonly type: "read" } & ReadQuery)
  | ({ readonly type: "read-merged" } & MergeQuery)
  | ({ readonly type: "offset-for-timestamp"; readonly timestamp: Timestamp } & TimeQuery)
  | ({ readonly type: "max-timestamp" } & TimeQuery)
  | { readonly type: "producer"; readonly producerId: bigint }
  | { readonly type: "producers-of"; readonly partitionId: number }
  | { readonly type: "call"; readonly call: ExtensionCall };

export type ProducerRow = {
  readonly partitionId: number;
  readonly producerId: bigint;
  readonly epoch: ProducerEpoch;
  readonly lastSequence: Sequence;
  readonly records: number;
  /** When its last batch was stored. */
  readonly updatedAt: Timestamp;
};

export type AskedQuery = { readonly id: number; readonly query: LogQuery };
export type QueryAnswer = { readonly id: number } & OperationResult;

export type ToWorker =
  | {
      readonly type: "commit";
      readonly id: number;
      readonly operations: readonly CommitOperation[];
      readonly bytes: ArrayBuffer;
      readonly bytesUsed: number;
      readonly durability: Durability;
    }
  /** All that was asked for in one turn. */
  | { readonly type: "queries"; readonly queries: readonly AskedQuery[] }
  | { readonly type: "compaction"; readonly id: number; readonly query: CompactionQuery }
  | { readonly type: "close" };

export type FromWorker =
  | {
      readonly type: "opened";
      readonly logId: string;
      readonly topics: readonly StoredTopic[];
      readonly partitions: readonly PartitionPlace[];
      readonly endHoles: readonly EndHole[];
      readonly incidents: readonly StoredIncident[];
    }
  | {
      readonly type: "committed";
      readonly id: number;
      readonly results: readonly OperationResult[];
      readonly changed: readonly PartitionPlace[];
      /** The commit's memory, for the next one. */
      readonly spare: ArrayBuffer;
    }
  | { readonly type: "refused"; readonly id: number; readonly failure: ThreadFailure; readonly spare: ArrayBuffer }
  | { readonly type: "answers"; readonly answers: readonly QueryAnswer[] }
  /** All commits that were answered before are on the disk. */
  | { readonly type: "flushed" }
  /** Batches swept after a trim: only sizes change. */
  | { readonly type: "swept"; readonly changed: readonly PartitionPlace[] }
  | { readonly type: "damage"; readonly partitionId: number; readonly from: Offset; readonly to: Offset }
  /** Before `opened`, while a start counts what a kill has left uncounted: so many bytes so far. */
  | { readonly type: "counting"; readonly bytes: number }
  /** Before `opened`: the log is damaged, and what can be read is carried over into a new one. */
  | { readonly type: "salvaging"; readonly cause: string }
  /** Before `opened`: so many commits at the end of the WAL are not taken over, because it breaks off before them. */
  | { readonly type: "given-up"; readonly commits: number }
  /** The disk has become full, or has room again. */
  | { readonly type: "room"; readonly hasRoom: boolean }
  /** Another program reads the database and holds on, so that the WAL cannot begin again; it has come to so much. */
  | { readonly type: "held"; readonly walBytes: number }
  | { readonly type: "fatal"; readonly failure: ThreadFailure }
  | { readonly type: "closed" };

export type WorkerData = {
  readonly directory: string;
  readonly role: "writer" | "reader" | "cleaner";
  /** Of disk-reserve.ts. */
  readonly reserveBytes: number;
  /** Offsets that a partition leaves out where damage has made its end uncertain. */
  readonly skippedOnDamage: Offset;
  /** How long appends of an `os` commit may wait for their flush. */
  readonly flushDelayMs: number;
  /** The named place just before a flush, for the crash tests. */
  readonly crashPointBeforeFsync: CrashPoint;
};
