/**
 * Kafka's variable-length integers, as the records of a RecordBatch use them: zig-zag, then 7 bits a byte, least
 * significant group first, high bit = "more follows". int32 takes 1 to 5 bytes, int64 1 to 10.
 *
 *   value   0   -1    1   -2  …   64      zig-zag: (v << 1) ^ (v >> 63)
 *   bytes  00   01   02   03  … 8001
 *
 * 64-bit values are JavaScript numbers and exact up to 2^53 (timestamps and their differences are far below).
 */
import { StreamError } from "../errors.ts";

const INT32_BYTES_MAX = 5;
const INT64_BYTES_MAX = 10;

/** Bytes that `value` takes as a zig-zag varint. `value` within the exact integers. */
export function varintBytes(value: number): number {
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1;
  let bytes = 1;
  while (zigzag >= 0x80) {
    zigzag = Math.floor(zigzag / 0x80);
    bytes++;
  }
  return bytes;
}

/** Writes `value` at `at` and returns the position after it. The caller has made room. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) {
    let small = (value << 1) ^ (value >> 31);
    while (small >= 0x80) {
      target[at++] = (small & 0x7f) | 0x80;
      small >>>= 7;
    }
    target[at++] = small;
    return at;
  }
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1;
  while (zigzag >= 0x80) {
    target[at++] = (zigzag % 0x80) | 0x80;
    zigzag = Math.floor(zigzag / 0x80);
  }
  target[at++] = zigzag;
  return at;
}

/** Reads varints from bytes of unknown origin; `at` moves past each value. Every read is checked against `end`. */
export class VarintReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** @throws StreamError CORRUPT_RECORD when the bytes end first or the value does not fit int32. */
  int32(): number {
    const value = this.#unsigned(INT32_BYTES_MAX);
    if (value > 0xffffffff) throw new StreamError("CORRUPT_RECORD", `varint at ${this.at} is longer than 32 bits`);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** @throws StreamError CORRUPT_RECORD when the bytes end first or the value is beyond 2^53. */
  int64(): number {
    const value = this.#unsigned(INT64_BYTES_MAX);
    if (value > Number.MAX_SAFE_INTEGER) return this.#beyondExact(value);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  #unsigned(bytesMax: number): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < bytesMax; i++) {
      if (this.at >= this.end) throw new StreamError("CORRUPT_RECORD", "record ends within a varint");
      const byte = this.bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw new StreamError("CORRUPT_RECORD", `varint at ${this.at} is longer than ${bytesMax} bytes`);
  }

  /** Zig-zag doubles the value: timestamps up to 2^62 in magnitude are read with the precision a number has. */
  #beyondExact(value: number): number {
    if (value > 2 ** 64) throw new StreamError("CORRUPT_RECORD", `varint at ${this.at} is longer than 64 bits`);
    return Math.round(value / 2);
  }
}
