/**
 * Reads records for people and scripts: forward or backward in one partition, and over several partitions merged by time.
 *
 *   forward    [start ─────▶ end)          next: where to go on
 *   backward   [start ◀───── end)          next: the end of what comes after; newest first
 *
 * One request looks at a bounded number of bytes, so that a filter that fits nothing, or one partition of large records,
 * keeps neither the hub nor its memory: it returns what it has found, and where to go on.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { isControl, readBatchHeader, splitBatches } from "../../../shared/batch/record-batch.ts";
import { decodeRecords } from "../../../shared/batch/records.ts";
import { StreamError } from "../../../shared/errors.ts";
import type { Offset, Partition } from "../../../shared/ids.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import type { Engine, PartitionOffsets, TopicPartition } from "../../engine/engine.ts";
import type { PartitionCursor } from "./record-json.ts";

/** Stored bytes that one request looks at in one partition. */
export const SCANNED_BYTES_MAX = 4 * 1024 * 1024;
/** Keys, values and headers of one answer; a single larger record is returned all the same. */
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** What is read at a time; between two of them others have their turn. */
const CHUNK_BYTES = 256 * 1024;
/** Records that a first look backward takes; each further one twice as many, while they are small. */
const WINDOW_RECORDS = 64;
const WINDOW_RECORDS_MAX = 4096;
/** One that holds more than may be looked at is given up for one of so much less. */
const WINDOW_SHRINK = 8;

export type RecordFilter = (record: StoredRecord) => boolean;

/** Records that are stored and cannot be read, because their producer wrote them wrongly. */
export type Unreadable = TopicPartition & { readonly offset: Offset; readonly records: number };

export type PartitionRead = {
  /** Forward in the order of offsets, backward against it. */
  readonly records: readonly StoredRecord[];
  readonly next: Offset;
  readonly unreadable: readonly Unreadable[];
};

export type ReadOrder = "asc" | "desc";

export type ReadOptions = {
  readonly recordsMax: number;
  readonly bytesMax?: number;
  readonly filter?: RecordFilter | undefined;
};

type ReadEngine = Pick<Engine, "offsets" | "read">;

/** `from`: forward the first offset wanted, backward the one behind the first. @throws StreamError OFFSET_OUT_OF_RANGE, LOG_IO. */
export async function readPartition(
  engine: ReadEngine,
  at: TopicPartition,
  { order, from, ...options }: ReadOptions & { readonly order: ReadOrder; readonly from: Offset },
): Promise<PartitionRead> {
  const offsets = engine.offsets(at);
  checkRange(at, from, offsets);
  return order === "asc"
    ? readForward(engine, at, { ...options, from })
    : readBackward(engine, at, {
        ...options,
        to: Math.min(from, offsets.highWatermark),
        start: offsets.logStartOffset,
      });
}

function checkRange({ topic, partition }: TopicPartition, offset: Offset, offsets: PartitionOffsets): void {
  const { logStartOffset, logEndOffset } = offsets;
  if (offset >= logStartOffset && offset <= logEndOffset) return;
  const message = `${topic}/${partition} holds the offsets ${logStartOffset} to ${logEndOffset}, not ${offset}`;
  throw new StreamError("OFFSET_OUT_OF_RANGE", message, { details: { logStartOffset, logEndOffset } });
}

async function readForward(
  engine: ReadEngine,
  at: TopicPartition,
  { from, recordsMax, bytesMax = ANSWER_BYTES_MAX, filter }: ReadOptions & { readonly from: Offset },
): Promise<PartitionRead> {
  const records: StoredRecord[] = [];
  const unreadable: Unreadable[] = [];
  let bytes = 0;
  for await (const found of scan(engine, at, from)) {
    if (found.type === "unreadable") unreadable.push(found.range);
    else if (filter === undefined || filter(found.record)) {
      const size = sizeOf(found.record);
      const isFull = records.length === recordsMax || (records.length > 0 && bytes + size > bytesMax);
      if (isFull) return { records, next: found.record.offset, unreadable };
      bytes += size;
      records.push(found.record);
    }
    if (found.next > from) from = found.next;
  }
  return { records, next: from, unreadable };
}

async function readBackward(
  engine: ReadEngine,
  at: TopicPartition,
  options: ReadOptions & { readonly start: Offset; readonly to: Offset },
): Promise<PartitionRead> {
  const { start, recordsMax, bytesMax = ANSWER_BYTES_MAX, filter } = options;
  /** Newest first. */
  const records: StoredRecord[] = [];
  const unreadable: Unreadable[] = [];
  let { to } = options;
  let bytesLeft = bytesMax;
  let scanned = 0;
  for (let window = WINDOW_RECORDS; to > start && records.length < recordsMax;) {
    const from = Math.max(start, to - Math.min(window, filter === undefined ? recordsMax - records.length : window));
    const read = await readWindow(engine, at, { from, to, filter, bytesMax: bytesLeft });
    if (read === undefined) {
      window = Math.max(1, Math.floor(window / WINDOW_SHRINK));
      continue;
    }
    unreadable.unshift(...read.unreadable);
    const room = recordsMax - records.length;
    const taken = read.records.slice(-room);
    records.push(...taken.toReversed());
    bytesLeft -= read.bytes;
    scanned += read.scanned;
    to = taken.length < read.records.length ? (taken[0]?.offset ?? read.from) : read.from;
    if (bytesLeft <= 0 || read.isCut || scanned > SCANNED_BYTES_MAX) break;
    if (read.scanned < CHUNK_BYTES) window = Math.min(WINDOW_RECORDS_MAX, window * 2);
  }
  return { records, next: to, unreadable };
}

