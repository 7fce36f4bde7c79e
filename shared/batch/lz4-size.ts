/**
 * How many bytes an LZ4 frame becomes, without making them: the decoder has no limit of its own, and a byte may become
 * 255. Walks over the lengths only.
 *
 *   frame     magic:u32 flags:u8 descriptor:u8 [contentSize:u64] [dictionary:u32] checksum:u8 {block} end:u32=0 [checksum:u32]
 *   block     size:u32 (high bit: stored as it is) data [checksum:u32]
 *   sequence  token:u8 [literalLength:u8…] literals [matchOffset:u16 [matchLength:u8…]]    the last one has no match
 *
 * Source: lz4_Frame_format.md and lz4_Block_format.md of the LZ4 project.
 */
import { StreamError } from "../errors.ts";

const FRAME_MAGIC = 0x184d2204;
const HAS_BLOCK_CHECKSUM = 0x10;
const HAS_CONTENT_SIZE = 0x08;
const HAS_CONTENT_CHECKSUM = 0x04;
const HAS_DICTIONARY = 0x01;
const STORED = 0x80000000;
const MATCH_BYTES_MIN = 4;

/** Counts on only as far as just beyond `bytesMax`. @throws StreamError CORRUPT_RECORD. */
export function lz4DecompressedBytes(source: Buffer, bytesMax: number): number {
  let total = 0;
  for (let at = 0; at < source.length && total <= bytesMax;) {
    const flags = frameFlags(source, at);
    at += 7 + ((flags & HAS_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & HAS_DICTIONARY) === 0 ? 0 : 4);
    for (;;) {
      const size = wordAt(source, at);
      at += 4;
      if (size === 0) break;
      const length = size % STORED;
      if (at + length > source.length) throw cut();
      total += size >= STORED ? length : blockBytes(source, { from: at, to: at + length }, bytesMax - total);
      if (total > bytesMax) return total;
      at += length + ((flags & HAS_BLOCK_CHECKSUM) === 0 ? 0 : 4);
    }
    if ((flags & HAS_CONTENT_CHECKSUM) !== 0) at += 4;
  }
  return total;
}

function frameFlags(source: Buffer, at: number): number {
  if (wordAt(source, at) !== FRAME_MAGIC) throw new StreamError("CORRUPT_RECORD", "not an lz4 frame");
  return source[at + 4] ?? 0;
}

function blockBytes(source: Buffer, { from, to }: { from: number; to: number }, bytesMax: number): number {
  let total = 0;
  let at = from;
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15; more;) {
      if (at >= to) throw cut();
      const byte = source[at++] as number;
      length += byte;
      more = byte === 255;
    }
    return length;
  };
  while (at < to && total <= bytesMax) {
    const token = source[at++] as number;
    const literals = lengthOf(token >> 4);
    total += literals;
    at += literals;
    if (at >= to) break;
    at += 2;
    total += lengthOf(token & 15) + MATCH_BYTES_MIN;
  }
  if (at > to) throw cut();
  return total;
}

function wordAt(source: Buffer, at: number): number {
  if (at + 4 > source.length) throw cut();
  return source.readUInt32LE(at);
}

const cut = (): StreamError => new StreamError("CORRUPT_RECORD", "an lz4 frame is cut");
