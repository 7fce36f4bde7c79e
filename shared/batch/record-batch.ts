/**
 * RecordBatch v2: the one format on the agent's disk, on the uplink, on the hub's disk and on the wire to consumers.
 *
 *   at  size  field                    in the CRC   note
 *    0    8   base offset                  no       stamped by the log that stores the batch
 *    8    4   batch length                 no       bytes after this field: total - 12
 *   12    4   partition leader epoch       no       stamped: 0
 *   16    1   magic = 2                    no
 *   17    4   CRC-32C of bytes 21 to end   -
 *   21    2   attributes                   yes      bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control,
 *                                               6 delete horizon: the base timestamp is when its tombstones may go
 *   23    4   last offset delta            yes
 *   27    8   base timestamp               yes
 *   35    8   max timestamp                yes
 *   43    8   producer id                  yes      -1 none
 *   51    2   producer epoch               yes      -1 none
 *   53    4   base sequence                yes      -1 none
 *   57    4   record count                 yes
 *   61    -   records, or one compressed block of them
 *
 * Base offset and leader epoch lie outside the CRC, so the log assigns offsets without touching the rest.
 * Source: Kafka's DefaultRecordBatch.
 */
import { StreamError } from "../errors.ts";
import type { Offset, ProducerEpoch, ProducerId, Sequence, Timestamp } from "../ids.ts";
import { crc32c } from "./crc32c.ts";

export const BATCH_HEADER_BYTES = 61;
/** Base offset and length: what comes before the bytes that `batch length` counts. */
export const BATCH_PREFIX_BYTES = 12;
const MAGIC = 2;
const AT = {
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
} as const;

export const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Codec = (typeof codecs)[number];

const CODEC_MASK = 0x07;
const ATTRIBUTE_LOG_APPEND_TIME = 0x08;
const ATTRIBUTE_TRANSACTIONAL = 0x10;
const ATTRIBUTE_CONTROL = 0x20;
const ATTRIBUTE_DELETE_HORIZON = 0x40;

export const NO_PRODUCER_ID: ProducerId = -1n;

/** The header of a batch, decoded. `bytes` is the size of the whole batch. */
export type BatchHeader = {
  readonly baseOffset: Offset;
  readonly bytes: number;
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly attributes: number;
  /** Last offset = base offset + this. Trust it rather than the record count: compaction leaves gaps. */
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: Timestamp;
  readonly maxTimestamp: Timestamp;
  readonly producerId: ProducerId;
  readonly producerEpoch: ProducerEpoch;
  readonly baseSequence: Sequence;
  readonly recordCount: number;
};

export type BatchFields = {
  readonly codec: Codec;
  readonly lastOffsetDelta: number;
  readonly recordCount: number;
  readonly baseTimestamp: Timestamp;
  readonly maxTimestamp: Timestamp;
};

export function codecOf(header: BatchHeader): Codec {
  const codec = codecs[header.attributes & CODEC_MASK];
  if (codec === undefined) {
    throw new StreamError("UNSUPPORTED_COMPRESSION_TYPE", `codec ${header.attributes & CODEC_MASK} does not exist`);
  }
  return codec;
}

export const isControl = (header: BatchHeader): boolean => (header.attributes & ATTRIBUTE_CONTROL) !== 0;
export const isTransactional = (header: BatchHeader): boolean => (header.attributes & ATTRIBUTE_TRANSACTIONAL) !== 0;
export const isLogAppendTime = (header: BatchHeader): boolean => (header.attributes & ATTRIBUTE_LOG_APPEND_TIME) !== 0;

/** When compaction may take the batch's tombstones; undefined before it has set a time (KIP-534). */
export const deleteHorizonOf = (header: BatchHeader): Timestamp | undefined =>
  (header.attributes & ATTRIBUTE_DELETE_HORIZON) === 0 ? undefined : header.baseTimestamp;

/** The size of the batch that starts at `at`, or undefined while its first 12 bytes are not there. */
export function batchBytesAt(source: Buffer, at: number): number | undefined {
  if (at + BATCH_PREFIX_BYTES > source.length) return undefined;
  return BATCH_PREFIX_BYTES + source.readInt32BE(at + AT.length);
}

/**
 * Reads a header without checking the CRC: for batches that come from our own log and were checked on the way in.
 *
 * @throws StreamError CORRUPT_RECORD when the batch is cut, or its length or magic cannot be right.
 */
