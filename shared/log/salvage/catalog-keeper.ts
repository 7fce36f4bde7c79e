/** Keeps the second copy of what the log hangs on (log-catalog.ts) near to what the log says. */
import type { Database } from "better-sqlite3";
import type { Clock } from "../../clock.ts";
import type { LogExtension } from "../extension.ts";
import { readCatalogFrom, saveCatalog } from "./log-catalog.ts";

/** The log's own, beside those that extensions name. */
const COPIED: readonly string[] = ["meta", "topic", "partition"];
/** After a checkpoint; each copy is a few kilobytes and two flushes. */
const SAVE_MS_MIN = 60_000;
/** After topics were made or deleted; a copy that takes long is made less often. */
const SAVE_SOON_MS = 500;
const SAVE_REST = 20;

export class CatalogKeeper {
  readonly #database: Database;
  readonly #directory: string;
  readonly #copied: readonly string[];
  readonly #clock: Pick<Clock, "monotonicMs">;
  #saved: Buffer | undefined;
  #dueAtMs = 0;
  #soonTimer: NodeJS.Timeout | undefined;
  #lastTookMs = 0;

  constructor(
    database: Database,
    options: {
      readonly directory: string;
      readonly extensions: readonly Pick<LogExtension, "copied">[];
      readonly clock: Pick<Clock, "monotonicMs">;
    },
  ) {
    this.#database = database;
    this.#directory = options.directory;
    this.#copied = [...COPIED, ...options.extensions.flatMap(({ copied = [] }) => copied)];
    this.#clock = options.clock;
  }

  /** Topics have come or gone; of many at once the last ones count. */
  saveSoon(): void {
    const delayMs = Math.max(SAVE_SOON_MS, this.#lastTookMs * SAVE_REST);
    this.#soonTimer ??= setTimeout(() => this.save(), delayMs).unref();
  }

  saveWhenDue(): void {
    if (this.#clock.monotonicMs() >= this.#dueAtMs) this.save();
  }

  /** Outside of a transaction. That it fails is no harm as long as the log itself is sound. */
  save(): void {
    this.close();
    const startedAtMs = this.#clock.monotonicMs();
    this.#dueAtMs = startedAtMs + SAVE_MS_MIN;
    try {
      this.#saved = saveCatalog(this.#directory, readCatalogFrom(this.#database, this.#copied), this.#saved);
    } catch {
      // A full disk; the next checkpoint tries again.
    }
    this.#lastTookMs = this.#clock.monotonicMs() - startedAtMs;
  }

  close(): void {
    clearTimeout(this.#soonTimer);
    this.#soonTimer = undefined;
  }
}
