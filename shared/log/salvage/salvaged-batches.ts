/**
 * The batches of a damaged log that are what was written, carried over into the new one. First along the tree, in order;
 * then from leaves that nothing leads to any more. A batch proves itself: its place, its length and its CRC agree, or it
 * is not taken.
 */
import type { Database, Statement } from "better-sqlite3";
import type { BatchHeader } from "../../batch/record-batch.ts";
import type { Offset, Timestamp } from "../../ids.ts";
import { OFFSET_MAX, batchKey } from "../schema.ts";
import { soundHeader } from "../sound-batch.ts";
import type { SqlValue } from "./record-format.ts";
import type { Row, TableWalk } from "./table-walk.ts";

/** Of one transaction: what is lost at the most when the disk is full, because SQLite then takes all of it back. */
const STEP_BYTES = 1024 * 1024;
const OFFSET_BITS = 42n;

/** A partition of the new log, as far as batches must know it. */
export type BatchPlace = {
  readonly logStartOffset: Offset;
  /** Compaction has been here: before it, a leaf that nothing leads to may hold what was removed. */
  readonly compactedEnd: Offset;
};

export type ProducerBatch = { readonly partitionId: number; readonly header: BatchHeader };

export type BatchSalvage = {
  readonly target: Database;
  readonly places: ReadonlyMap<number, BatchPlace>;
  /** Hears of every batch that has a producer's numbers, once it is in the new log. */
  readonly onProduced: (produced: ProducerBatch) => void;
};

export class SalvagedBatches {
  readonly #salvage: BatchSalvage;
  readonly #insert: Statement<[bigint, number, Timestamp, Buffer]>;
  readonly #neighbours: Statement<[bigint, bigint], { key: bigint; delta: bigint }>;
  readonly #maxTimestamps = new Map<number, Timestamp>();
  /** Of the transaction that is open. */
  #step: ProducerBatch[] = [];
  #stepBytes = 0;
  count = 0;
  records = 0;
  /** Rows that are of the table and fail their check. */
  damaged = 0;
  /** Sound ones of partitions that do not exist. */
  strays = 0;
  hadRoom = true;

  constructor(salvage: BatchSalvage) {
    this.#salvage = salvage;
    this.#insert = salvage.target.prepare(
      "INSERT OR IGNORE INTO batch (key, last_offset_delta, max_timestamp, bytes) VALUES (?, ?, ?, ?)",
    );
    this.#neighbours = salvage.target
      .prepare<[bigint, bigint], { key: bigint; delta: bigint }>(
        "SELECT key, last_offset_delta AS delta FROM batch WHERE key >= ? AND key <= ? ORDER BY key DESC LIMIT 1",
      )
      .safeIntegers();
  }

  /** `root`: of the table, where it is known. */
  carryOver(walk: TableWalk, root: number | undefined): void {
    if (root !== undefined) this.#inSteps(walk.rows(root), (row) => this.#take(row, false));
    if (this.hadRoom) this.#inSteps(walk.orphans(), (row) => this.#take(row, true));
  }

  #inSteps(rows: Generator<Row>, take: (row: Row) => void): void {
    const { target } = this.#salvage;
    try {
      target.exec("BEGIN");
      for (const row of rows) {
        take(row);
        if (this.#stepBytes < STEP_BYTES) continue;
        this.#endStep();
        target.exec("BEGIN");
      }
      this.#endStep();
    } catch (error) {
      if ((error as { code?: string }).code !== "SQLITE_FULL") throw error;
      // What is there must do: a log that does not open would be worse.
      this.hadRoom = false;
      this.#step = [];
      this.#stepBytes = 0;
      if (target.inTransaction) target.exec("ROLLBACK");
    }
  }

  #endStep(): void {
    this.#salvage.target.exec("COMMIT");
    for (const batch of this.#step) {
      this.count++;
      this.records += batch.header.recordCount;
      if (batch.header.producerId >= 0n) this.#salvage.onProduced(batch);
    }
    this.#step = [];
    this.#stepBytes = 0;
  }

  #take({ rowid, values }: Row, isOrphan: boolean): void {
    const bytes = batchOf(values);
    if (rowid === undefined || rowid < 0n || bytes === undefined) {
      // Most orphans are of other tables.
      if (!isOrphan) this.damaged++;
      return;
    }
    const partitionId = Number(rowid >> OFFSET_BITS);
    const base = Number(rowid & BigInt(OFFSET_MAX));
    const header = soundHeader({ base, bytes });
    if (header === undefined) {
      if (!isOrphan) this.damaged++;
      return;
    }
    const place = this.#salvage.places.get(partitionId);
    if (place === undefined) {
      this.strays++;
      return;
    }
    if (base + header.lastOffsetDelta < place.logStartOffset) return;
    if (isOrphan && (base < place.compactedEnd || !this.#isFree(partitionId, base, header.lastOffsetDelta))) return;
    this.#store(rowid, partitionId, header, bytes);
  }

  #store(key: bigint, partitionId: number, header: BatchHeader, bytes: Buffer): void {
    const maxTimestamp = Math.max(this.#maxTimestamps.get(partitionId) ?? 0, header.maxTimestamp);
    this.#maxTimestamps.set(partitionId, maxTimestamp);
    if (this.#insert.run(key, header.lastOffsetDelta, maxTimestamp, bytes).changes === 0) return;
    this.#step.push({ partitionId, header });
    this.#stepBytes += bytes.length;
  }

  /** An older copy of a page must not put records where others are. */
  #isFree(partitionId: number, base: Offset, delta: number): boolean {
    const before = this.#neighbours.get(batchKey(partitionId, 0), batchKey(partitionId, base + delta));
    return before === undefined || Number(before.key & BigInt(OFFSET_MAX)) + Number(before.delta) < base;
  }
}

/** Key, numbers, and the bytes last, whatever columns are between. */
function batchOf(values: readonly SqlValue[]): Buffer | undefined {
  const blobs = values.filter((value) => Buffer.isBuffer(value));
  return values[0] === null && blobs.length === 1 ? blobs[0] : undefined;
}
