/**
 * The log's database on a disk that takes no writes.
 *
 * SQLite keeps its index of the WAL in a file, which takes writing, or in memory, which takes a lock that only a file that
 * is open for writing gives. A disk that fails writes lets files be opened so, one that is mounted read-only does not; but
 * then the index file may be only read, too.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import { leaveReadable } from "./open-database.ts";
import { noteStopped } from "./salvage/suspicion.ts";
import { LOG_FILE_NAME } from "./schema.ts";

/** `prepare` opens it in fact, by reading something. */
export function openUnwritable(file: string, prepare: (database: Database.Database) => void): Database.Database {
  try {
    return openWith("EXCLUSIVE", file, prepare);
  } catch {
    return openWith("NORMAL", file, prepare);
  }
}

function openWith(
  lockingMode: "EXCLUSIVE" | "NORMAL",
  file: string,
  prepare: (database: Database.Database) => void,
): Database.Database {
  const database = new Database(file, { fileMustExist: file !== ":memory:" });
  try {
    database.pragma(`locking_mode = ${lockingMode}`);
    prepare(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Where the disk takes writes again, closing it moves the WAL into the database and removes it, as an orderly stop does. The
 * next start must not take it for lost.
 */
export function closeUnwritable(directory: string, database: Database.Database): void {
  database.close();
  if (existsSync(path.join(directory, `${LOG_FILE_NAME}-wal`))) return;
  try {
    noteStopped(directory);
    leaveReadable(directory);
  } catch {
    // It takes them no more: then the next start finds a WAL missing and says so, though nothing is lost.
  }
}
