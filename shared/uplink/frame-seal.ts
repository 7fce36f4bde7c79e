/**
 * What tells a frame from one that was damaged on its way. TCP's own checksum has 16 bits and is computed anew by every
 * proxy, so a faulty router or memory module passes unnoticed. One bit of an `ack` or a `welcome` that flips would have
 * the agent remove what the hub never got.
 *
 *   message = frame | CRC-32C of the frame (4 bytes, big endian)
 */
import { crc32c } from "../batch/crc32c.ts";
import { StreamError } from "../errors.ts";

export const SEAL_BYTES = 4;

/** Writes the seal into the last SEAL_BYTES of a message whose frame is complete. */
export function seal(message: Buffer): void {
  const end = message.length - SEAL_BYTES;
  message.writeUInt32BE(crc32c(message.subarray(0, end)), end);
}

/**
 * The frame of a message: a view.
 *
 * @throws StreamError FRAME_CORRUPT.
 */
export function unseal(message: Buffer): Buffer {
  const end = message.length - SEAL_BYTES;
  if (end < 0) throw new StreamError("FRAME_CORRUPT", `a message of ${message.length} bytes`);
  const frame = message.subarray(0, end);
  if (crc32c(frame) !== message.readUInt32BE(end)) {
    throw new StreamError("FRAME_CORRUPT", `a message of ${message.length} bytes fails its CRC`);
  }
  return frame;
}
