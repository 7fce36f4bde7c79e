/** Whether a stored batch is the one that was written: its place, its size and its CRC agree. */
import { hasValidCrc, readBatchHeader, stampOffset } from "../batch/record-batch.ts";
import type { BatchHeader } from "../batch/record-batch.ts";
import { StreamError } from "../errors.ts";
import type { Offset } from "../ids.ts";

/** Its header, if it is sound. `delta`: of its last offset, where that is known from elsewhere. */
export function soundHeader(row: {
  readonly base: Offset;
  readonly delta?: number;
  readonly bytes: Buffer;
}): BatchHeader | undefined {
  const { base, delta, bytes } = row;
  try {
    const header = readBatchHeader(bytes);
    const isSound =
      header.baseOffset === base &&
      (delta === undefined || header.lastOffsetDelta === delta) &&
      header.bytes === bytes.length &&
      hasValidCrc(bytes, header);
    if (!isSound) return undefined;
    // The leader epoch lies outside of the CRC; the log has stamped it 0, and so it is whatever became of it.
    if (header.leaderEpoch === 0) return header;
    stampOffset(bytes, base);
    return { ...header, leaderEpoch: 0 };
  } catch (error) {
    if (error instanceof StreamError) return undefined;
    throw error;
  }
}
