/**
 * From a batch as it was produced to the one that is stored. As a rule they are the same bytes, and nobody looks inside.
 *
 *   compression.type is a codec, and the batch has another one    the records are compressed anew
 *   message.timestamp.before/after.max.ms are set                 every record's time is looked at
 *   message.timestamp.type is LogAppendTime                       the hub's time, a new CRC
 *
 * Where the records are looked at anyway, they have to be right: as many as the header says, with offsets in a row.
 * Source: Kafka's LogValidator.
 */
import { compress } from "../../shared/batch/compression.ts";
import { codecOf, readBatchHeader, replacePayload, stampAppendTime } from "../../shared/batch/record-batch.ts";
import type { BatchHeader, Codec } from "../../shared/batch/record-batch.ts";
import { RecordScanner } from "../../shared/batch/record-scan.ts";
import { recordsSection } from "../../shared/batch/records.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Timestamp } from "../../shared/ids.ts";
import { recordsRefused } from "./record-errors.ts";
import type { RecordError } from "./record-errors.ts";
import type { ProduceSettings } from "./topic-configs.ts";

/** What a batch may become when it is looked into: this is work for the main thread. */
export const INSPECTED_BYTES_MAX = 8 * 1024 * 1024;
/** A batch is copied out of the request if the bytes it would keep alive are more than this many times its own. */
const PINNED_RATIO_MAX = 2;

export type StoredForm = { readonly batch: Buffer; readonly header: BatchHeader };

/**
 * `checked` is the header that `checkProduced` returned for `produced`.
 *
 * @throws StreamError INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE.
 */
export function storedForm(
  produced: Buffer,
  checked: BatchHeader,
  { settings, now }: { readonly settings: ProduceSettings; readonly now: Timestamp },
): StoredForm {
  const codec = settings.codec === codecOf(checked) ? undefined : settings.codec;
  const limitsTimes = !settings.isLogAppendTime && hasTimeLimits(settings);
  let batch = produced;
  if (codec !== undefined || limitsTimes) {
    const section = inspect(produced, checked, limitsTimes ? { settings, now } : undefined);
    if (codec !== undefined) batch = recompress(produced, section, { codec, settings });
  }
  if (batch === produced) batch = ownBytes(produced);
  if (settings.isLogAppendTime) stampAppendTime(batch, now);
  const isChanged = codec !== undefined || settings.isLogAppendTime;
  return { batch, header: isChanged ? readBatchHeader(batch) : checked };
}

/** Kafka's default is Long.MAX_VALUE: no limit. */
const hasTimeLimits = ({ timestampBeforeMaxMs, timestampAfterMaxMs }: ProduceSettings): boolean =>
  Math.min(timestampBeforeMaxMs, timestampAfterMaxMs) < Number.MAX_SAFE_INTEGER;

type TimeLimits = { readonly settings: ProduceSettings; readonly now: Timestamp };

/** Returns the plain records. */
function inspect(batch: Buffer, header: BatchHeader, limits: TimeLimits | undefined): Buffer {
  const late: RecordError[] = [];
  try {
    const section = recordsSection(batch, header, INSPECTED_BYTES_MAX);
    const scanner = new RecordScanner(section, header);
    for (let index = 0; scanner.next(); index++) {
      if (scanner.offsetDelta !== index) throw offsetMissing(index, scanner.offsetDelta);
      const wrong = limits === undefined ? undefined : timeError(header.baseTimestamp + scanner.timestampDelta, limits);
      if (wrong !== undefined) late.push({ batchIndex: index, batchIndexErrorMessage: wrong });
    }
    if (late.length === 0) return section;
  } catch (error) {
    // Kafka's code for damage makes clients send the batch again; but its CRC is right, so it would never be better.
    if (!(error instanceof StreamError) || error.code !== "CORRUPT_RECORD") throw error;
    throw new StreamError("INVALID_RECORD", `the records cannot be read: ${error.message}`, { cause: error });
  }
  throw recordsRefused("INVALID_TIMESTAMP", `${late.length} records have a time beyond the topic's limits`, late);
}

function offsetMissing(index: number, offsetDelta: number): StreamError {
  const message = `record ${index} has the offset ${offsetDelta} within its batch`;
  return recordsRefused("INVALID_RECORD", message, [{ batchIndex: index, batchIndexErrorMessage: message }]);
}

function timeError(timestamp: Timestamp, { settings, now }: TimeLimits): string | undefined {
  const ageMs = now - timestamp;
  const { timestampBeforeMaxMs, timestampAfterMaxMs } = settings;
  if (ageMs > timestampBeforeMaxMs) {
    return `${ageMs} ms old; message.timestamp.before.max.ms is ${timestampBeforeMaxMs}`;
  }
  if (-ageMs > timestampAfterMaxMs) {
    return `${-ageMs} ms ahead; message.timestamp.after.max.ms is ${timestampAfterMaxMs}`;
  }
  return undefined;
}

/** Offsets, times and the producer's numbers stay. The result may be larger, and the topic's limit holds for it too. */
function recompress(
  batch: Buffer,
  section: Buffer,
  { codec, settings }: { readonly codec: Codec; readonly settings: ProduceSettings },
): Buffer {
  const recompressed = replacePayload(batch, compress(codec, section, settings.compressionLevel), codec);
  if (recompressed.length > settings.batchBytesMax) {
    const { batchBytesMax } = settings;
    const message = `a batch of ${recompressed.length} bytes with codec ${codec}; max.message.bytes is ${batchBytesMax}`;
    throw new StreamError("MESSAGE_TOO_LARGE", message);
  }
  return recompressed;
}

/** The engine keeps the batch for readers at the tail: it must not keep a request of many partitions alive. */
function ownBytes(batch: Buffer): Buffer {
  if (batch.buffer.byteLength <= batch.length * PINNED_RATIO_MAX) return batch;
  const copy = Buffer.allocUnsafe(batch.length);
  batch.copy(copy);
  return copy;
}