type Window = {
  readonly from: Offset;
  readonly to: Offset;
  readonly filter: RecordFilter | undefined;
  readonly bytesMax: number;
};

/**
 * The newest records of a window that fit; one at the least. `from` says how far back they reach. Undefined where the window
 * holds too much to be looked at.
 */
async function readWindow(engine: ReadEngine, at: TopicPartition, { from, to, filter, bytesMax }: Window) {
  const records: StoredRecord[] = [];
  const unreadable: Unreadable[] = [];
  let [bytes, scanned, isCut] = [0, 0, false];
  for await (const found of scan(engine, at, from, Infinity)) {
    if (found.start >= to) break;
    scanned += found.scanned;
    if (scanned > SCANNED_BYTES_MAX && to - from > 1) return undefined;
    if (found.type === "unreadable") {
      unreadable.push(found.range);
      continue;
    }
    if (filter !== undefined && !filter(found.record)) continue;
    records.push(found.record);
    bytes += sizeOf(found.record);
    while (bytes > bytesMax && records.length > 1) {
      bytes -= sizeOf(records.shift()!);
      isCut = true;
    }
  }
  return { records, unreadable, bytes, scanned, isCut, from: isCut ? (records[0]?.offset ?? from) : from };
}

type Found = {
  readonly start: Offset;
  readonly next: Offset;
  /** Stored bytes that were read for it and for what follows in its batch. */
  readonly scanned: number;
} & (
  | { readonly type: "record"; readonly record: StoredRecord }
  | { readonly type: "unreadable"; readonly range: Unreadable }
);

/** From `from` to the high watermark, or until `scannedMax` bytes were looked at. */
async function* scan(
  engine: ReadEngine,
  at: TopicPartition,
  from: Offset,
  scannedMax: number = SCANNED_BYTES_MAX,
): AsyncGenerator<Found> {
  let offset = from;
  for (let scanned = 0; scanned < scannedMax;) {
    if (offset >= engine.offsets(at).highWatermark) return;
    const { batches, bytes } = await engine.read({ ...at, offset, bytesMax: CHUNK_BYTES, atLeastOne: true });
    // What lies before the high watermark is damaged: nobody can read it.
    if (bytes === 0) return;
    scanned += bytes;
    for (const chunk of batches) {
      for (const batch of splitBatches(chunk)) {
        yield* recordsOf(batch, at, offset);
        const { baseOffset, lastOffsetDelta } = readBatchHeader(batch);
        offset = Math.max(offset, baseOffset + lastOffsetDelta + 1);
      }
    }
    await nextTurn();
  }
}

function* recordsOf(batch: Buffer, at: TopicPartition, from: Offset): Generator<Found> {
  const header = readBatchHeader(batch);
  if (isControl(header)) return;
  const end = header.baseOffset + header.lastOffsetDelta + 1;
  let scanned = header.bytes;
  let next = Math.max(from, header.baseOffset);
  try {
    for (const record of decodeRecords(batch, header)) {
      if (record.offset < from) continue;
      next = record.offset + 1;
      yield { type: "record", record, start: record.offset, next, scanned };
      scanned = 0;
    }
  } catch (error) {
    if (!(error instanceof StreamError) || error.code !== "CORRUPT_RECORD") throw error;
    const range = { ...at, offset: next, records: end - next };
    yield { type: "unreadable", range, start: next, next: end, scanned };
  }
}

function sizeOf({ key, value, headers }: StoredRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0);
  return bytes;
}

export type MergedRecord = StoredRecord & { readonly partition: Partition };

/**
 * Several partitions in the order of their records' times, each of them in its own order. Returns at most `recordsMax`
 * records and, for each partition, where to go on.
 */
export function mergeByTime(
  reads: readonly { readonly partition: Partition; readonly read: PartitionRead }[],
  order: ReadOrder,
  recordsMax: number,
): { readonly records: readonly MergedRecord[]; readonly next: readonly PartitionCursor[] } {
  const heads = reads.map(() => 0);
  const records: MergedRecord[] = [];
  while (records.length < recordsMax) {
    let best = -1;
    let bestRecord: StoredRecord | undefined;
    for (const [index, { read }] of reads.entries()) {
      const record = read.records[heads[index] ?? 0];
      if (record === undefined) continue;
      const isEarlier = bestRecord === undefined || record.timestamp < bestRecord.timestamp;
      const isLater = bestRecord === undefined || record.timestamp > bestRecord.timestamp;
      if (order === "asc" ? isEarlier : isLater) [best, bestRecord] = [index, record];
    }
    const from = reads[best];
    if (bestRecord === undefined || from === undefined) break;
    heads[best] = (heads[best] ?? 0) + 1;
    records.push({ ...bestRecord, partition: from.partition });
  }
  const next = reads.map(({ partition, read }, index) => {
    const rest = read.records[heads[index] ?? 0];
    // Backward the end is exclusive.
    return { partition, offset: rest === undefined ? read.next : rest.offset + (order === "asc" ? 0 : 1) };
  });
  return { records, next };
}
