/**
 * Where the files of a damaged log are kept for people to look at: `quarantine/log.db-<time>/` in the data directory. Few of
 * them, and not when the disk needs the room.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { LOG_FILE_NAME } from "../schema.ts";

export const QUARANTINE_DIRECTORY = "quarantine";
export const QUARANTINES_MAX = 2;
/** The database and what belongs to it: never one without the others. */
export const LOG_FILES = [LOG_FILE_NAME, `${LOG_FILE_NAME}-wal`, `${LOG_FILE_NAME}-shm`] as const;

export function quarantineName(at: number): string {
  return `${LOG_FILE_NAME}-${new Date(at).toISOString().replaceAll(":", "-")}`;
}

export function quarantinePath(directory: string, name: string): string {
  return path.join(directory, QUARANTINE_DIRECTORY, name);
}

/** The oldest first: their names are their times. */
export function listQuarantines(directory: string): string[] {
  const place = path.join(directory, QUARANTINE_DIRECTORY);
  return existsSync(place) ? readdirSync(place).toSorted() : [];
}

export function bytesOfQuarantine(directory: string, name: string): number {
  const place = quarantinePath(directory, name);
  return readdirSync(place).reduce((sum, file) => sum + statSync(path.join(place, file)).size, 0);
}

export function removeQuarantine(directory: string, name: string): void {
  rmSync(quarantinePath(directory, name), { recursive: true, force: true });
}

/** Moves the files that are still in the data directory; again after an interruption, it does the rest. Durable. */
export function moveAside(directory: string, name: string, files: readonly string[]): void {
  const place = quarantinePath(directory, name);
  mkdirSync(place, { recursive: true });
  for (const file of files) {
    const target = path.join(place, file);
    if (!existsSync(target) && existsSync(path.join(directory, file))) renameSync(path.join(directory, file), target);
  }
  for (const each of [place, path.dirname(place), directory]) flush(each);
}

/** A file, or the names in a directory. */
export function flush(place: string): void {
  const handle = openSync(place, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
