/**
 * Takes superseded records and expired tombstones out of a batch. Pure; which key is superseded is the caller's to know.
 *
 *   [10: a=1 b=1 a=2 c=1 b=∅]   a, c have newer values   ▶   [10: · b=1 · · b=∅]   offsets 11 and 14 stay as they are
 *
 * The batch keeps its base offset, codec, producer's numbers and the times of its records. It ends with its last record:
 * the offsets that were taken from its end lie in the hole before the next batch. So whatever offset a consumer asks for,
 * the first batch it gets holds a record at or after it; several clients stand still before a batch that has none
 * (KafkaJS issue 1072, ruby-kafka issue 555, kafka-go pull request 813). Nothing is ever left as an empty batch.
 *
 * A tombstone (a key without a value) stays until the batch's delete horizon, so that consumers have time to hear of it.
 * The horizon is set when a batch with tombstones is first compacted, the way Kafka does it (KIP-534): bit 6 of the
 * attributes, and the base timestamp is the horizon, from which the records' deltas then count.
 *
 * Records without a key are never taken: they were accepted, and nothing says which of them replaces another.
 */
import type { Offset, Timestamp } from "../ids.ts";
import { compress } from "./compression.ts";
import { codecOf, deleteHorizonOf, isLogAppendTime, rewriteBatch } from "./record-batch.ts";
import type { BatchHeader } from "./record-batch.ts";
import { RecordScanner } from "./record-scan.ts";
import { recordsSection } from "./records.ts";
import { varintBytes, writeVarint } from "./varint.ts";

export type CompactionRules = {
  /** Whether the partition holds a newer record of this key. */
  readonly isSuperseded: (key: Buffer, offset: Offset) => boolean;
  /** Records from here on are not known to `isSuperseded` and stay. */
  readonly cleanEnd: Offset;
  /** Batches that end at or after this have not been through a whole compaction: a horizon in them means nothing. */
  readonly firstDirtyOffset: Offset;
  readonly now: Timestamp;
  /** For tombstones without one. */
  readonly newHorizon: Timestamp;
  /** False where an older value of a tombstone's key may be hidden. */
  readonly mayDropTombstones: boolean;
};

export type CompactedBatch =
  | { readonly type: "unchanged"; readonly horizon: Timestamp | undefined }
  | { readonly type: "removed"; readonly recordsRemoved: number }
  | {
      readonly type: "rewritten";
      readonly batch: Buffer;
      readonly recordsRemoved: number;
      /** Of the tombstones it still holds. */
      readonly horizon: Timestamp | undefined;
    };

/** Re-encoding a record for another base timestamp may make it longer by so much. */
const DELTA_GROWTH_BYTES_MAX = 16;

/** @throws StreamError CORRUPT_RECORD, MESSAGE_TOO_LARGE, UNSUPPORTED_COMPRESSION_TYPE: the batch cannot be looked into. */
export function compactBatch(batch: Buffer, header: BatchHeader, rules: CompactionRules): CompactedBatch {
  const section = recordsSection(batch, header);
  const kept = judgeRecords(section, header, rules);
  const recordsRemoved = header.recordCount - kept.count;
  if (kept.count === 0) return { type: "removed", recordsRemoved };
  const isHorizonNew = kept.hasTombstones && kept.horizon === undefined && canMoveBase(header, rules.newHorizon);
  const horizon = isHorizonNew ? rules.newHorizon : kept.horizon;
  const tombstoneHorizon = kept.hasTombstones ? horizon : undefined;
  if (recordsRemoved === 0 && !isHorizonNew) return { type: "unchanged", horizon: tombstoneHorizon };
  const baseTimestamp = isHorizonNew ? rules.newHorizon : header.baseTimestamp;
  const payload = copyKept(section, header, { isKept: kept.isKept, baseTimestamp });
  const rewritten = rewriteBatch(batch, compress(codecOf(header), payload), {
    recordCount: kept.count,
    lastOffsetDelta: kept.lastOffsetDelta,
    // Times beyond the exact integers are nobody's clock: the producer's own maximum stands.
    maxTimestamp: isLogAppendTime(header) || !isExact(header) ? undefined : kept.maxTimestamp,
    deleteHorizon: isHorizonNew ? rules.newHorizon : undefined,
  });
  return { type: "rewritten", batch: rewritten, recordsRemoved, horizon: tombstoneHorizon };
}

