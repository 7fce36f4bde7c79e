/**
 * The reading half of compaction, in a thread of its own: finds out what is worth doing, learns the newest offset of each
 * key, and says what is to become of each batch. It never writes; the writer carries out its replacements between or
 * within commits. Every call is one bounded step, so that the thread can be closed soon and no read transaction stays
 * open long enough to hold up a checkpoint of the WAL.
 *
 *   offsets   log start ······· first dirty ······················ cleanable end ··· newest batch
 *   map                         └─ newest offset of each key ─┘ (as far as the map's memory reaches: clean end)
 *   clean     └─ each batch from the log start to the clean end ─┘
 */
import type { Database, Statement } from "better-sqlite3";
import { compactBatch } from "../batch/compact-batch.ts";
import type { CompactedBatch } from "../batch/compact-batch.ts";
import { readBatchHeader } from "../batch/record-batch.ts";
import type { BatchHeader } from "../batch/record-batch.ts";
import { RecordScanner } from "../batch/record-scan.ts";
import { recordsSection } from "../batch/records.ts";
import { StreamError } from "../errors.ts";
import type { Offset, Timestamp } from "../ids.ts";
import { invariant } from "../invariant.ts";
import type {
  CleanResult,
  CleanStep,
  CompactionQuery,
  CompactionRun,
  Inspection,
  MapStep,
  Replacement,
} from "./compaction-messages.ts";
import { compactionReason } from "./compaction-policy.ts";
import type { LogReader, StoredBatch } from "./log-reader.ts";
import { OffsetMap } from "./offset-map.ts";
import { BASE_OFFSET_SQL, OFFSET_MAX, batchKey } from "./schema.ts";

/** A step stops after so many stored bytes; a batch is never cut. */
const STEP_READ_BYTES = 2 * 1024 * 1024;
/** And after so long, because stored bytes do not tell what they become when they are decompressed. */
const STEP_MS_MAX = 200;
/** A step stops when its replacements reach this: what one commit carries besides its own. */
const STEP_WRITE_BYTES = 256 * 1024;
const STEP_REPLACEMENTS_MAX = 100;
/** Or when the batches that they replace reach this: the pages of a batch that goes cost time too. */
const STEP_FREED_BYTES = 512 * 1024;
/** Rows whose bytes are counted by one statement. */
const SUM_ROWS_MAX = 10_000;

type Inspect = Extract<CompactionQuery, { type: "compaction-inspect" }>;
type EndRow = { readonly base: Offset; readonly bytes: number };
type CheckpointRow = {
  readonly first_dirty_offset: Offset;
  readonly clean_from: Offset;
  readonly clean_bytes: number;
  readonly last_horizon: Timestamp | null;
};

/** A run and how far it has come. */
type Progress = {
  readonly run: CompactionRun;
  readonly map: OffsetMap;
  /** Up to where the keys are known, once mapping is done. */
  cleanEnd: Offset;
  mapNext: Offset;
  cleanNext: Offset;
  maxTimestamp: Timestamp;
  bytesBefore: number;
  bytesAfter: number;
  lastHorizon: Timestamp | undefined;
  batchesOpaque: number;
};

export class LogCleaner {
  readonly #reader: LogReader;
  readonly #start: Statement<[number], { log_start_offset: Offset }>;
  readonly #checkpoint: Statement<[number], CheckpointRow>;
  readonly #last: Statement<[bigint, bigint], EndRow>;
  readonly #endAt: Statement<[number, Timestamp], { end: Offset }>;
  readonly #firstMark: Statement<[number, Offset], { at: Timestamp }>;
  readonly #sum: Statement<[bigint, bigint, number], { bytes: number | null; base: Offset | null }>;
  #progress: Progress | undefined;

  constructor(database: Database, reader: LogReader) {
    this.#reader = reader;
    const row = `SELECT ${BASE_OFFSET_SQL} AS base, length(bytes) AS bytes FROM batch WHERE key >= ? AND key <= ?`;
    this.#start = database.prepare("SELECT log_start_offset FROM partition WHERE id = ?");
    this.#checkpoint = database.prepare("SELECT * FROM compaction WHERE partition_id = ?");
    this.#last = database.prepare(`${row} ORDER BY key DESC LIMIT 1`);
    const mark = "FROM age_mark WHERE partition_id = ?";
    this.#endAt = database.prepare(`SELECT end_offset AS "end" ${mark} AND at <= ? ORDER BY at DESC LIMIT 1`);
    this.#firstMark = database.prepare(`SELECT at ${mark} AND end_offset > ? ORDER BY at LIMIT 1`);
    this.#sum = database.prepare(`SELECT SUM(bytes) AS bytes, MAX(base) AS base FROM (${row} ORDER BY key LIMIT ?)`);
  }

  answer(query: CompactionQuery): unknown {
    switch (query.type) {
      case "compaction-inspect":
        return this.#inspect(query);
      case "compaction-start":
        return this.#begin(query.run);
      case "compaction-map":
        return this.#mapStep(this.#current());
      case "compaction-clean":
        return this.#cleanStep(this.#current());
      case "compaction-end":
        this.#progress = undefined;
        return undefined;
    }
  }

