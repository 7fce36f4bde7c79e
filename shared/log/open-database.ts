/**
 * Opens the log's database with the settings on which every acknowledgement rests.
 *
 * better-sqlite3 is compiled so that a WAL database comes back with synchronous=NORMAL at every open but the first, and
 * NORMAL loses acknowledged commits when the power goes. So FULL is set on every connection and read back; a connection
 * that does not have it is never used.
 */
import { closeSync, fsyncSync, openSync, truncateSync } from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import { StreamError } from "../errors.ts";
import type { Durability } from "../record.ts";
import { ensureFormat } from "./log-format.ts";
import { LOCK_FILE_NAME, LOG_FILE_NAME, PAGE_BYTES } from "./schema.ts";

/** The WAL is cut back to this after a checkpoint that emptied it. */
const JOURNAL_BYTES_MAX = 16 * 1024 * 1024;
/**
 * The WAL is flushed at the latest after so many commits, whatever was asked for. So a power cut can leave a hole in it
 * only before this many commits, and a hole before more of them is damage (salvage/find-damage.ts).
 */
export const UNFLUSHED_COMMITS_MAX = 16;
const CACHE_KIB = 4 * 1024;
export const BUSY_TIMEOUT_MS = 5000;

export function setSynchronous(database: Database.Database, durability: Durability): void {
  const expected = durability === "fsync" ? 2 : 1;
  database.pragma(`synchronous = ${expected}`);
  const actual: unknown = database.pragma("synchronous", { simple: true });
  if (actual !== expected) {
    throw new StreamError("LOG_NOT_DURABLE", `PRAGMA synchronous is ${String(actual)}, not ${expected}`);
  }
}

function flushDirectory(directory: string): void {
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

export function openForWriting(directory: string): Database.Database {
  const database = new Database(path.join(directory, LOG_FILE_NAME), { timeout: BUSY_TIMEOUT_MS });
  return orClosed(database, () => {
    database.pragma(`page_size = ${PAGE_BYTES}`);
    database.pragma("journal_mode = WAL");
    setSynchronous(database, "fsync");
    database.pragma(`journal_size_limit = ${JOURNAL_BYTES_MAX}`);
    // Checkpoints are run between commits, after the answers have gone out.
    database.pragma("wal_autocheckpoint = 0");
    tune(database);
    ensureFormat(database);
  });
}

/** For the reader thread and for `tributary log inspect`: sees every commit, disturbs none. */
export function openForReading(directory: string): Database.Database {
  const database = new Database(path.join(directory, LOG_FILE_NAME), {
    readonly: true,
    fileMustExist: true,
    timeout: BUSY_TIMEOUT_MS,
  });
  return orClosed(database, () => tune(database));
}

/**
 * On a disk that is mounted read-only SQLite opens a WAL database only where the WAL and its index are there, be they empty;
 * closing it has removed both. A kill between the two leaves a log that such a disk cannot give back.
 */
export function leaveReadable(directory: string): void {
  try {
    for (const suffix of ["-wal", "-shm"]) {
      closeSync(openSync(path.join(directory, `${LOG_FILE_NAME}${suffix}`), "a", 0o600));
    }
    flushDirectory(directory);
  } catch {
    // A disk without room, or one that fails: the log is closed soundly all the same.
  }
}

/** A file that nobody has open any more gives its room back when it is removed. */
function orClosed(database: Database.Database, prepare: () => void): Database.Database {
  try {
    prepare();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function tune(database: Database.Database): void {
  database.pragma(`cache_size = -${CACHE_KIB}`);
  database.pragma("temp_store = MEMORY");
  database.pragma("mmap_size = 0");
  // A damaged or hostile file must not run SQL of its own, and a bad cell must not be read past its page.
  database.pragma("trusted_schema = OFF");
  database.pragma("cell_size_check = ON");
}

/**
 * Keeps a second process out of the data directory for as long as the returned handle is open. A lock of the operating
 * system on a file of its own, so that it ends with the process, however that ends, and readers may open the log itself.
 *
 * @throws StreamError LOG_LOCKED.
 */
export function lockDirectory(directory: string): { release(): void } {
  try {
    return lockWith(path.join(directory, LOCK_FILE_NAME), directory);
  } catch (error) {
    if ((error as { code?: string }).code !== "SQLITE_NOTADB") throw error;
    // It holds nothing; what somebody wrote into it must not keep the log from opening.
    truncateSync(path.join(directory, LOCK_FILE_NAME));
    return lockWith(path.join(directory, LOCK_FILE_NAME), directory);
  }
}

function lockWith(file: string, directory: string): { release(): void } {
  const lock = new Database(file, { timeout: 0 });
  try {
    lock.pragma("locking_mode = EXCLUSIVE");
    // A file would take room on a disk that may have none.
    lock.pragma("journal_mode = MEMORY");
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if ((error as { code?: string }).code?.startsWith("SQLITE_BUSY") === true) {
      throw new StreamError("LOG_LOCKED", `another process uses ${directory}`, { cause: error });
    }
    throw error;
  }
  return {
    release: () => {
      lock.exec("ROLLBACK");
      lock.close();
    },
  };
}
