/** Whether a partition is worth compacting now: Kafka's rules (LogCleanerManager) over what the log has counted. Pure. */
import type { Offset, Timestamp } from "../ids.ts";

/** A topic's settings, under the names of its configuration keys. */
export type CompactionPolicy = {
  /** `min.cleanable.dirty.ratio`: above this share of bytes that were never compacted, it is worth it. */
  readonly dirtyRatioMin: number;
  /** `min.compaction.lag.ms`: younger records stay. */
  readonly lagMsMin: number;
  /** `max.compaction.lag.ms`: a record this old is compacted whatever the ratio. */
  readonly lagMsMax: number;
  /** `delete.retention.ms`: how long a tombstone stays after its first compaction. */
  readonly deleteRetentionMs: number;
};

export type CompactionState = {
  /** Up to here everything has been compacted. */
  readonly firstDirtyOffset: Offset;
  /** Up to here it may be: the newest batch always stays as it is, and what `lagMsMin` protects. */
  readonly cleanableEnd: Offset;
  readonly cleanBytes: number;
  /** Between the two offsets. */
  readonly dirtyBytes: number;
  /** By then the first dirty batch was stored; undefined when that is not known or nobody asked. */
  readonly firstDirtyStoredAt: Timestamp | undefined;
  /** When the youngest tombstone of the clean part may go; undefined without one. */
  readonly lastHorizon: Timestamp | undefined;
};

export type CompactionReason = "dirty" | "lag" | "tombstones";

/** `now`, as all times here, by the log's own clock. */
export function compactionReason(
  state: CompactionState,
  policy: CompactionPolicy,
  now: Timestamp,
): CompactionReason | undefined {
  if (state.cleanableEnd > state.firstDirtyOffset) {
    const ratio = state.dirtyBytes / Math.max(1, state.cleanBytes + state.dirtyBytes);
    if (ratio > policy.dirtyRatioMin) return "dirty";
    if (state.firstDirtyStoredAt !== undefined && now - state.firstDirtyStoredAt > policy.lagMsMax) return "lag";
  }
  return state.lastHorizon !== undefined && state.lastHorizon <= now ? "tombstones" : undefined;
}