  #inspect({ partitionId, bytes, policy, now }: Inspect): Inspection {
    const logStartOffset = this.#start.get(partitionId)?.log_start_offset;
    const newest = this.#last.get(batchKey(partitionId, 0), batchKey(partitionId, OFFSET_MAX));
    if (logStartOffset === undefined || newest === undefined) {
      return { reason: undefined, logStartOffset: 0, firstDirtyOffset: 0, cleanableEnd: 0 };
    }
    const known = this.#checkpoint.get(partitionId);
    const firstDirtyOffset = Math.max(logStartOffset, known?.first_dirty_offset ?? 0);
    const cleanBytes =
      known?.clean_from === logStartOffset
        ? known.clean_bytes
        : this.#bytes(partitionId, logStartOffset, firstDirtyOffset);
    const bounds = { from: firstDirtyOffset, end: newest.base, before: now - policy.lagMsMin };
    const cleanableEnd = policy.lagMsMin > 0 ? this.#oldEnough(partitionId, bounds) : newest.base;
    const dirtyBytes =
      cleanableEnd === newest.base
        ? Math.max(0, bytes - cleanBytes - newest.bytes)
        : this.#bytes(partitionId, firstDirtyOffset, cleanableEnd);
    const isAgeAsked = policy.lagMsMax < Number.MAX_SAFE_INTEGER && cleanableEnd > firstDirtyOffset;
    const firstDirtyStoredAt = isAgeAsked ? this.#firstMark.get(partitionId, firstDirtyOffset)?.at : undefined;
    const lastHorizon = known?.last_horizon ?? undefined;
    const state = { firstDirtyOffset, cleanableEnd, cleanBytes, dirtyBytes, firstDirtyStoredAt, lastHorizon };
    return { reason: compactionReason(state, policy, now), logStartOffset, firstDirtyOffset, cleanableEnd };
  }

  /** Up to the newest mark that is old enough: see age-marks.ts. */
  #oldEnough(partitionId: number, { from, end, before }: { from: Offset; end: Offset; before: Timestamp }): Offset {
    return Math.min(end, Math.max(from, this.#endAt.get(partitionId, before)?.end ?? 0));
  }

  #bytes(partitionId: number, from: Offset, end: Offset): number {
    let total = 0;
    // Each statement is a read transaction of its own, so that none is open for long.
    for (let next = from; next < end;) {
      const step = this.#sum.get(batchKey(partitionId, next), batchKey(partitionId, end - 1), SUM_ROWS_MAX);
      if (step === undefined || step.bytes === null || step.base === null) break;
      total += step.bytes;
      next = step.base + 1;
    }
    return total;
  }

  #begin(run: CompactionRun): void {
    this.#progress = {
      run,
      map: new OffsetMap(run.mapBytesMax),
      cleanEnd: run.firstDirtyOffset,
      mapNext: run.firstDirtyOffset,
      cleanNext: run.logStartOffset,
      maxTimestamp: 0,
      bytesBefore: 0,
      bytesAfter: 0,
      lastHorizon: undefined,
      batchesOpaque: 0,
    };
  }

  #current(): Progress {
    invariant(this.#progress !== undefined, "no compaction was started");
    return this.#progress;
  }

  #mapStep(progress: Progress): MapStep {
    const { partitionId, cleanableEnd } = progress.run;
    const endMs = performance.now() + STEP_MS_MAX;
    let bytes = 0;
    for (const { batch, header } of this.#reader.batches(partitionId, progress.mapNext)) {
      if (header.baseOffset >= cleanableEnd) break;
      const fullAt = mapBatch(batch, header, progress);
      if (fullAt !== undefined) {
        progress.cleanEnd = fullAt;
        return { isDone: true };
      }
      progress.mapNext = header.baseOffset + header.lastOffsetDelta + 1;
      bytes += batch.length;
      if (bytes >= STEP_READ_BYTES || performance.now() >= endMs) return { isDone: false };
    }
    progress.cleanEnd = cleanableEnd;
    return { isDone: true };
  }

  #cleanStep(progress: Progress): CleanStep {
    const step = new StepBuilder();
    for (const stored of this.#reader.batches(progress.run.partitionId, progress.cleanNext)) {
      const { header, batch } = stored;
      if (header.baseOffset >= progress.cleanEnd) break;
      step.add(stored, compact(batch, header, progress), progress);
      progress.cleanNext = header.baseOffset + header.lastOffsetDelta + 1;
      if (step.isFull) return step.take(undefined);
    }
    const { cleanEnd, bytesBefore, bytesAfter, lastHorizon, batchesOpaque } = progress;
    return step.take({ cleanEnd, bytesBefore, bytesAfter, lastHorizon, batchesOpaque });
  }
}

/** The offset of the first record that found no room; undefined when all did, or the batch cannot be looked into. */
function mapBatch(batch: Buffer, header: BatchHeader, { run, map }: Progress): Offset | undefined {
  // All of it is read before the first key is put: a batch that turns out to be damaged must not supersede anything.
  for (const { key, offset } of keysOf(batch, header)) {
    if (offset >= run.firstDirtyOffset && !map.put(key, offset)) return offset;
  }
  return undefined;
}

