/**
 * The pages that a database with a cap (`max_page_count`) may still use. The last of them are for upkeep alone
 * (LogExtension.upkeep): a log that had given its last page to records could not note what the hub has of them, and would
 * never be emptied.
 */
import type { Database, Statement } from "better-sqlite3";

const UPKEEP_SHARE = 1 / 32;
const UPKEEP_PAGES_MIN = 16;
/** A row of the uplink's or the ledger's tables takes about a twentieth of a page. */
const UPKEEP_PAGES_MAX = 256;

/** What upkeep alone may use of a database of so many bytes. */
export function upkeepBytesOf(databaseBytesMax: number, pageBytes: number): number {
  return upkeepPagesOf(databaseBytesMax / pageBytes) * pageBytes;
}

function upkeepPagesOf(pagesMax: number): number {
  return Math.min(UPKEEP_PAGES_MAX, Math.max(UPKEEP_PAGES_MIN, Math.round(pagesMax * UPKEEP_SHARE)));
}

export class PageRoom {
  readonly #pageBytes: number;
  readonly #maxPageCount: Statement<[], number>;
  readonly #pageCount: Statement<[], number>;
  readonly #freeCount: Statement<[], number>;

  constructor(database: Database) {
    const figure = (name: string): Statement<[], number> => database.prepare<[], number>(`PRAGMA ${name}`).pluck();
    this.#pageBytes = Number(figure("page_size").get());
    this.#maxPageCount = figure("max_page_count");
    this.#pageCount = figure("page_count");
    this.#freeCount = figure("freelist_count");
  }

  /** In pages of the file that are not in use. */
  get freeBytes(): number {
    return Number(this.#freeCount.get()) * this.#pageBytes;
  }

  /** Whether so many bytes may be stored that are no upkeep. Some microseconds: once a commit. */
  hasFor(bytes: number): boolean {
    const pagesMax = Number(this.#maxPageCount.get());
    const pagesLeft = pagesMax - Number(this.#pageCount.get()) + Number(this.#freeCount.get());
    return pagesLeft - Math.ceil(bytes / this.#pageBytes) >= upkeepPagesOf(pagesMax);
  }
}
