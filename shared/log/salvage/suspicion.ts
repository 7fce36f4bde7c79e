/**
 * Two small files beside the log that tell the next start what this run knew:
 *
 *   log.suspect   SQLite found the structure of the log damaged: salvage it, whatever it looks like
 *   log.running   the log is open; a start that finds it and no WAL knows that somebody has taken the WAL away
 */
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { LOG_FILE_NAME } from "../schema.ts";
import { flush } from "./quarantine.ts";

const SUSPECT_FILE_NAME = "log.suspect";
const RUNNING_FILE_NAME = "log.running";

export function noteSuspicion(directory: string, cause: string): void {
  try {
    writeFileSync(path.join(directory, SUSPECT_FILE_NAME), cause, { mode: 0o600, flush: true });
    flush(directory);
  } catch {
    // The disk takes no note; the program ends in any case, and the next start looks for itself.
  }
}

export function suspicion(directory: string): string | undefined {
  const file = path.join(directory, SUSPECT_FILE_NAME);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

export function dispelSuspicion(directory: string): void {
  remove(path.join(directory, SUSPECT_FILE_NAME));
}

/** After the WAL itself is on the disk, with its name. */
export function noteRunning(directory: string): void {
  const file = path.join(directory, RUNNING_FILE_NAME);
  if (existsSync(file)) return;
  flush(directory);
  writeFileSync(file, "", { mode: 0o600, flush: true });
  flush(directory);
}

/** After the WAL was emptied, before it goes: its name must not go from the disk before this one. */
export function noteStopped(directory: string): void {
  const file = path.join(directory, RUNNING_FILE_NAME);
  if (!existsSync(file)) return;
  remove(file);
  flush(directory);
}

export function isWalGone(directory: string): boolean {
  const has = (name: string): boolean => existsSync(path.join(directory, name));
  return has(RUNNING_FILE_NAME) && has(LOG_FILE_NAME) && !has(`${LOG_FILE_NAME}-wal`);
}

/** Its errors say which they are; those of `rmSync` do not. */
function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
