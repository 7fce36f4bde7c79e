/** The data directory, made so that it outlives a power cut; one that cannot be made or used is the operator's to mend. */
import { accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, statSync } from "node:fs";
import path from "node:path";
import { StreamError } from "../errors.ts";
import { LOCK_FILE_NAME, LOG_FILE_NAME } from "./schema.ts";

/** The disk's own faults, which are told as such. */
const diskFaults: ReadonlySet<string> = new Set(["EIO", "ENOSPC", "ENODEV", "ENXIO"]);

const deniedCodes: ReadonlySet<string> = new Set(["EACCES", "EPERM"]);

/**
 * Makes the directory and flushes its name to the disk, so that a power cut cannot take it with what is in it.
 *
 * @throws StreamError LOG_DIRECTORY when something is in the way, LOG_NOT_ALLOWED when it belongs to somebody else.
 */
export function makeDirectory(directory: string): void {
  try {
    make(path.resolve(directory));
    for (const name of ["", LOCK_FILE_NAME, LOG_FILE_NAME]) checkAccess(path.join(directory, name));
  } catch (error) {
    const { code = "", path: place = directory } = error as NodeJS.ErrnoException;
    if (diskFaults.has(code)) throw error;
    if (deniedCodes.has(code)) {
      const user = process.getuid?.() ?? "this user";
      throw new StreamError("LOG_NOT_ALLOWED", `user ${user} may not write ${place}`, { cause: error });
    }
    throw new StreamError("LOG_DIRECTORY", `${directory} cannot be the data directory: ${whyNot(error)}`, {
      cause: error,
    });
  }
}

/**
 * Each level by itself: Node's own `recursive` goes round for ever where a file system says ENOENT to a directory below
 * one that is there, as /proc does.
 */
function make(directory: string): void {
  if (isDirectory(directory)) return;
  const parent = path.dirname(directory);
  make(parent);
  try {
    mkdirSync(directory);
  } catch (error) {
    // Somebody else was faster.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !isDirectory(directory)) throw error;
  }
  flushDirectory(directory);
  flushDirectory(parent);
}

function isDirectory(name: string): boolean {
  const found = statSync(name, { throwIfNoEntry: false });
  if (found === undefined || found.isDirectory()) return found !== undefined;
  throw Object.assign(new Error(`${name} is no directory`), { code: "ENOTDIR" });
}

/** A disk that takes no writes is another matter: what it holds can be read. */
function checkAccess(place: string): void {
  if (!existsSync(place)) return;
  try {
    accessSync(place, constants.R_OK | constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EROFS") throw error;
  }
}

function whyNot(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function flushDirectory(directory: string): void {
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
