/**
 * Reads batches from the database: in the writer's thread for the agent, in a thread of its own for the hub. Every
 * batch's CRC is checked when it is read; a damaged one is skipped and reported, never served.
 */
import type { Database, Statement } from "better-sqlite3";
import { encodeHeader } from "../batch/added-header.ts";
import { BatchMerger, MEMORY_BYTES_MIN } from "../batch/merge.ts";
import { isProvisional } from "../batch/provisional-time.ts";
import { frameBatch, stampOffset } from "../batch/record-batch.ts";
import type { BatchHeader } from "../batch/record-batch.ts";
import { compress } from "../batch/compression.ts";
import { recordPositions } from "../batch/records.ts";
import { StreamError } from "../errors.ts";
import type { Offset, Timestamp } from "../ids.ts";
import { OldGarbage } from "../old-garbage.ts";
import { releaseMemory } from "../release-memory.ts";
import type { MergeQuery, ProducerRow, ReadQuery, TimeQuery } from "./log-messages.ts";
import type { MergedBatch } from "./partitioned-log.ts";
import { DamagePasser, isDamage } from "./damage-passer.ts";
import type { BatchRow } from "./damage-passer.ts";
import { BASE_OFFSET_SQL, OFFSET_MAX, batchKey } from "./schema.ts";
import type { ProducerState } from "./producer-state.ts";
import { soundHeader } from "./sound-batch.ts";

type StoredProducer = {
  readonly partition_id: bigint;
  readonly producer_id: bigint;
  readonly state: string;
  readonly updated_at: bigint;
};
type PlaceRow = { readonly base: Offset; readonly delta: number; readonly max_timestamp: Timestamp };

/** A stored batch of at least this share of the wanted size is passed on as it is, without a look inside. */
const LARGE_ENOUGH = 0.5;
/** What is kept from one join to the next. */
const MERGE_MEMORY_BYTES_MAX = 2 * 1024 * 1024;

/** `runningMaxTimestamp`: what the look-up by time goes by, see schema.ts. */
export type StoredBatch = {
  readonly batch: Buffer;
  readonly header: BatchHeader;
  readonly runningMaxTimestamp: Timestamp;
};

type Position = { readonly offset: Offset; readonly timestamp: Timestamp };

export type DamageListener = (partitionId: number, from: Offset, to: Offset) => void;

export class LogReader {
  readonly #floor: Statement<[bigint, bigint], PlaceRow>;
  readonly #passer: DamagePasser;
  readonly #backwards: Statement<[bigint, bigint], BatchRow>;
  readonly #last: Statement<[bigint, bigint], PlaceRow>;
  readonly #start: Statement<[number], { log_start_offset: Offset }>;
  readonly #producer: Statement<[bigint], StoredProducer>;
  readonly #producersOf: Statement<[number], StoredProducer>;
  readonly #begin: Statement<[]>;
  readonly #end: Statement<[]>;
  readonly #onDamage: DamageListener;
  readonly #database: Database;
  /** Used for one join after the other: while a backlog is drained, new memory for each would be most of the garbage. */
  #mergeMemory = new Uint8Array(MEMORY_BYTES_MIN);
  readonly #garbage = new OldGarbage();

  constructor(database: Database, onDamage: DamageListener) {
    this.#onDamage = onDamage;
    this.#database = database;
    this.#begin = database.prepare("BEGIN");
    this.#end = database.prepare("ROLLBACK");
    const place = `SELECT ${BASE_OFFSET_SQL} AS base, last_offset_delta AS delta, max_timestamp FROM batch`;
    this.#floor = database.prepare(`${place} WHERE key >= ? AND key <= ? ORDER BY key DESC LIMIT 1`);
    this.#last = this.#floor;
    const batch = `SELECT ${BASE_OFFSET_SQL} AS base, last_offset_delta AS delta, max_timestamp, bytes FROM batch`;
    this.#passer = new DamagePasser(database, onDamage);
    this.#backwards = database.prepare(`${batch} WHERE key >= ? AND key <= ? ORDER BY key DESC`);
    this.#start = database.prepare("SELECT log_start_offset FROM partition WHERE id = ?");
    const producer = "SELECT partition_id, producer_id, state, updated_at FROM producer";
    this.#producer = database.prepare(`${producer} WHERE producer_id = ?`);
    this.#producersOf = database.prepare(`${producer} WHERE partition_id = ?`);
    this.#producer.safeIntegers();
    this.#producersOf.safeIntegers();
  }

  /** Whole batches from the one that contains `offset`, in one buffer of its own. */
  read(query: ReadQuery): Buffer {
    return this.#inOneView(() => this.#read(query));
  }

