/**
 * What the log's compactor asks of its thread, one bounded step a message, and what it has the writer do.
 *
 *   inspect ─▶ map ─▶ … ─▶ map ─▶ clean ─▶ replace (writer) ─▶ … ─▶ clean ─▶ replace, checkpoint (writer)
 */
import type { Offset, Timestamp } from "../ids.ts";
import type { CompactionPolicy, CompactionReason } from "./compaction-policy.ts";

export type CompactionQuery =
  | {
      readonly type: "compaction-inspect";
      readonly partitionId: number;
      /** Of the whole partition, as its log counts them. */
      readonly bytes: number;
      readonly policy: CompactionPolicy;
      readonly now: Timestamp;
    }
  /** Starts a run: forgets what the thread knows of another. */
  | { readonly type: "compaction-start"; readonly run: CompactionRun }
  | { readonly type: "compaction-map" }
  | { readonly type: "compaction-clean" }
  | { readonly type: "compaction-end" };

export type CompactionRun = {
  readonly partitionId: number;
  readonly logStartOffset: Offset;
  readonly firstDirtyOffset: Offset;
  readonly cleanableEnd: Offset;
  readonly now: Timestamp;
  readonly deleteRetentionMs: number;
  readonly mapBytesMax: number;
};

export type Inspection = {
  /** Undefined: nothing to do. */
  readonly reason: CompactionReason | undefined;
  readonly logStartOffset: Offset;
  readonly firstDirtyOffset: Offset;
  readonly cleanableEnd: Offset;
};

export type MapStep = { readonly isDone: boolean };

export type CleanStep = {
  readonly replacements: readonly Replacement[];
  /** The new batches of `replacements`, one after another. */
  readonly bytes: Uint8Array;
  readonly recordsRemoved: number;
  /** Set with the last step of the run. */
  readonly done: CleanResult | undefined;
};

export type CleanResult = {
  /** Everything before it is compacted now; less than the run's cleanable end when the map was full. */
  readonly cleanEnd: Offset;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly lastHorizon: Timestamp | undefined;
  /** Batches that cannot be looked into; they stay. */
  readonly batchesOpaque: number;
};

/** What becomes of one stored batch. It is done only if the row still is what was read. */
export type Replacement = {
  readonly baseOffset: Offset;
  readonly lastOffsetDeltaBefore: number;
  readonly bytesBefore: number;
} & (
  | { readonly type: "remove" }
  /** The running maximum of the timestamps has fallen with what was removed before it. */
  | { readonly type: "restamp"; readonly maxTimestamp: Timestamp }
  | {
      readonly type: "rewrite";
      readonly maxTimestamp: Timestamp;
      readonly lastOffsetDelta: number;
      /** Place of the new batch within the step's bytes. */
      readonly from: number;
      readonly to: number;
    }
);

/** How far a partition is compacted; a row of the table `compaction`. */
export type CompactionCheckpoint = {
  readonly firstDirtyOffset: Offset;
  /** Log start when `cleanBytes` was counted. */
  readonly cleanFrom: Offset;
  /** Bytes of the batches between the two. */
  readonly cleanBytes: number;
  readonly lastHorizon: Timestamp | undefined;
};
