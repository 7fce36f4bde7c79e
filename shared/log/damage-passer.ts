/**
 * Reads a partition's batches past pages that are damaged: SQLite stops there (SQLITE_CORRUPT) or the disk does (an error
 * on reading), and what lies behind is sound.
 *
 *   …│ sound │ ▒▒ damaged ▒▒ │ sound │…      found by reading at +1, +2, +4 … behind the last sound batch, then by halves
 *
 * A page that stands in the place of another shows itself by rows that are out of place, or end too early.
 *
 * A hole is found once and passed over from then on. An error of the disk may pass by itself: it makes a hole only when it
 * comes a second time.
 */
import type { Database, Statement } from "better-sqlite3";
import type { Offset, Timestamp } from "../ids.ts";
import { BASE_OFFSET_SQL, OFFSET_MAX, PARTITION_ID_SQL, batchKey } from "./schema.ts";

export type BatchRow = {
  readonly base: Offset;
  readonly delta: number;
  readonly max_timestamp: Timestamp;
  readonly bytes: Buffer;
};
type PlacedRow = BatchRow & { readonly place: number };
/** Inclusive ends. */
type Hole = { readonly from: Offset; readonly to: Offset };
type Probe = { readonly at: Offset; readonly found: Offset };

/** Remembered; what is forgotten is found again. */
const HOLES_MAX = 1000;
/** Looks for sound batches between damaged ones. */
const PROBES_BETWEEN = 64;
/** `found` where nothing follows. */
const NOTHING = Infinity;

export class DamagePasser {
  readonly #rows: Statement<[bigint, bigint], PlacedRow>;
  readonly #first: Statement<[bigint, bigint], PlacedRow>;
  readonly #last: Statement<[bigint, bigint], { readonly base: Offset; readonly place: number }>;
  readonly #onHole: (partitionId: number, from: Offset, to: Offset) => void;
  readonly #holes = new Map<number, Hole[]>();
  #holeCount = 0;
  /** Where the disk has failed once. */
  readonly #failed = new Set<bigint>();

  constructor(database: Database, onHole: (partitionId: number, from: Offset, to: Offset) => void) {
    const place = `SELECT ${PARTITION_ID_SQL} AS place, ${BASE_OFFSET_SQL} AS base`;
    const batch = `${place}, last_offset_delta AS delta, max_timestamp, bytes FROM batch`;
    this.#last = database.prepare(`${place} FROM batch WHERE key >= ? AND key <= ? ORDER BY key DESC LIMIT 1`);
    this.#rows = database.prepare(`${batch} WHERE key >= ? AND key <= ? ORDER BY key`);
    this.#first = database.prepare(`${batch} WHERE key >= ? AND key <= ? ORDER BY key LIMIT 1`);
    this.#onHole = onHole;
  }

  /** Rows that begin at `from` or later and before `end`, in order. */
  *rows(partitionId: number, from: Offset, end: Offset): Generator<BatchRow> {
    let next = from;
    while (next < end) {
      next = this.#passKnown(partitionId, next);
      try {
        for (const row of this.#rows.iterate(batchKey(partitionId, next), batchKey(partitionId, end - 1))) {
          if (row.place !== partitionId || row.base < next) throw new OutOfPlace();
          yield row;
          next = row.base + row.delta + 1;
        }
        if (!this.#hasMore(partitionId, next, end)) return;
        throw new OutOfPlace();
      } catch (error) {
        if (!isDamage(error)) throw error;
        const passed = this.#passKnown(partitionId, next);
        next = passed > next ? passed : this.#passNew(partitionId, { next, end, error });
      }
    }
  }

  #passKnown(partitionId: number, next: Offset): Offset {
    const hole = this.#holes.get(partitionId)?.find(({ from, to }) => from <= next && next <= to);
    return hole === undefined ? next : hole.to + 1;
  }

  #passNew(partitionId: number, { next, end, error }: { next: Offset; end: Offset; error: unknown }): Offset {
    const key = batchKey(partitionId, next);
    const isOfDisk = isDiskError(error);
    if (isOfDisk && !this.#failed.has(key)) {
      this.#failed.add(key);
      throw error;
    }
    const found = this.#nextSound(partitionId, next, end);
    // A disk that reads nothing more at all is not a damaged page.
    if (isOfDisk && found === NOTHING) throw error;
    this.#onHole(partitionId, next, found === NOTHING ? next : found - 1);
    if (found === NOTHING) return end;
    if (this.#holeCount < HOLES_MAX) {
      this.#holeCount++;
      const known = this.#holes.get(partitionId) ?? [];
      this.#holes.set(partitionId, [...known, { from: next, to: found - 1 }]);
    }
    return found;
  }

  /** Base offset of the first batch behind `from` that can be read. */
  #nextSound(partitionId: number, from: Offset, end: Offset): Offset {
    let damaged = from;
    let sound: Probe | undefined;
    for (let step = 1; sound === undefined && damaged < end - 1; step *= 2) {
      const at = Math.min(damaged + step, end - 1);
      sound = this.#probe(partitionId, at, end);
      if (sound === undefined) damaged = at;
    }
    if (sound === undefined) return NOTHING;
    let first = this.#firstBetween(partitionId, damaged, sound);
    const stretch = Math.min(first.at, first.found === NOTHING ? first.at : first.found) - from;
    // Between two damaged pages there may be a sound one.
    const step = Math.max(1, Math.floor(stretch / PROBES_BETWEEN));
    let before = from;
    for (let at = from + step; at < first.at; at += step) {
      const probe = this.#probe(partitionId, at, end);
      if (probe === undefined) {
        before = at;
      } else {
        first = this.#firstBetween(partitionId, before, probe);
        break;
      }
    }
    return first.found;
  }

  /** By halves; `damaged` cannot be read, `sound` can. */
  #firstBetween(partitionId: number, damaged: Offset, sound: Probe): Probe {
    let low = damaged;
    let high = sound;
    while (high.at - low > 1) {
      const middle = low + Math.floor((high.at - low) / 2);
      const probe = this.#probe(partitionId, middle, OFFSET_MAX + 1);
      if (probe === undefined) low = middle;
      else high = probe;
    }
    return high;
  }

  #hasMore(partitionId: number, next: Offset, end: Offset): boolean {
    if (next >= end) return false;
    const last = this.#last.get(batchKey(partitionId, next), batchKey(partitionId, end - 1));
    return last !== undefined && last.place === partitionId && last.base >= next;
  }

  /** Undefined when the batch at `at`, or the first behind it, cannot be read. */
  #probe(partitionId: number, at: Offset, end: Offset): Probe | undefined {
    try {
      const row = this.#first.get(batchKey(partitionId, at), batchKey(partitionId, end - 1));
      if (row === undefined) return this.#hasMore(partitionId, at, end) ? undefined : { at, found: NOTHING };
      return row.place === partitionId && row.base >= at ? { at, found: row.base } : undefined;
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }
}

/** SQLite is content, but the rows are not those of this place. */
class OutOfPlace extends Error {
  readonly code = "SQLITE_CORRUPT_PLACE";
}

/** Of pages; an error of the disk on reading one counts. */
export function isDamage(error: unknown): boolean {
  return /^SQLITE_(CORRUPT|NOTADB)/.test(codeOf(error)) || isDiskError(error);
}

function isDiskError(error: unknown): boolean {
  return /^SQLITE_IOERR(_READ|_SHORT_READ|_CORRUPTFS|$)/.test(codeOf(error));
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : "";
}