  #read(query: ReadQuery): Buffer {
    this.#checkStart(query.partitionId, query.offset);
    const batches: Buffer[] = [];
    let bytes = 0;
    for (const { batch } of this.batches(query.partitionId, query.offset, query.end)) {
      if (bytes + batch.length > query.bytesMax && !(bytes === 0 && query.atLeastOne)) break;
      batches.push(batch);
      bytes += batch.length;
      if (bytes >= query.bytesMax) break;
    }
    return concatOwned(batches, bytes);
  }

  readMerged(query: MergeQuery): MergedBatch | undefined {
    const { sessions, end, mark } = query;
    const header = mark === undefined ? undefined : encodeHeader(mark.name, mark.value);
    const merger = new BatchMerger(query.offset, { memory: this.#mergeMemory, sessions, end, header });
    try {
      const found = this.#readMerged(query, merger);
      this.#garbage.passed(found?.batch.length ?? 0);
      return found;
    } finally {
      if (merger.memory.length <= MERGE_MEMORY_BYTES_MAX) this.#mergeMemory = merger.memory;
    }
  }

  #readMerged(query: MergeQuery, merger: BatchMerger): MergedBatch | undefined {
    for (const { batch, header } of this.batches(query.partitionId, query.offset, query.end)) {
      const isRewritten = mustRewrite(query, header);
      const isLarge = header.baseOffset >= query.offset && batch.length >= query.bytesMax * LARGE_ENOUGH;
      const standsAlone = isLarge && query.isSplit !== true;
      if (standsAlone && !isRewritten && merger.recordCount === 0) return asItIs(batch, header);
      // Before a large batch the joined small ones go first, so that order is kept.
      const isJoined = !(standsAlone && merger.recordCount > 0) && merger.continuesWith(batch);
      // A header more for each record must not make it too large for the uplink.
      if (isJoined) merger.add(batch, query.isSplit === true || isRewritten ? query.bytesMax : Infinity);
      releaseMemory(batch);
      if (!isJoined || merger.bytes >= query.bytesMax) break;
    }
    return merger.recordCount > 0 ? merged(merger, query) : undefined;
  }

  /** First record at or after `timestamp`: binary search over the running maximum, then a look into one batch. */
  offsetForTimestamp(query: TimeQuery, timestamp: Timestamp): Position | undefined {
    return this.#inOneView(() => this.#offsetForTimestamp(query, timestamp));
  }

  #offsetForTimestamp({ partitionId, end }: TimeQuery, timestamp: Timestamp): Position | undefined {
    const start = this.#startOf(partitionId);
    const last = this.#last.get(batchKey(partitionId, 0), batchKey(partitionId, end - 1));
    if (start === undefined || last === undefined || last.max_timestamp < timestamp) return undefined;
    let low = start;
    let high = last.base;
    // The answer is the first batch whose running maximum reaches `timestamp`: it begins in (low, high].
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const at = this.#floorOf(partitionId, middle);
      // What is found too early is passed over below.
      if (at === "damaged") high = middle;
      else if (at === undefined) low = middle + 1;
      else if (at.max_timestamp >= timestamp) high = at.base;
      else low = Math.max(middle, at.base + at.delta) + 1;
    }
    for (const { batch } of this.batches(partitionId, high, end)) {
      for (const position of recordPositions(batch)) {
        if (position.offset >= start && position.timestamp >= timestamp) return position;
      }
    }
    return undefined;
  }

  /** The record with the largest timestamp. */
  maxTimestamp(query: TimeQuery): Position | undefined {
    return this.#inOneView(() => {
      const newest = this.#last.get(batchKey(query.partitionId, 0), batchKey(query.partitionId, query.end - 1));
      if (newest === undefined) return undefined;
      return (
        this.#offsetForTimestamp(query, newest.max_timestamp) ??
        this.#offsetForTimestamp(query, this.#largestTimestamp(query))
      );
    });
  }

  /** Of the records that are left, where compaction or a trim took the one that had made the running maximum. */
  #largestTimestamp({ partitionId, end }: TimeQuery): Timestamp {
    const start = this.#startOf(partitionId) ?? 0;
    let largest = -Infinity;
    for (const row of this.#backwards.iterate(batchKey(partitionId, 0), batchKey(partitionId, end - 1))) {
      // Nothing before this batch is newer than its running maximum.
      if (largest >= row.max_timestamp || row.base + row.delta < start) break;
      const header = soundHeader(row);
      if (header === undefined) continue;
      largest = Math.max(largest, row.base >= start ? header.maxTimestamp : largestFrom(row.bytes, start));
    }
    return largest;
  }

  producer(producerId: bigint): ProducerRow[] {
    return this.#producer.all(producerId).map(toProducerRow);
  }

  producersOf(partitionId: number): ProducerRow[] {
    return this.#producersOf.all(partitionId).map(toProducerRow);
  }

  /** From the batch that contains `offset`, or else the next one; before `end`. */
  *batches(partitionId: number, offset: Offset, end: Offset = OFFSET_MAX + 1): Generator<StoredBatch> {
    const floor = this.#floorOf(partitionId, offset);
    const isInside = floor !== undefined && floor !== "damaged" && floor.base + floor.delta >= offset;
    for (const row of this.#passer.rows(partitionId, isInside ? floor.base : offset, end)) {
      const header = soundHeader(row);
      if (header === undefined) this.#onDamage(partitionId, row.base, row.base + row.delta);
      else yield { batch: row.bytes, header, runningMaxTimestamp: row.max_timestamp };
    }
  }

  /**
   * All statements of `work` see one state of the database: a trim between the look at the log start and the reading would
   * otherwise be a hole that nobody is told of.
   */
  #inOneView<Result>(work: () => Result): Result {
    if (this.#database.inTransaction) return work();
    this.#begin.run();
    try {
      return work();
    } finally {
      // Nothing was written. A COMMIT would fail after a damaged page that was passed over.
      if (this.#database.inTransaction) this.#end.run();
    }
  }

  #floorOf(partitionId: number, offset: Offset): PlaceRow | "damaged" | undefined {
    try {
      return this.#floor.get(batchKey(partitionId, 0), batchKey(partitionId, offset));
    } catch (error) {
      if (isDamage(error)) return "damaged";
      throw error;
    }
  }

  #startOf(partitionId: number): Offset | undefined {
    return this.#start.get(partitionId)?.log_start_offset;
  }

  #checkStart(partitionId: number, offset: Offset): void {
    const start = this.#startOf(partitionId);
    if (start === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", "the partition was deleted");
    if (offset < start) throw new StreamError("OFFSET_OUT_OF_RANGE", `${offset} is before the log start ${start}`);
  }
}