export function readBatchHeader(source: Buffer, at = 0): BatchHeader {
  const bytes = batchBytesAt(source, at);
  if (bytes === undefined || bytes < BATCH_HEADER_BYTES || at + bytes > source.length) {
    throw new StreamError("CORRUPT_RECORD", `a batch of ${bytes ?? "unknown"} bytes in ${source.length - at}`);
  }
  const magic = source[at + AT.magic];
  if (magic !== MAGIC) {
    const code = magic === 0 || magic === 1 ? "INVALID_RECORD" : "CORRUPT_RECORD";
    throw new StreamError(code, `message format ${magic} is not served, only 2`);
  }
  return {
    baseOffset: Number(source.readBigInt64BE(at)),
    bytes,
    leaderEpoch: source.readInt32BE(at + AT.leaderEpoch),
    crc: source.readUInt32BE(at + AT.crc),
    attributes: source.readInt16BE(at + AT.attributes),
    lastOffsetDelta: source.readInt32BE(at + AT.lastOffsetDelta),
    baseTimestamp: Number(source.readBigInt64BE(at + AT.baseTimestamp)),
    maxTimestamp: Number(source.readBigInt64BE(at + AT.maxTimestamp)),
    producerId: source.readBigInt64BE(at + AT.producerId),
    producerEpoch: source.readInt16BE(at + AT.producerEpoch),
    baseSequence: source.readInt32BE(at + AT.baseSequence),
    recordCount: source.readInt32BE(at + AT.recordCount),
  };
}

/** Whether the batch's bytes give its CRC. */
export function hasValidCrc(batch: Buffer, header: BatchHeader): boolean {
  return crc32c(batch.subarray(AT.attributes, header.bytes)) === header.crc;
}

/**
 * Checks a single batch from outside: complete, alone, CRC right, counts consistent, a codec that exists.
 *
 * @throws StreamError CORRUPT_RECORD, INVALID_RECORD or UNSUPPORTED_COMPRESSION_TYPE.
 */
export function checkBatch(batch: Buffer): BatchHeader {
  if (batch.length === 0) throw new StreamError("INVALID_RECORD", "no batch");
  const header = readBatchHeader(batch);
  if (header.bytes !== batch.length) {
    throw new StreamError("INVALID_RECORD", `${batch.length - header.bytes} bytes after the batch`);
  }
  if (!hasValidCrc(batch, header)) throw new StreamError("CORRUPT_RECORD", "the CRC-32C does not match");
  codecOf(header);
  if (header.recordCount <= 0 || header.recordCount !== header.lastOffsetDelta + 1) {
    throw new StreamError(
      "INVALID_RECORD",
      `${header.recordCount} records with a last offset delta of ${header.lastOffsetDelta}`,
    );
  }
  if (isControl(header)) throw new StreamError("INVALID_RECORD", "control batches are not for clients");
  if (header.producerId >= 0n && header.baseSequence < 0) {
    throw new StreamError("INVALID_RECORD", "a producer id without a sequence");
  }
  return header;
}

/** The smallest record there is: seven fields of one byte. */
const RECORD_BYTES_MIN = 7;

/**
 * That the batch can hold as many records as it says: each takes an offset, and offsets are not endless.
 *
 * @throws StreamError INVALID_RECORD.
 */
export function checkRecordCount(header: BatchHeader, decompressedBytesMax: number): void {
  const bytesMax = codecOf(header) === "none" ? header.bytes - BATCH_HEADER_BYTES : decompressedBytesMax;
  if (header.recordCount * RECORD_BYTES_MIN <= bytesMax) return;
  throw new StreamError("INVALID_RECORD", `${header.recordCount} records do not fit into ${bytesMax} bytes`);
}

/** Gives the batch its place in the log. In place; the CRC stays right. */
export function stampOffset(batch: Buffer, baseOffset: Offset): void {
  batch.writeBigInt64BE(BigInt(baseOffset), 0);
  batch.writeInt32BE(0, AT.leaderEpoch);
}

/** Makes it a control batch, which consumers pass over. In place; recomputes the CRC. */
export function stampControl(batch: Buffer): void {
  batch.writeInt16BE(batch.readInt16BE(AT.attributes) | ATTRIBUTE_CONTROL | ATTRIBUTE_TRANSACTIONAL, AT.attributes);
  batch.writeUInt32BE(crc32c(batch.subarray(AT.attributes)), AT.crc);
}

/** Gives the batch its producer's numbers. In place; recomputes the CRC. */
export function stampProducer(
  batch: Buffer,
  producer: { producerId: ProducerId; producerEpoch: ProducerEpoch; baseSequence: Sequence },
): void {
  batch.writeBigInt64BE(producer.producerId, AT.producerId);
  batch.writeInt16BE(producer.producerEpoch, AT.producerEpoch);
  batch.writeInt32BE(producer.baseSequence, AT.baseSequence);
  batch.writeUInt32BE(crc32c(batch.subarray(AT.attributes)), AT.crc);
}

