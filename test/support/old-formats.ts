/** Logs as earlier versions of the program made them (shared/log/log-format.ts). */
import Database from "better-sqlite3";
import { PAGE_BYTES } from "../../shared/log/schema.ts";

/** Before ages had a clock of their own, and producers an end. */
const FORMAT_1_SCHEMA = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE topic (name TEXT PRIMARY KEY, id BLOB NOT NULL, config TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE partition (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  log_start_offset INTEGER NOT NULL DEFAULT 0, counted_end INTEGER NOT NULL DEFAULT 0,
  counted_bytes INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition));
CREATE TABLE doomed (partition_id INTEGER PRIMARY KEY);
CREATE TABLE batch (key INTEGER PRIMARY KEY, last_offset_delta INTEGER NOT NULL, max_timestamp INTEGER NOT NULL,
  bytes BLOB NOT NULL);
CREATE TABLE compaction (partition_id INTEGER PRIMARY KEY, first_dirty_offset INTEGER NOT NULL,
  clean_from INTEGER NOT NULL, clean_bytes INTEGER NOT NULL, last_horizon INTEGER);
CREATE TABLE producer (partition_id INTEGER NOT NULL, producer_id INTEGER NOT NULL, state TEXT NOT NULL,
  updated_at INTEGER NOT NULL, PRIMARY KEY (partition_id, producer_id)) WITHOUT ROWID;
`;
const FORMAT_1_TABLES = ["meta", "topic", "partition", "doomed", "batch", "compaction"];

/** An empty log of format 1; the caller fills it, and closes it. */
export function makeFormat1(file: string): Database.Database {
  const database = new Database(file);
  database.pragma(`page_size = ${PAGE_BYTES}`);
  database.pragma("journal_mode = WAL");
  database.pragma("user_version = 1");
  database.exec(FORMAT_1_SCHEMA);
  return database;
}

/** With all that a log of today holds, and tables of extensions that are as they were. */
export function copyToFormat1(source: string, database: Database.Database, extensionTables: readonly string[]): void {
  database.prepare("ATTACH ? AS today").run(source);
  const schemas = database.prepare<[string], string>("SELECT sql FROM today.sqlite_schema WHERE name = ?").pluck();
  for (const name of extensionTables) database.exec(String(schemas.get(name)));
  for (const name of [...FORMAT_1_TABLES, ...extensionTables])
    database.exec(`INSERT INTO main."${name}" SELECT * FROM today."${name}"`);
  database.exec("DELETE FROM main.meta WHERE name <> 'log-id'");
  database.exec("DETACH today");
}

/** Ids up to `kafkaClients` were given to Kafka clients. */
export function addFormat1Producers(database: Database.Database, ids: readonly bigint[], kafkaClients: number): void {
  const insert = database.prepare("INSERT INTO producer VALUES (1, ?, ?, ?)");
  for (const id of ids) insert.run(id, `{"epoch":0,"lastSequence":4,"recent":[]}`, Date.now());
  database.prepare("INSERT INTO meta VALUES ('producer-id', ?)").run(kafkaClients);
}
