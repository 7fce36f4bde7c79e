/**
 * How many bytes a zstd frame says it becomes; undefined where it does not say. Only a claim: good for how much memory to
 * take at once, within a limit, and for nothing else.
 *
 *   frame   magic:u32le descriptor:u8 [window:u8] [dictionary:0|1|2|4] [contentSize:0|1|2|4|8] …
 *
 * Source: RFC 8878, section 3.1.1.1.
 */

const FRAME_MAGIC = 0xfd2fb528;
const DESCRIPTOR_AT = 4;
const SINGLE_SEGMENT = 0x20;
const dictionaryBytes = [0, 1, 2, 4] as const;
/** What a content size of two bytes leaves out. */
const TWO_BYTES_BASE = 256;

export function zstdContentBytes(source: Buffer): number | undefined {
  const descriptor = source[DESCRIPTOR_AT];
  if (descriptor === undefined || source.readUInt32LE(0) !== FRAME_MAGIC) return undefined;
  const isSingleSegment = (descriptor & SINGLE_SEGMENT) !== 0;
  const sizeFlag = descriptor >> 6;
  const at = DESCRIPTOR_AT + 1 + (isSingleSegment ? 0 : 1) + (dictionaryBytes[descriptor & 3] ?? 0);
  const sizeBytes = sizeFlag === 0 && !isSingleSegment ? 0 : 2 ** sizeFlag;
  if (sizeBytes === 0 || at + sizeBytes > source.length) return undefined;
  if (sizeBytes === 8) return Number(source.readBigUInt64LE(at));
  return source.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? TWO_BYTES_BASE : 0);
}
