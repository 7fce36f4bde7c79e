/**
 * Moves the WAL into the database and lets the WAL begin again, so that it stays small under any load.
 *
 * A passive checkpoint copies the pages, but the WAL begins again only if no reader is at work in that instant, which
 * under constant reading never comes. So the checkpoint is one that waits: first for readers of older commits (then all
 * is copied, and who begins to read from now on reads the database alone), then for those that still use the WAL. Our
 * readers hold nothing from one step to the next, so that the wait is one step of theirs.
 */
import type { Database } from "better-sqlite3";
import { PAGE_BYTES } from "./schema.ts";

/** How long commits may wait for readers; a reader that takes longer is waited for again after more has been written. */
const CHECKPOINT_WAIT_MS_MAX = 250;
/** How much more is written before a checkpoint that readers held up is tried again. */
const CHECKPOINT_RETRY_BYTES = 4 * 1024 * 1024;

/** Held up for so long that it is told, and again with each so much more. */
export const HELD_BYTES = 32 * 1024 * 1024;

/** A page in the WAL, with its header. */
const FRAME_BYTES = PAGE_BYTES + 24;

/** RESTART keeps the file, so that it is written over; TRUNCATE gives its room back to the disk. */
export type CheckpointMode = "RESTART" | "TRUNCATE";

type CheckpointRow = { readonly busy: number; readonly log: number; readonly checkpointed: number };

export type CheckpointerOptions = {
  readonly bytesMax: number;
  readonly busyTimeoutMs: number;
  readonly onHeld: (walBytes: number) => void;
};

export class Checkpointer {
  readonly #database: Database;
  readonly #busyTimeoutMs: number;
  readonly #bytesMax: number;
  /** What the WAL holds, at the most: what is written is guessed before it is compressed. */
  #walBytes = 0;
  #dueAtBytes: number;
  readonly #onHeld: (walBytes: number) => void;
  #toldAtBytes = HELD_BYTES;

  /** `onHeld`: a reader lets the WAL grow; none of ours does, so it is another program. `bytesMax`: in the WAL, make a checkpoint due. `busyTimeoutMs`: of the connection, for all else. */
  constructor(database: Database, options: CheckpointerOptions) {
    this.#database = database;
    this.#busyTimeoutMs = options.busyTimeoutMs;
    this.#bytesMax = options.bytesMax;
    this.#dueAtBytes = options.bytesMax;
    this.#onHeld = options.onHeld;
  }

  get walBytes(): number {
    return this.#walBytes;
  }

  isDue(): boolean {
    if (this.#walBytes >= this.#dueAtBytes) this.#measure();
    return this.#walBytes >= this.#dueAtBytes;
  }

  /** Whether so many bytes more would make one due. */
  isDueWith(bytes: number): boolean {
    if (this.#walBytes > 0 && this.#walBytes + bytes > this.#dueAtBytes) this.#measure();
    return this.#walBytes > 0 && this.#walBytes + bytes > this.#dueAtBytes;
  }

  wrote(bytes: number): void {
    this.#walBytes += bytes;
  }

  /** Whether the WAL begins again; if readers held it up, it is due again a little later. Outside of a transaction. */
  run(mode: CheckpointMode): boolean {
    this.#database.pragma(`busy_timeout = ${CHECKPOINT_WAIT_MS_MAX}`);
    let row: CheckpointRow | undefined;
    try {
      [row] = this.#database.pragma(`wal_checkpoint(${mode})`) as CheckpointRow[];
    } finally {
      this.#database.pragma(`busy_timeout = ${this.#busyTimeoutMs}`);
    }
    if (row?.busy === 0) {
      this.#walBytes = 0;
      this.#dueAtBytes = this.#bytesMax;
      this.#toldAtBytes = HELD_BYTES;
      return true;
    }
    if (this.#walBytes >= this.#toldAtBytes) {
      this.#toldAtBytes = this.#walBytes + HELD_BYTES;
      this.#onHeld(this.#walBytes);
    }
    this.#dueAtBytes = this.#walBytes + Math.min(CHECKPOINT_RETRY_BYTES, this.#bytesMax);
    return false;
  }

  /** A checkpoint that does nothing tells how many frames there are (SQLite 3.51). */
  #measure(): void {
    const [row] = this.#database.pragma("wal_checkpoint(NOOP)") as CheckpointRow[];
    if (row !== undefined && row.log >= 0) this.#walBytes = Math.min(this.#walBytes, row.log * FRAME_BYTES);
  }
}
