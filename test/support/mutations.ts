/** Damaged copies of bytes, as a seed decides: what a broken client, a scanner or an attacker would send. */
import type { Random } from "../../bin/demo/random.ts";

/** Lengths and counts that parsers get wrong. */
const NASTY_INT32 = [-1, -2, 0, 1, 0x7fff, 0x7fff_ffff, -0x8000_0000, 0x1000_0000, 100_000, 65_536];
const NASTY_INT16 = [-1, -2, 0, 1, 0x7fff, -0x8000];
const NASTY_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff];
const SPLICE_BYTES_MAX = 64;

/** Api key, version and correlation id: usually left alone, so that the rest is reached. */
const HEADER_BYTES = 8;
const HEADER_SHARE = 0.1;

export function mutate(original: Buffer, corpus: readonly Buffer[], random: Random): Buffer {
  let bytes: Buffer = Buffer.from(original);
  const changes = 1 + Math.floor(random.next() * 4);
  for (let i = 0; i < changes; i++) bytes = mutateOnce(bytes, corpus, random);
  return bytes;
}

function mutateOnce(bytes: Buffer, corpus: readonly Buffer[], random: Random): Buffer {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random.next() * items.length)] as T;
  const from = random.next() < HEADER_SHARE ? 0 : Math.min(HEADER_BYTES, bytes.length - 1);
  const at = Math.floor(random.between(from, bytes.length));
  switch (Math.floor(random.next() * 7)) {
    case 0:
      bytes[at] = Math.floor(random.next() * 256);
      return bytes;
    case 1:
      bytes[at] = pick(NASTY_BYTES);
      return bytes;
    case 2:
      if (at + 4 <= bytes.length) bytes.writeInt32BE(pick(NASTY_INT32), at);
      return bytes;
    case 3:
      if (at + 2 <= bytes.length) bytes.writeInt16BE(pick(NASTY_INT16), at);
      return bytes;
    case 4:
      return Buffer.concat([
        bytes.subarray(0, at),
        bytes.subarray(Math.min(bytes.length, at + 1 + Math.floor(random.next() * 8))),
      ]);
    case 5: {
      const other = pick(corpus);
      const start = Math.floor(random.next() * other.length);
      const piece = other.subarray(start, start + Math.floor(random.next() * SPLICE_BYTES_MAX));
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
    }
    default:
      bytes.writeUInt8((bytes.readUInt8(at) ^ (1 << Math.floor(random.next() * 8))) & 0xff, at);
      return bytes;
  }
}
