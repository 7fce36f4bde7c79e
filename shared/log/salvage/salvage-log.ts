/**
 * From a damaged log to one that works, without a person, and whatever interrupts it:
 *
 *   note       log.salvage says what is being done; from here on a start goes on with it
 *   move       log.db, -wal, -shm ▶ quarantine/log.db-<time>/
 *   build      log.db.new from what can be read there; interrupted, it is built again
 *   put        log.db.new ▶ log.db, flushed before and after
 *   finish     the note goes
 *
 * The damaged files are only read. At each moment one of the two, they or the finished new log, is whole on the disk.
 */
import { existsSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Offset, Timestamp } from "../../ids.ts";
import { LOG_FILE_NAME } from "../schema.ts";
import { buildLog } from "./build-log.ts";
import { loadCatalog } from "./log-catalog.ts";
import { PageFile } from "./page-file.ts";
import {
  LOG_FILES,
  QUARANTINES_MAX,
  bytesOfQuarantine,
  flush,
  listQuarantines,
  moveAside,
  quarantineName,
  quarantinePath,
  removeQuarantine,
} from "./quarantine.ts";

const NOTE_FILE_NAME = "log.salvage";
/** Of the disk, for what the log needs besides batches, and to open. */
const SPARED_BYTES = 4 * 1024 * 1024;
const TARGET_FILE_NAME = `${LOG_FILE_NAME}.new`;

export type SalvageOptions = {
  readonly directory: string;
  /** Of a new log, where the old one does not tell. */
  readonly pageBytes: number;
  readonly margin: Offset;
  readonly leftOut: readonly string[];
};

type Note = {
  readonly at: Timestamp;
  readonly cause: string;
  readonly quarantine: string;
  readonly files: readonly string[];
};

/** Set when a salvage was begun and not finished. */
export function unfinishedSalvage(directory: string): Note | undefined {
  try {
    return JSON.parse(readFileSync(path.join(directory, NOTE_FILE_NAME), "utf8")) as Note;
  } catch {
    // None; or a kill came before it was whole, and nothing had been moved then.
    return undefined;
  }
}

export function beginSalvage(directory: string, cause: string, at: Timestamp): Note {
  const files = LOG_FILES.filter((name) => existsSync(path.join(directory, name)));
  const note: Note = { at, cause, quarantine: quarantineName(at), files };
  const file = path.join(directory, NOTE_FILE_NAME);
  writeFileSync(`${file}.new`, JSON.stringify(note), { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
  flush(directory);
  return note;
}

/** The log opens when it returns. */
export function finishSalvage(note: Note, options: SalvageOptions): void {
  const { directory } = options;
  const { quarantine, files } = note;
  moveAside(directory, quarantine, files);
  const log = path.join(directory, LOG_FILE_NAME);
  if (!existsSync(log)) {
    makeRoom(directory, quarantine);
    const target = path.join(directory, TARGET_FILE_NAME);
    for (const end of ["", "-journal", "-wal", "-shm"]) rmSync(`${target}${end}`, { force: true });
    build(note, options, target);
    flush(target);
    renameSync(target, log);
    flush(directory);
  }
  rmSync(path.join(directory, NOTE_FILE_NAME));
  flush(directory);
  keepFew(directory);
}

function build(note: Note, { directory, pageBytes, margin, leftOut }: SalvageOptions, target: string): void {
  const place = quarantinePath(directory, note.quarantine);
  const source = new PageFile({
    database: path.join(place, LOG_FILE_NAME),
    wal: path.join(place, `${LOG_FILE_NAME}-wal`),
    pageBytes,
  });
  try {
    const bytesMax = freeBytes(directory) - SPARED_BYTES;
    buildLog({ source, catalog: loadCatalog(directory), target, margin, leftOut, note, bytesMax });
  } finally {
    source.close();
  }
}

/** Older ones give way to the new log. */
function makeRoom(directory: string, quarantine: string): void {
  const needed = bytesOfQuarantine(directory, quarantine);
  for (const name of listQuarantines(directory)) {
    if (freeBytes(directory) >= needed) return;
    if (name !== quarantine) removeQuarantine(directory, name);
  }
}

/** What a quarantine takes must be no more than what it leaves free. */
function keepFew(directory: string): void {
  const names = listQuarantines(directory);
  for (const [index, name] of names.entries()) {
    const isTooMany = names.length - index > QUARANTINES_MAX;
    if (isTooMany || bytesOfQuarantine(directory, name) > freeBytes(directory)) removeQuarantine(directory, name);
  }
}

function freeBytes(directory: string): number {
  const { blocks, bavail, bsize } = statfsSync(directory);
  return blocks === 0 ? Infinity : bavail * bsize;
}
