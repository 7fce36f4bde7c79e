/** From a batch to its records and back; the layout of a record is drawn in batch-builder.ts. */
import { StreamError } from "../errors.ts";
import type { Offset, Timestamp } from "../ids.ts";
import type { NewRecord, RecordHeader, StoredRecord } from "../record.ts";
import { BatchBuilder, encodeHeaders, noHeaders } from "./batch-builder.ts";
import type { OpenBatch } from "./batch-builder.ts";
import { compress, decompress } from "./compression.ts";
import {
  BATCH_HEADER_BYTES,
  codecOf,
  frameBatch,
  isLogAppendTime,
  readBatchHeader,
  replacePayload,
} from "./record-batch.ts";
import type { BatchHeader, Codec } from "./record-batch.ts";
import { VarintReader } from "./varint.ts";

/** What one batch may become in memory. */
export const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;
/** length, attributes, three deltas and lengths, header count: no record is smaller. */
const RECORD_BYTES_MIN = 7;

/** The plain records of a batch and how far to trust its count: the input of everything that looks inside. */
export function recordsSection(batch: Buffer, header: BatchHeader, bytesMax = DECOMPRESSED_BYTES_MAX): Buffer {
  const section = decompress(codecOf(header), batch.subarray(BATCH_HEADER_BYTES, header.bytes), bytesMax);
  if (header.recordCount * RECORD_BYTES_MIN > section.length) {
    throw new StreamError("CORRUPT_RECORD", `${header.recordCount} records in ${section.length} bytes`);
  }
  return section;
}

/**
 * The records of a stored batch, in order. Keys, values and headers are views into the decompressed bytes.
 *
 * @throws StreamError CORRUPT_RECORD when the records do not fill the batch exactly.
 */
export function* decodeRecords(batch: Buffer, header: BatchHeader = readBatchHeader(batch)): Generator<StoredRecord> {
  const section = recordsSection(batch, header);
  const reader = new VarintReader(section);
  for (let index = 0; index < header.recordCount; index++) {
    const end = recordEnd(reader);
    reader.at++;
    const timestampDelta = reader.int64();
    const offsetDelta = reader.int32();
    const key = readBytes(section, reader, end);
    const value = readBytes(section, reader, end);
    const headers = readHeaders(section, reader, end);
    if (reader.at !== end) throw new StreamError("CORRUPT_RECORD", `record ${index} does not fill its length`);
    yield {
      offset: header.baseOffset + offsetDelta,
      timestamp: isLogAppendTime(header) ? header.maxTimestamp : header.baseTimestamp + timestampDelta,
      key,
      value,
      headers,
    };
  }
  if (reader.at !== section.length) throw new StreamError("CORRUPT_RECORD", "bytes after the last record");
}

/** Reads a record's length and returns where it ends. */
export function recordEnd(reader: VarintReader): number {
  const length = reader.int32();
  const end = reader.at + length;
  if (length < RECORD_BYTES_MIN - 1 || end > reader.end) {
    throw new StreamError("CORRUPT_RECORD", `a record of ${length} bytes in ${reader.end - reader.at}`);
  }
  return end;
}

function readBytes(section: Buffer, reader: VarintReader, end: number): Buffer | null {
  const length = reader.int32();
  if (length === -1) return null;
  const from = reader.at;
  if (length < 0 || from + length > end) throw new StreamError("CORRUPT_RECORD", `a field of ${length} bytes`);
  reader.at = from + length;
  return section.subarray(from, from + length);
}

const noRecordHeaders: readonly RecordHeader[] = [];

function readHeaders(section: Buffer, reader: VarintReader, end: number): readonly RecordHeader[] {
  const count = reader.int32();
  if (count === 0) return noRecordHeaders;
  // A header takes at least two bytes, so a count cannot ask for more than the record holds.
  if (count < 0 || count * 2 > end - reader.at) throw new StreamError("CORRUPT_RECORD", `${count} headers`);
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i++) {
    const key = readBytes(section, reader, end);
    if (key === null) throw new StreamError("CORRUPT_RECORD", "a header without a name");
    headers.push({ key: key.toString("utf8"), value: readBytes(section, reader, end) });
  }
  return headers;
}

/** Closes open records into a batch at base offset 0, compressed with `codec`. */
export function closeBatch(open: OpenBatch, codec: Codec): Buffer {
  return frameBatch(
    {
      codec,
      lastOffsetDelta: open.recordCount - 1,
      recordCount: open.recordCount,
      baseTimestamp: open.baseTimestamp,
      maxTimestamp: open.maxTimestamp,
    },
    compress(codec, new Uint8Array(open.buffer, 0, open.bytes)),
  );
}

/**
 * The same batch without compression: offsets, times and producer stay, only the CRC is new.
 *
 * @throws StreamError CORRUPT_RECORD, MESSAGE_TOO_LARGE.
 */
export function decompressBatch(batch: Buffer): Buffer {
  return replacePayload(batch, recordsSection(batch, readBatchHeader(batch)), "none");
}

/** A batch of the given records: for callers that are not on the hot path. */
export function encodeRecords(records: readonly NewRecord[], codec: Codec = "none"): Buffer {
  const builder = new BatchBuilder();
  for (const record of records) {
    const headers = record.headers === undefined ? noHeaders : encodeHeaders(record.headers);
    builder.append(record.timestamp, record.key, record.value, headers);
  }
  return closeBatch(builder.take(), codec);
}

/** Offset and timestamp of each record, without its contents: for look-ups by time. */
export function* recordPositions(batch: Buffer): Generator<{ offset: Offset; timestamp: Timestamp }> {
  const header = readBatchHeader(batch);
  const reader = new VarintReader(recordsSection(batch, header));
  for (let index = 0; index < header.recordCount; index++) {
    const end = recordEnd(reader);
    reader.at++;
    const timestampDelta = reader.int64();
    const offset = header.baseOffset + reader.int32();
    yield { offset, timestamp: isLogAppendTime(header) ? header.maxTimestamp : header.baseTimestamp + timestampDelta };
    reader.at = end;
  }
}
