import type { Database } from "better-sqlite3";

/**
 * A program's own tables inside the log's database, so that they share its transactions: MQTT sessions, packet
 * identifiers, uplink epochs, committed offsets. Runs in the log's worker thread; arguments and results cross by
 * structured clone.
 */
export type LogExtension = {
  /** Prefix of its tables and name in `ExtensionCall`. */
  readonly name: string;
  /** `CREATE TABLE IF NOT EXISTS …` statements, run at every open. */
  readonly schema: string;
  /**
   * Tables of which a second copy is kept for the case of damage (salvage/log-catalog.ts): small, and harmless where the
   * copy is a little older.
   */
  readonly copied?: readonly string[];
  /** Tables that mean nothing, or the wrong thing, once records may be missing: a salvage leaves their rows out. */
  readonly leftOut?: readonly string[];
  /**
   * Methods that a full log still runs, because they empty it or keep its books: they touch the same few pages over and
   * over (page-room.ts).
   */
  readonly upkeep?: readonly string[];
  /** Prepares its statements once and returns its methods. A method must not open a transaction of its own. */
  prepare(database: Database): ExtensionMethods;
};

export type ExtensionMethods = Readonly<Record<string, (args: never) => unknown>>;
