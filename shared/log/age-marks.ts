/**
 * Which records are how old: from time to time a mark says "by now the partition had come this far".
 *
 *   log    0 ············ 4000 ··········· 9000 ······ end
 *   marks            ▲ Monday 8:00    ▲ Monday 8:01            all before 4000 was stored by Monday 8:00
 *
 * A record's age counts from the first mark behind it, so it is never taken for older than it is. Appends cost nothing,
 * and batches carry nothing. Times are the log's own (log-clock.ts).
 */
import type { Database, Statement } from "better-sqlite3";
import type { Offset, Timestamp } from "../ids.ts";
import type { LogClock } from "./log-clock.ts";
import { superfluousMarks } from "./retention.ts";
import type { AgeMark } from "./retention.ts";

/** Marks of a partition are at least this far apart. */
const MARK_MS_MIN = 1000;
/** A partition's marks are thinned out after so many new ones. */
const THIN_AFTER = 64;

type Place = { readonly id: number; readonly logStartOffset: Offset; readonly logEndOffset: Offset };

export class AgeMarks {
  readonly #clock: LogClock;
  readonly #newest: Statement<[number], AgeMark>;
  readonly #before: Statement<[number, Timestamp], AgeMark>;
  readonly #all: Statement<[number], AgeMark>;
  readonly #insert: Statement<[number, Timestamp, Offset]>;
  readonly #remove: Statement<[number, Timestamp]>;
  readonly #removeAll: Statement<[number]>;
  /** By partition, marks made since the last thinning. A start begins with one. */
  readonly #unthinned = new Map<number, number>();

  constructor(database: Database, clock: LogClock) {
    this.#clock = clock;
    const mark = `SELECT at, end_offset AS "end" FROM age_mark WHERE partition_id = ?`;
    this.#newest = database.prepare(`${mark} ORDER BY at DESC LIMIT 1`);
    this.#before = database.prepare(`${mark} AND at <= ? ORDER BY at DESC LIMIT 1`);
    this.#all = database.prepare(`${mark} ORDER BY at`);
    this.#insert = database.prepare("INSERT INTO age_mark (partition_id, at, end_offset) VALUES (?, ?, ?)");
    this.#remove = database.prepare("DELETE FROM age_mark WHERE partition_id = ? AND at = ?");
    this.#removeAll = database.prepare("DELETE FROM age_mark WHERE partition_id = ?");
  }

  /** Marks how far the partition has come, and returns the time. Within a transaction. */
  mark({ id, logStartOffset, logEndOffset }: Place): Timestamp {
    const now = this.#clock.now();
    this.#clock.saveWhenDue();
    const newest = this.#newest.get(id);
    if (logEndOffset <= Math.max(logStartOffset, newest?.end ?? 0)) return now;
    // A clock that was not saved before a kill is behind its marks for a while.
    if (newest !== undefined && now - newest.at < MARK_MS_MIN) return now;
    this.#insert.run(id, now, logEndOffset);
    this.#thin(id, logStartOffset, now);
    return now;
  }

  /** Everything before the returned offset was stored at `time` or earlier. */
  endAt(partitionId: number, time: Timestamp): Offset | undefined {
    return this.#before.get(partitionId, time)?.end;
  }

  forget(partitionId: number): void {
    this.#removeAll.run(partitionId);
    this.#unthinned.delete(partitionId);
  }

  #thin(id: number, logStartOffset: Offset, now: Timestamp): void {
    const made = (this.#unthinned.get(id) ?? THIN_AFTER - 1) + 1;
    if (made < THIN_AFTER) {
      this.#unthinned.set(id, made);
      return;
    }
    this.#unthinned.set(id, 0);
    for (const { at } of superfluousMarks(this.#all.all(id), logStartOffset, now)) this.#remove.run(id, at);
  }
}