type Judged = {
  /** By position in the batch. */
  readonly isKept: Uint8Array;
  readonly count: number;
  readonly lastOffsetDelta: number;
  readonly maxTimestamp: Timestamp;
  readonly hasTombstones: boolean;
  /** That the batch came with, if it may be trusted. */
  readonly horizon: Timestamp | undefined;
};

function judgeRecords(section: Buffer, header: BatchHeader, rules: CompactionRules): Judged {
  const isDirty = header.baseOffset + header.lastOffsetDelta >= rules.firstDirtyOffset;
  const horizon = isDirty ? undefined : deleteHorizonOf(header);
  const isExpired = horizon !== undefined && horizon <= rules.now && rules.mayDropTombstones;
  const isKept = new Uint8Array(header.recordCount);
  const scanner = new RecordScanner(section, header);
  let count = 0;
  let lastOffsetDelta = 0;
  let maxTimestamp = -Infinity;
  let hasTombstones = false;
  for (let index = 0; scanner.next(); index++) {
    const offset = header.baseOffset + scanner.offsetDelta;
    const { key, hasValue } = scanner;
    if (key !== null && offset < rules.cleanEnd) {
      if (rules.isSuperseded(key, offset) || (!hasValue && isExpired)) continue;
      if (!hasValue) hasTombstones = true;
    }
    isKept[index] = 1;
    count++;
    lastOffsetDelta = scanner.offsetDelta;
    maxTimestamp = Math.max(maxTimestamp, header.baseTimestamp + scanner.timestampDelta);
  }
  return { isKept, count, lastOffsetDelta, maxTimestamp, hasTombstones, horizon };
}

/** The kept records, as they are or counted from another base timestamp. */
function copyKept(
  section: Buffer,
  header: BatchHeader,
  { isKept, baseTimestamp }: { readonly isKept: Uint8Array; readonly baseTimestamp: Timestamp },
): Uint8Array {
  const isMoved = baseTimestamp !== header.baseTimestamp;
  const target = new Uint8Array(section.length + (isMoved ? header.recordCount * DELTA_GROWTH_BYTES_MAX : 0));
  const scanner = new RecordScanner(section, header);
  let at = 0;
  for (let index = 0; scanner.next(); index++) {
    if (isKept[index] !== 1) continue;
    if (!isMoved) {
      target.set(section.subarray(scanner.start, scanner.end), at);
      at += scanner.end - scanner.start;
      continue;
    }
    const timestampDelta = header.baseTimestamp + scanner.timestampDelta - baseTimestamp;
    const { offsetDelta } = scanner;
    const rest = section.subarray(scanner.restAt, scanner.end);
    at = writeVarint(target, at, 1 + varintBytes(timestampDelta) + varintBytes(offsetDelta) + rest.length);
    target[at++] = scanner.attributes;
    at = writeVarint(target, at, timestampDelta);
    at = writeVarint(target, at, offsetDelta);
    target.set(rest, at);
    at += rest.length;
  }
  return target.subarray(0, at);
}

const isExact = (header: BatchHeader): boolean =>
  Number.isSafeInteger(header.baseTimestamp) && Number.isSafeInteger(header.maxTimestamp);

/** Whether the deltas can be counted from `base` without losing a digit. Where not, the tombstones stay. */
const canMoveBase = (header: BatchHeader, base: Timestamp): boolean =>
  Number.isSafeInteger(base) &&
  isExact(header) &&
  Math.abs(header.baseTimestamp) + Math.abs(header.maxTimestamp) + base < EXACT_MAX;

const EXACT_MAX = 2 ** 52;
