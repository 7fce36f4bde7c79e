/**
 * What happens when the log reaches its byte cap. Pure: sizes in, orders out.
 *
 *   0 ────────────────────────────── 90 % ──────── 95 % ──────── 100 % of the cap
 *   everything is accepted             ▲ trimmed down  └ trimming    └ what may not make room for itself is turned away:
 *                                      └──────────────── begins        drop-newest and drop-oldest dropped, block waits
 *
 * Room is made from the topics that are `drop-oldest`, lowest priority first and of equal ones the largest first, and
 * never from a topic of higher priority than what is coming in: a flood of unimportant messages cannot push out
 * important ones. What is already stored of `drop-newest` and `block` topics is never taken.
 */
import type { Offset } from "../../shared/ids.ts";

export const overflowPolicies = ["drop-oldest", "drop-newest", "block"] as const;
export type OverflowPolicy = (typeof overflowPolicies)[number];

/** Trimming begins above the first share of the cap and goes down to the second, so that it comes in few large steps. */
const TRIM_ABOVE_SHARE = 0.95;
const TRIM_TO_SHARE = 0.9;

export type StoredPartition<Partition> = {
  readonly partition: Partition;
  readonly bytes: number;
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
  readonly policy: OverflowPolicy;
  readonly priority: number;
};

export type OverflowState<Partition> = {
  readonly capBytes: number;
  /** Stored, and on its way there. */
  readonly usedBytes: number;
  /** The highest priority of what is coming in. */
  readonly incomingPriority: number;
  readonly partitions: readonly StoredPartition<Partition>[];
};

export type Trim<Partition> = { readonly partition: Partition; readonly before: Offset; readonly bytes: number };

export type OverflowDecision<Partition> = {
  readonly trims: readonly Trim<Partition>[];
  /** Messages of a lower priority than this are turned away; -Infinity below the cap. */
  readonly admittedPriorityMin: number;
};

export function decideOverflow<Partition>(state: OverflowState<Partition>): OverflowDecision<Partition> {
  const { capBytes, usedBytes } = state;
  const isFull = usedBytes >= capBytes;
  if (usedBytes <= capBytes * TRIM_ABOVE_SHARE) return { trims: [], admittedPriorityMin: -Infinity };
  const candidates = state.partitions
    .filter((each) => each.policy === "drop-oldest" && each.bytes > 0 && each.logEndOffset > each.logStartOffset)
    .toSorted((a, b) => a.priority - b.priority || b.bytes - a.bytes);
  let excess = usedBytes - capBytes * TRIM_TO_SHARE;
  const trims: Trim<Partition>[] = [];
  for (const candidate of candidates) {
    if (excess <= 0 || candidate.priority > state.incomingPriority) break;
    const trim = trimOf(candidate, excess);
    trims.push(trim);
    excess -= trim.bytes;
  }
  // Only who could make room by pushing out something no more important than itself is let in beyond the cap.
  const lowest = candidates[0]?.priority ?? Infinity;
  return { trims, admittedPriorityMin: isFull ? lowest : -Infinity };
}

/** Records are taken to be of equal size, which is right on average; the next round corrects what is left. */
function trimOf<Partition>(stored: StoredPartition<Partition>, excess: number): Trim<Partition> {
  const { partition, logStartOffset, logEndOffset } = stored;
  const bytes = Math.min(stored.bytes, excess);
  const recordCount = Math.ceil(((logEndOffset - logStartOffset) * bytes) / stored.bytes);
  return { partition, before: logStartOffset + recordCount, bytes };
}
