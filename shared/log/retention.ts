/** What retention may take from the head of a partition. Pure: the log asks with the batches it has. */
import type { Offset, Timestamp } from "../ids.ts";

export type RetentionPolicy = {
  /** Keep at most about this many bytes; undefined for no limit. */
  readonly bytesMax: number | undefined;
  /** Drop batches whose newest record is older; undefined for no limit. */
  readonly before: Timestamp | undefined;
};

export type HeadBatch = { readonly lastOffset: Offset; readonly bytes: number; readonly maxTimestamp: Timestamp };

/**
 * The new log start: whole batches from the head while they are too old or the rest is still too much, never the last
 * one for its size alone. Undefined when nothing may go.
 */
export function retentionStart(policy: RetentionPolicy, bytes: number, head: Iterable<HeadBatch>): Offset | undefined {
  let left = bytes;
  let start: Offset | undefined;
  for (const batch of head) {
    const isTooOld = policy.before !== undefined && batch.maxTimestamp < policy.before;
    const isTooMuch = policy.bytesMax !== undefined && left - batch.bytes >= policy.bytesMax;
    if (!isTooOld && !isTooMuch) break;
    left -= batch.bytes;
    start = batch.lastOffset + 1;
  }
  return start;
}
