/** The version of the tables: checks it, and brings those of an older version to this one, all or nothing. */
import type { Database } from "better-sqlite3";
import { StreamError } from "../errors.ts";
import { LOG_FORMAT, LOG_SCHEMA } from "./schema.ts";

/**
 * Makes the tables, or what they lack. One transaction, so that a crash leaves the old log or the new one; a log of this
 * version is not written to.
 *
 * @throws StreamError LOG_VERSION for a log of a newer version.
 */
export function ensureFormat(database: Database): void {
  const format = Number(database.pragma("user_version", { simple: true }));
  if (format > LOG_FORMAT) {
    throw new StreamError("LOG_VERSION", `the log has format ${format}, this version knows ${LOG_FORMAT}`);
  }
  if (format === LOG_FORMAT) return;
  const upgrade = database.transaction(() => {
    addProducerLifetimes(database);
    database.exec(LOG_SCHEMA);
    database.pragma(`user_version = ${LOG_FORMAT}`);
  });
  upgrade.immediate();
}

/** Format 1 counted the ids of Kafka clients from 1; all others are agents'. */
function addProducerLifetimes(database: Database): void {
  const columns = (database.pragma("table_info(producer)") as { readonly name: string }[]).map(({ name }) => name);
  // No table: a new log, or one of format 1 that a crash left without. And what is salvaged may be of either format.
  if (columns.length === 0 || columns.includes("is_kept")) return;
  database.exec(`
    ALTER TABLE producer ADD COLUMN heard_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE producer ADD COLUMN is_kept INTEGER NOT NULL DEFAULT 1;
    UPDATE producer SET is_kept = 0, heard_at = updated_at
      WHERE producer_id <= (SELECT value FROM meta WHERE name = 'producer-id');
    DELETE FROM meta WHERE name = 'producer-id';
  `);
}