function keysOf(batch: Buffer, header: BatchHeader): { readonly key: Buffer; readonly offset: Offset }[] {
  const keys: { key: Buffer; offset: Offset }[] = [];
  try {
    const scanner = new RecordScanner(recordsSection(batch, header), header);
    while (scanner.next()) {
      const { key } = scanner;
      if (key !== null) keys.push({ key, offset: header.baseOffset + scanner.offsetDelta });
    }
    return keys;
  } catch (error) {
    if (isUnreadable(error)) return [];
    throw error;
  }
}

/** Undefined for a batch that cannot be looked into: no records of the v2 format, or more of them than memory allows. */
function compact(batch: Buffer, header: BatchHeader, progress: Progress): CompactedBatch | undefined {
  const { run, map } = progress;
  try {
    return compactBatch(batch, header, {
      isSuperseded: (key, offset) => {
        const newest = map.get(key);
        return newest !== undefined && newest > offset;
      },
      cleanEnd: progress.cleanEnd,
      firstDirtyOffset: run.firstDirtyOffset,
      now: run.now,
      newHorizon: run.now + run.deleteRetentionMs,
      // An older value of a tombstone's key may be in an opaque batch and would come back.
      mayDropTombstones: progress.batchesOpaque === 0,
    });
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

/**
 * For good, and so in every run. A lack of memory ends the run instead: a batch that is stepped over now and read later
 * would have superseded nothing, and its tombstones would go before the values that they are for.
 */
function isUnreadable(error: unknown): boolean {
  if (!(error instanceof StreamError)) return false;
  const { code } = (error.cause ?? {}) as { code?: unknown };
  const isAllocation = error.cause instanceof RangeError && code === undefined;
  return !isAllocation && !OUT_OF_MEMORY.has(String(code));
}

/** Of zlib and zstd in Node. */
const OUT_OF_MEMORY = new Set(["Z_MEM_ERROR", "ZSTD_error_memory_allocation", "ERR_MEMORY_ALLOCATION_FAILED"]);

/** Gathers what one clean step found, and counts it. */
class StepBuilder {
  readonly #replacements: Replacement[] = [];
  readonly #pieces: Buffer[] = [];
  readonly #endMs = performance.now() + STEP_MS_MAX;
  #bytesRead = 0;
  #bytesToWrite = 0;
  #bytesToFree = 0;
  #recordsRemoved = 0;

  get isFull(): boolean {
    return (
      this.#bytesRead >= STEP_READ_BYTES ||
      this.#bytesToWrite >= STEP_WRITE_BYTES ||
      this.#bytesToFree >= STEP_FREED_BYTES ||
      this.#replacements.length >= STEP_REPLACEMENTS_MAX ||
      performance.now() >= this.#endMs
    );
  }

  add(stored: StoredBatch, compacted: CompactedBatch | undefined, progress: Progress): void {
    const { batch, header } = stored;
    this.#bytesRead += batch.length;
    progress.bytesBefore += batch.length;
    const before = {
      baseOffset: header.baseOffset,
      lastOffsetDeltaBefore: header.lastOffsetDelta,
      bytesBefore: batch.length,
    };
    if (compacted !== undefined && compacted.type !== "unchanged") this.#bytesToFree += batch.length;
    if (compacted?.type === "removed") {
      this.#recordsRemoved += compacted.recordsRemoved;
      this.#replacements.push({ ...before, type: "remove" });
      return;
    }
    if (compacted === undefined) progress.batchesOpaque++;
    // Tombstones behind an opaque batch do not go: nobody need come back for them.
    else if (progress.batchesOpaque === 0) progress.lastHorizon = later(progress.lastHorizon, compacted.horizon);
    const left = compacted?.type === "rewritten" ? compacted.batch : batch;
    const { maxTimestamp, lastOffsetDelta } = readBatchHeader(left);
    progress.maxTimestamp = Math.max(progress.maxTimestamp, maxTimestamp);
    progress.bytesAfter += left.length;
    if (compacted?.type === "rewritten") {
      const from = this.#bytesToWrite;
      this.#recordsRemoved += compacted.recordsRemoved;
      this.#pieces.push(left);
      this.#bytesToWrite += left.length;
      const place = { lastOffsetDelta, maxTimestamp: progress.maxTimestamp, from, to: this.#bytesToWrite };
      this.#replacements.push({ ...before, type: "rewrite", ...place });
    } else if (stored.runningMaxTimestamp !== progress.maxTimestamp) {
      this.#replacements.push({ ...before, type: "restamp", maxTimestamp: progress.maxTimestamp });
    }
  }

  take(done: CleanResult | undefined): CleanStep {
    return {
      replacements: this.#replacements,
      bytes: Buffer.concat(this.#pieces, this.#bytesToWrite),
      recordsRemoved: this.#recordsRemoved,
      done,
    };
  }
}

/** Of two horizons. */
function later(one: Timestamp | undefined, other: Timestamp | undefined): Timestamp | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other);
}