/** It cannot go as it is stored. */
function mustRewrite(query: MergeQuery, header: BatchHeader): boolean {
  // Once a clock is known it stays so: if any record of a batch is stamped provisionally, the first one is.
  const isRestamped = query.sessions !== undefined && isProvisional(header.baseTimestamp);
  return (
    isRestamped || query.mark !== undefined || header.baseOffset + header.lastOffsetDelta >= (query.end ?? Infinity)
  );
}

/** Of the records of a batch that a trim has cut. */
function largestFrom(batch: Buffer, start: Offset): Timestamp {
  let largest = -Infinity;
  for (const { offset, timestamp } of recordPositions(batch)) {
    if (offset >= start && timestamp > largest) largest = timestamp;
  }
  return largest;
}

/** In memory of its own, so that it can be handed to another thread without a copy. */
function concatOwned(batches: readonly Buffer[], bytes: number): Buffer {
  const result = Buffer.from(new ArrayBuffer(bytes));
  let at = 0;
  for (const batch of batches) {
    at += batch.copy(result, at);
    releaseMemory(batch);
  }
  return result;
}

function asItIs(batch: Buffer, header: BatchHeader): MergedBatch {
  return {
    batch,
    baseOffset: header.baseOffset,
    lastOffset: header.baseOffset + header.lastOffsetDelta,
    recordCount: header.lastOffsetDelta + 1,
  };
}

function merged(merger: BatchMerger, query: MergeQuery): MergedBatch {
  const baseOffset = merger.baseOffset;
  const open = merger.take();
  const payload = compress(query.codec, new Uint8Array(open.buffer, 0, open.bytes));
  const batch = frameBatch(
    {
      codec: query.codec,
      lastOffsetDelta: open.recordCount - 1,
      recordCount: open.recordCount,
      baseTimestamp: open.baseTimestamp,
      maxTimestamp: open.maxTimestamp,
    },
    payload,
  );
  // Without a codec it is the merger's own, which the next join uses.
  if (payload.buffer !== open.buffer) releaseMemory(payload);
  stampOffset(batch, baseOffset);
  return { batch, baseOffset, lastOffset: baseOffset + open.recordCount - 1, recordCount: open.recordCount };
}

function toProducerRow(row: StoredProducer): ProducerRow {
  // The count is younger than the rest of the state.
  const state = JSON.parse(row.state) as Omit<ProducerState, "records"> & { readonly records?: number };
  return {
    partitionId: Number(row.partition_id),
    producerId: row.producer_id,
    epoch: state.epoch,
    lastSequence: state.lastSequence,
    records: state.records ?? 0,
    updatedAt: Number(row.updated_at),
  };
}
