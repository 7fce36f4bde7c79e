/** What a batch from a Kafka client must fulfil, in Kafka's order (UnifiedLog.append, LogValidator). Pure. */
import {
  isLogAppendTime,
  isTransactional,
  checkBatch,
  checkRecordCount,
  readBatchHeader,
} from "../../shared/batch/record-batch.ts";
import type { BatchHeader } from "../../shared/batch/record-batch.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Timestamp } from "../../shared/ids.ts";
import { checkKeys } from "./record-keys.ts";
import type { ProduceSettings } from "./topic-configs.ts";

const MAGIC_AT = 16;
const CODEC_MASK = 0x07;
const CODEC_ZSTD = 4;
/** What a batch may be said to unpack to, where nobody unpacks it here. */
const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;
/** KIP-110: older clients would not understand the batches of others. */
const ZSTD_FROM_PRODUCE_VERSION = 7;

export type ProduceCheck = {
  readonly settings: ProduceSettings;
  readonly produceVersion: number;
  readonly now: Timestamp;
};

/**
 * @throws StreamError CORRUPT_RECORD, INVALID_RECORD, UNSUPPORTED_COMPRESSION_TYPE, MESSAGE_TOO_LARGE,
 * INVALID_TIMESTAMP, TRANSACTIONS_NOT_SUPPORTED.
 */
export function checkProduced(records: Buffer | null, check: ProduceCheck): BatchHeader {
  if (records === null || records.length === 0) throw new StreamError("INVALID_RECORD", "no batch");
  const magic = records[MAGIC_AT];
  if (magic === 0 || magic === 1) {
    throw new StreamError("INVALID_RECORD", `message format ${magic} is not served, only 2`);
  }
  const { bytes, attributes, baseOffset } = readBatchHeader(records);
  if (bytes !== records.length) {
    throw new StreamError("INVALID_RECORD", `${records.length - bytes} bytes after the batch; one batch a partition`);
  }
  if ((attributes & CODEC_MASK) === CODEC_ZSTD && check.produceVersion < ZSTD_FROM_PRODUCE_VERSION) {
    throw new StreamError("UNSUPPORTED_COMPRESSION_TYPE", `zstd needs Produce version ${ZSTD_FROM_PRODUCE_VERSION}`);
  }
  if (baseOffset !== 0) throw new StreamError("INVALID_RECORD", `a base offset of ${baseOffset}, not 0`);
  const { settings, now } = check;
  if (bytes > settings.batchBytesMax) {
    throw new StreamError(
      "MESSAGE_TOO_LARGE",
      `a batch of ${bytes} bytes; max.message.bytes is ${settings.batchBytesMax}`,
    );
  }
  const header = checkBatch(records);
  checkRecordCount(header, DECOMPRESSED_BYTES_MAX);
  if (isLogAppendTime(header)) {
    throw new StreamError("INVALID_TIMESTAMP", "only the hub may set the timestamp type LogAppendTime");
  }
  if (isTransactional(header)) throw new StreamError("TRANSACTIONS_NOT_SUPPORTED", "a transactional batch");
  if (!settings.isLogAppendTime) checkTimestamps(header, settings, now);
  if (settings.isCompacted) checkKeys(records, header);
  return header;
}

function checkTimestamps(header: BatchHeader, settings: ProduceSettings, now: Timestamp): void {
  const ageMs = now - header.maxTimestamp;
  if (ageMs > settings.timestampBeforeMaxMs || -ageMs > settings.timestampAfterMaxMs) {
    throw new StreamError("INVALID_TIMESTAMP", `the newest record's time is ${ageMs} ms before the hub's`);
  }
}