/** Sets the broker's time as the time of all records (LogAppendTime). In place; recomputes the CRC. */
export function stampAppendTime(batch: Buffer, now: Timestamp): void {
  batch.writeInt16BE(batch.readInt16BE(AT.attributes) | ATTRIBUTE_LOG_APPEND_TIME, AT.attributes);
  batch.writeBigInt64BE(BigInt(now), AT.maxTimestamp);
  batch.writeUInt32BE(crc32c(batch.subarray(AT.attributes)), AT.crc);
}

/**
 * A whole batch around `payload` (records, compressed already if `codec` says so), at base offset 0 and without a
 * producer. One allocation, one copy.
 */
export function frameBatch(fields: BatchFields, payload: Uint8Array): Buffer {
  const batch = Buffer.allocUnsafe(BATCH_HEADER_BYTES + payload.length);
  batch.set(payload, BATCH_HEADER_BYTES);
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(batch.length - BATCH_PREFIX_BYTES, AT.length);
  batch.writeInt32BE(0, AT.leaderEpoch);
  batch[AT.magic] = MAGIC;
  batch.writeInt16BE(codecs.indexOf(fields.codec), AT.attributes);
  batch.writeInt32BE(fields.lastOffsetDelta, AT.lastOffsetDelta);
  batch.writeBigInt64BE(BigInt(fields.baseTimestamp), AT.baseTimestamp);
  batch.writeBigInt64BE(BigInt(fields.maxTimestamp), AT.maxTimestamp);
  batch.writeInt32BE(fields.recordCount, AT.recordCount);
  stampProducer(batch, { producerId: NO_PRODUCER_ID, producerEpoch: -1, baseSequence: -1 });
  return batch;
}

/** The batch with other bytes for its records, in another codec; all else stays as it is, but for length and CRC. */
export function replacePayload(batch: Buffer, payload: Uint8Array, codec: Codec): Buffer {
  const replaced = Buffer.allocUnsafe(BATCH_HEADER_BYTES + payload.length);
  batch.copy(replaced, 0, 0, BATCH_HEADER_BYTES);
  replaced.set(payload, BATCH_HEADER_BYTES);
  replaced.writeInt32BE(replaced.length - BATCH_PREFIX_BYTES, AT.length);
  replaced.writeInt16BE((batch.readInt16BE(AT.attributes) & ~CODEC_MASK) | codecs.indexOf(codec), AT.attributes);
  replaced.writeUInt32BE(crc32c(replaced.subarray(AT.attributes)), AT.crc);
  return replaced;
}

/** The batch with fewer records, which are in `payload`, compressed with the batch's own codec. What is undefined stays. */
export function rewriteBatch(
  batch: Buffer,
  payload: Uint8Array,
  fields: {
    readonly recordCount: number;
    readonly lastOffsetDelta: number;
    readonly maxTimestamp: Timestamp | undefined;
    readonly deleteHorizon: Timestamp | undefined;
  },
): Buffer {
  const rewritten = Buffer.allocUnsafe(BATCH_HEADER_BYTES + payload.length);
  batch.copy(rewritten, 0, 0, BATCH_HEADER_BYTES);
  rewritten.set(payload, BATCH_HEADER_BYTES);
  rewritten.writeInt32BE(rewritten.length - BATCH_PREFIX_BYTES, AT.length);
  rewritten.writeInt32BE(fields.recordCount, AT.recordCount);
  rewritten.writeInt32BE(fields.lastOffsetDelta, AT.lastOffsetDelta);
  if (fields.maxTimestamp !== undefined) rewritten.writeBigInt64BE(BigInt(fields.maxTimestamp), AT.maxTimestamp);
  if (fields.deleteHorizon !== undefined) {
    rewritten.writeInt16BE(batch.readInt16BE(AT.attributes) | ATTRIBUTE_DELETE_HORIZON, AT.attributes);
    rewritten.writeBigInt64BE(BigInt(fields.deleteHorizon), AT.baseTimestamp);
  }
  rewritten.writeUInt32BE(crc32c(rewritten.subarray(AT.attributes)), AT.crc);
  return rewritten;
}

/** The batches in `source`, which holds whole batches one after another, as a log read returns them. */
export function* splitBatches(source: Buffer): Generator<Buffer> {
  for (let at = 0; at < source.length;) {
    const bytes = batchBytesAt(source, at);
    if (bytes === undefined || bytes < BATCH_HEADER_BYTES || at + bytes > source.length) {
      throw new StreamError("CORRUPT_RECORD", `a batch is cut at ${at} of ${source.length} bytes`);
    }
    yield source.subarray(at, at + bytes);
    at += bytes;
  }
}
