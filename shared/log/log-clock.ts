/**
 * The log's own time, by which the ages of records are told. It began with the wall clock when the log was made, and goes
 * on by the monotonic clock while the log is open; it stands still while it is not.
 *
 *   wall clock   ───▶ set 10 years ahead ───▶ set back ───▶ off for a day ───▶
 *   log clock    ───▶ ─────────────────────▶ ────────────▶      (stands)   ───▶
 *
 * So nothing grows old because a clock was set, by a producer or on this machine (docs/adr/0010).
 */
import type { Database, Statement } from "better-sqlite3";
import type { Clock } from "../clock.ts";
import type { Timestamp } from "../ids.ts";

/** What a kill takes from the clock at the most, besides the time until the next start. */
const CLOCK_SAVE_MS = 600_000;

export class LogClock {
  readonly #clock: Clock;
  readonly #save: Statement<[Timestamp]>;
  readonly #startedAt: Timestamp;
  readonly #startedAtMs: number;
  /** Undefined in a log that has no time of its own yet. */
  #savedAt: Timestamp | undefined;

  constructor(database: Database, clock: Clock) {
    this.#clock = clock;
    this.#save = database.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('clock', ?)");
    const read = database.prepare<[], { value: Timestamp }>("SELECT value FROM meta WHERE name = 'clock'");
    this.#savedAt = read.get()?.value;
    this.#startedAt = this.#savedAt ?? clock.wallMs();
    this.#startedAtMs = clock.monotonicMs();
  }

  now(): Timestamp {
    return this.#startedAt + Math.max(0, Math.floor(this.#clock.monotonicMs() - this.#startedAtMs));
  }

  /** Within a transaction. What a rollback takes is saved a little later. */
  save(): void {
    this.#savedAt = this.now();
    this.#save.run(this.#savedAt);
  }

  saveWhenDue(): void {
    if (this.#savedAt === undefined || this.now() - this.#savedAt >= CLOCK_SAVE_MS) this.save();
  }
}
