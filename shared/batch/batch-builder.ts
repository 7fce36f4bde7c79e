/**
 * Builds the records of a batch one by one, straight into bytes: the agent's hot path, so nothing is allocated for a
 * record. Header, CRC and compression come later, in the log's worker.
 *
 *   record  length:varint attributes:i8=0 timestampDelta:varint offsetDelta:varint
 *           keyLength:varint key  valueLength:varint value  headerCount:varint {header}
 *   header  keyLength:varint key valueLength:varint value           length -1 stands for null
 *
 * Source: Kafka's DefaultRecord.
 */
import type { Timestamp } from "../ids.ts";
import { varintBytes, writeVarint } from "./varint.ts";

/** Records that are not yet a batch: what `BatchBuilder.take` hands over. Offsets and timestamps are deltas. */
export type OpenBatch = {
  /** The records are the first `bytes` of it. The builder's own memory: valid until its next `append`. */
  readonly buffer: ArrayBuffer;
  readonly bytes: number;
  readonly recordCount: number;
  readonly baseTimestamp: Timestamp;
  readonly maxTimestamp: Timestamp;
};

/** Headers of a record as they stand in it, made once for many records: count and all. */
export type EncodedHeaders = { readonly bytes: Uint8Array };

const NULL_LENGTH = -1;
/** A builder that is filled to less than this part of its memory takes less. */
const SHRINK_BELOW = 16;
/** attributes + three varints of up to 10, 5 and 5 bytes + length. */
const RECORD_OVERHEAD_BYTES_MAX = 32;

export function encodeHeaders(
  headers: readonly { readonly key: string; readonly value: Uint8Array | null }[],
): EncodedHeaders {
  const parts = headers.map(({ key, value }) => ({ key: Buffer.from(key, "utf8"), value }));
  let bytes = varintBytes(parts.length);
  for (const { key, value } of parts) {
    bytes += varintBytes(key.length) + key.length + varintBytes(value?.length ?? NULL_LENGTH) + (value?.length ?? 0);
  }
  const target = new Uint8Array(bytes);
  let at = writeVarint(target, 0, parts.length);
  for (const { key, value } of parts) {
    at = writeBytes(target, writeVarint(target, at, key.length), key);
    at = writeVarint(target, at, value?.length ?? NULL_LENGTH);
    if (value !== null) at = writeBytes(target, at, value);
  }
  return { bytes: target };
}

export const noHeaders: EncodedHeaders = encodeHeaders([]);

/** Below this a loop beats the call into `set`. */
const COPY_BY_HAND_BYTES_MAX = 24;

function writeBytes(target: Uint8Array, at: number, source: Uint8Array): number {
  const length = source.length;
  if (length <= COPY_BY_HAND_BYTES_MAX) {
    for (let i = 0; i < length; i++) target[at + i] = source[i] as number;
  } else {
    target.set(source, at);
  }
  return at + length;
}

export class BatchBuilder {
  readonly #initialBytes: number;
  #target: Uint8Array<ArrayBuffer>;
  #at = 0;
  #recordCount = 0;
  #baseTimestamp = 0;
  #maxTimestamp = 0;

  constructor(initialBytes = 16 * 1024) {
    this.#initialBytes = initialBytes;
    this.#target = new Uint8Array(new ArrayBuffer(initialBytes));
  }

  get bytes(): number {
    return this.#at;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  append(timestamp: Timestamp, key: Uint8Array | null, value: Uint8Array | null, headers: EncodedHeaders): void {
    if (this.#recordCount === 0) {
      this.#baseTimestamp = timestamp;
      this.#maxTimestamp = timestamp;
    } else if (timestamp > this.#maxTimestamp) {
      this.#maxTimestamp = timestamp;
    }
    const keyLength = key === null ? NULL_LENGTH : key.length;
    const valueLength = value === null ? NULL_LENGTH : value.length;
    const timestampDelta = timestamp - this.#baseTimestamp;
    const offsetDelta = this.#recordCount;
    const bytes =
      1 +
      varintBytes(timestampDelta) +
      varintBytes(offsetDelta) +
      varintBytes(keyLength) +
      (key === null ? 0 : keyLength) +
      varintBytes(valueLength) +
      (value === null ? 0 : valueLength) +
      headers.bytes.length;
    this.#makeRoom(bytes + RECORD_OVERHEAD_BYTES_MAX);
    const target = this.#target;
    let at = writeVarint(target, this.#at, bytes);
    target[at++] = 0;
    at = writeVarint(target, at, timestampDelta);
    at = writeVarint(target, at, offsetDelta);
    at = writeVarint(target, at, keyLength);
    if (key !== null) at = writeBytes(target, at, key);
    at = writeVarint(target, at, valueLength);
    if (value !== null) at = writeBytes(target, at, value);
    this.#at = writeBytes(target, at, headers.bytes);
    this.#recordCount++;
  }

  /**
   * Hands the records over and starts anew in the same memory, so that a busy builder allocates nothing: the caller
   * copies them before the next `append`. The builder must not be empty.
   */
  take(): OpenBatch {
    const open: OpenBatch = {
      buffer: this.#target.buffer,
      bytes: this.#at,
      recordCount: this.#recordCount,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
    };
    // What a burst has made large is given back once it is hardly used.
    if (this.#target.length > this.#initialBytes && this.#at < this.#target.length / SHRINK_BELOW) {
      this.#target = new Uint8Array(new ArrayBuffer(this.#initialBytes));
    }
    this.#at = 0;
    this.#recordCount = 0;
    return open;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#target.length) return;
    const grown = new Uint8Array(new ArrayBuffer(Math.max(needed, this.#target.length * 2)));
    grown.set(this.#target.subarray(0, this.#at));
    this.#target = grown;
  }
}
