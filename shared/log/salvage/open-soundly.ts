/**
 * Opens the log for writing, whatever it looks like: finishes a salvage that was interrupted, looks for damage, salvages
 * what is damaged, and tells of what it found.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { Database } from "better-sqlite3";
import type { Clock } from "../../clock.ts";
import type { Offset } from "../../ids.ts";
import { openForWriting } from "../open-database.ts";
import { LOG_FILE_NAME, PAGE_BYTES } from "../schema.ts";
import { closeUnwritable, openUnwritable } from "../unwritable-database.ts";
import { findDamage } from "./find-damage.ts";
import { saveIncident } from "./incidents.ts";
import { hasCatalog, loadCatalog } from "./log-catalog.ts";
import { skipAhead } from "./repaired-places.ts";
import { beginSalvage, finishSalvage, unfinishedSalvage } from "./salvage-log.ts";
import { dispelSuspicion, isWalGone, noteStopped, suspicion } from "./suspicion.ts";

export type SoundOptions = {
  readonly directory: string;
  /**
   * Offsets that each partition leaves out where it is not known how far it had come, because of damage or because the log
   * is a backup: at a hub consumers have seen them, and would pass by what is stored under them anew. An agent needs none,
   * its hub knows how far it was.
   */
  readonly margin: Offset;
  /** Tables whose rows a salvage does not take over. */
  readonly leftOut?: readonly string[];
  readonly clock: Pick<Clock, "wallMs">;
  /** Hears why, before a salvage begins: it may take minutes. */
  readonly onSalvage: (cause: string) => void;
  /**
   * Hears of commits that are given up: whole ones behind a break in the WAL, as a power cut leaves them where they were not
   * flushed, and as damage does where they were.
   */
  readonly onGivenUp?: (commits: number) => void;
};

const WAL_MISSING = "log.db-wal is missing: what had not been moved into log.db is lost";
const FROM_ELSEWHERE =
  "log.db was put here from elsewhere, such as a backup: consumers may have seen what came after it";
const READING_SQL = "SELECT count(*) FROM sqlite_schema";

/** Within the lock of the directory. @throws StreamError LOG_VERSION, LOG_NOT_DURABLE. */
export function openSoundly(options: SoundOptions): Database {
  const { directory, margin, clock } = options;
  // Before anything is opened: SQLite makes a new one.
  const isGone = isWalGone(directory);
  const isForeign = margin > 0 && existsSync(path.join(directory, LOG_FILE_NAME)) && !hasCatalog(directory);
  const isSalvaged = makeSound(options);
  const database = openForWriting(directory);
  const cause = isGone ? WAL_MISSING : isForeign && hasPartitions(database) ? FROM_ELSEWHERE : undefined;
  if (!isSalvaged && cause !== undefined) {
    const note = { at: clock.wallMs(), cause, batches: 0, records: 0, lost: [], damaged: 0, strays: 0 };
    const tell = database.transaction(() => saveIncident(database, { ...note, skipped: skipAhead(database, margin) }));
    tell.immediate();
  }
  return database;
}

function hasPartitions(database: Database): boolean {
  return database.prepare("SELECT 1 FROM partition LIMIT 1").get() !== undefined;
}

/**
 * Why a log on a disk that takes no writes cannot be shown to readers that remember what they have seen; undefined where it
 * can: nothing of it is missing that a salvage might find.
 */
export function whyUnsound(directory: string): string | undefined {
  const known = unfinishedSalvage(directory)?.cause ?? suspicion(directory);
  if (known !== undefined) return known;
  if (isWalGone(directory)) return WAL_MISSING;
  const open = (): Database =>
    openUnwritable(path.join(directory, LOG_FILE_NAME), (database) => database.prepare(READING_SQL).get());
  return findDamage(directory, loadCatalog(directory), { open, close: closeUnwritable });
}

/** Whether there was something to salvage. */
function makeSound({ directory, margin, leftOut = [], clock, onSalvage, onGivenUp }: SoundOptions): boolean {
  const unfinished = unfinishedSalvage(directory);
  let torn = 0;
  const onTorn = (commits: number): number => (torn = commits);
  const cause = unfinished?.cause ?? suspicion(directory) ?? findDamage(directory, loadCatalog(directory), { onTorn });
  if (cause === undefined) {
    // With one that is broken itself, at the least.
    if (torn > 0) onGivenUp?.(torn + 1);
    return false;
  }
  onSalvage(cause);
  finishSalvage(unfinished ?? beginSalvage(directory, cause, clock.wallMs()), {
    directory,
    margin,
    leftOut,
    pageBytes: PAGE_BYTES,
  });
  dispelSuspicion(directory);
  noteStopped(directory);
  return true;
}
