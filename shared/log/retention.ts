/** What retention may take from the head of a partition. Pure: the log asks with what it has. */
import type { Offset, Timestamp } from "../ids.ts";

export type RetentionPolicy = {
  /** Keep at most about this many bytes; undefined for no limit. */
  readonly bytesMax: number | undefined;
  /** Drop what was stored longer ago, by the log's own clock; undefined for no limit. */
  readonly ageMsMax: number | undefined;
};

export type HeadBatch = { readonly lastOffset: Offset; readonly bytes: number };

/**
 * The new log start for a size: whole batches from the head while the rest is still too much, never the last one.
 * Undefined when nothing may go.
 */
export function startForBytes(bytesMax: number, bytes: number, head: Iterable<HeadBatch>): Offset | undefined {
  let left = bytes;
  let start: Offset | undefined;
  for (const batch of head) {
    if (left - batch.bytes < bytesMax) break;
    left -= batch.bytes;
    start = batch.lastOffset + 1;
  }
  return start;
}

/** At `at`, by the log's clock, the partition ended at `end`: what is before it was stored by then. */
export type AgeMark = { readonly at: Timestamp; readonly end: Offset };

/** How exactly ages are known, as a share of the age: a record is kept at most about this much longer than asked. */
const AGE_SHARE = 0.01;

/**
 * Marks that may go, of all of a partition's in the order of time: those of records that are gone, and those whose
 * neighbours tell ages well enough. What stays grows with the logarithm of the age: some 2,000 for ten years of a mark a
 * minute. The newest always stays.
 */
export function superfluousMarks(marks: readonly AgeMark[], logStartOffset: Offset, now: Timestamp): AgeMark[] {
  const superfluous: AgeMark[] = [];
  let kept: AgeMark | undefined;
  for (const [i, mark] of marks.entries()) {
    const next = marks[i + 1];
    if (next === undefined) break;
    const isGone = mark.end <= logStartOffset;
    const isDense = kept !== undefined && next.at - kept.at <= (now - next.at) * AGE_SHARE;
    if (isGone || isDense) superfluous.push(mark);
    else kept = mark;
  }
  return superfluous;
}
