/**
 * A second copy, in a file of its own, of the little on which all else in the log hangs: where its tables begin, and the
 * rows of those that a damaged page must not take along (names of topics, the installation's identity). It may lag behind
 * the log; what is copied is chosen so that an older state of it does no harm.
 *
 *   log.catalog   [ CRC-32C of the rest : 4 ][ v8-serialized LogCatalog ]     written beside, flushed, renamed
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import path from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Database } from "better-sqlite3";
import { crc32c } from "../../batch/crc32c.ts";
import { flush } from "./quarantine.ts";
import type { SqlValue } from "./record-format.ts";

export const CATALOG_FILE_NAME = "log.catalog";
const CRC_BYTES = 4;
/** Of one table. A larger one is left out: it is not worth the wear. */
const ROWS_MAX = 20_000;

export type SchemaObject = {
  readonly type: "table" | "index";
  readonly name: string;
  readonly table: string;
  readonly root: number;
  readonly sql: string;
};
export type CopiedTable = {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
};
export type LogCatalog = {
  readonly userVersion: number;
  readonly pageBytes: number;
  readonly schema: readonly SchemaObject[];
  readonly copies: readonly CopiedTable[];
};

export function readCatalogFrom(database: Database, copied: readonly string[]): LogCatalog {
  const schema = database
    .prepare<[], SchemaObject>(
      `SELECT type, name, tbl_name AS "table", rootpage AS root, sql FROM sqlite_schema
       WHERE type IN ('table', 'index') AND sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY rowid`,
    )
    .all();
  const names = new Set(schema.map(({ name }) => name));
  return {
    userVersion: Number(database.pragma("user_version", { simple: true })),
    pageBytes: Number(database.pragma("page_size", { simple: true })),
    schema,
    copies: copied.filter((name) => names.has(name)).flatMap((name) => copyOf(database, name)),
  };
}

function copyOf(database: Database, name: string): CopiedTable[] {
  const read = database.prepare<[number], SqlValue[]>(`SELECT * FROM "${name}" LIMIT ?`).safeIntegers().raw();
  const rows = read.all(ROWS_MAX + 1);
  if (rows.length > ROWS_MAX) return [];
  return [{ name, columns: read.columns().map(({ name: column }) => column), rows }];
}

/** Durable on return. Returns what it has written, to tell whether the next one is news. */
export function saveCatalog(directory: string, catalog: LogCatalog, before?: Buffer): Buffer {
  const body = serialize(catalog);
  if (before?.equals(body) === true) return before;
  const head = Buffer.alloc(CRC_BYTES);
  head.writeUInt32BE(crc32c(body));
  const file = path.join(directory, CATALOG_FILE_NAME);
  const handle = openSync(`${file}.new`, "w", 0o600);
  try {
    writeSync(handle, Buffer.concat([head, body]));
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${file}.new`, file);
  // That there is one says that the log has run here, and must not be forgotten while topics are not.
  if (before === undefined) flush(directory);
  return body;
}

/** Each start makes one before the first topic, so a log without one has not run in this directory. */
export function hasCatalog(directory: string): boolean {
  return existsSync(path.join(directory, CATALOG_FILE_NAME));
}

/** Undefined when there is none, or it is damaged itself. */
export function loadCatalog(directory: string): LogCatalog | undefined {
  try {
    const bytes = readFileSync(path.join(directory, CATALOG_FILE_NAME));
    const body = bytes.subarray(CRC_BYTES);
    return crc32c(body) === bytes.readUInt32BE(0) ? (deserialize(body) as LogCatalog) : undefined;
  } catch {
    // The log itself is the first copy.
    return undefined;
  }
}
