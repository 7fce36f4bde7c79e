/** What has happened to a log: kept in the log itself (meta), shown in /status, newest last. */
import type { Database } from "better-sqlite3";
import type { Timestamp } from "../../ids.ts";
import type { LostRange } from "./repaired-places.ts";

export const INCIDENTS_MAX = 20;
/** Of one incident, one by one; all are counted. */
const RANGES_MAX = 200;
const NAME = "incidents";

export type Incident = {
  /** By the wall clock. */
  readonly at: Timestamp;
  readonly cause: string;
  /** Directory of the files as they were; it may have given way since. */
  readonly quarantine?: string | undefined;
  /** Carried over. */
  readonly batches: number;
  readonly records: number;
  /** Between and behind the batches that are there. */
  readonly lost: readonly LostRange[];
  /** Offsets left out behind them, where it is not known how many records there were. */
  readonly skipped: readonly LostRange[];
  /** Pages, rows and batches that could not be read, or failed their check. */
  readonly damaged: number;
  /** Sound batches of partitions that nothing is known of. */
  readonly strays: number;
  /** False when the disk had no room for all that could be read. */
  readonly hadRoom?: boolean;
};

/** As it is shown: `lostRecords` of all ranges, also of those that are not listed. */
export type StoredIncident = Incident & { readonly lostRecords: number };

export function loadIncidents(database: Database): StoredIncident[] {
  const text = database.prepare<[string], string>("SELECT value FROM meta WHERE name = ?").pluck().get(NAME);
  if (text === undefined) return [];
  try {
    return JSON.parse(text) as StoredIncident[];
  } catch {
    // Damaged like the rest; the next one begins anew.
    return [];
  }
}

/** What an earlier incident has told of is not told again. */
export function saveIncident(database: Database, incident: Incident): StoredIncident {
  const before = loadIncidents(database);
  const told = before.flatMap(({ lost, skipped }) => [...lost, ...skipped]);
  const lost = subtractRanges(incident.lost, told);
  const lostRecords = lost.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  const skipped = incident.skipped.slice(0, RANGES_MAX);
  const stored: StoredIncident = { ...incident, lost: lost.slice(0, RANGES_MAX), skipped, lostRecords };
  const all = [...before, stored].slice(-INCIDENTS_MAX);
  database.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").run(NAME, JSON.stringify(all));
  return stored;
}

/** What is left of `ranges` without `others`. */
export function subtractRanges(ranges: readonly LostRange[], others: readonly LostRange[]): LostRange[] {
  const byPlace = Map.groupBy(others, ({ topic, partition }) => `${topic}/${partition}`);
  return ranges.flatMap((range) => {
    let left = [range];
    for (const { from, to } of byPlace.get(`${range.topic}/${range.partition}`) ?? []) {
      left = left.flatMap((each) => {
        if (to < each.from || from > each.to) return [each];
        const parts = [
          { ...each, to: from - 1 },
          { ...each, from: to + 1 },
        ];
        return parts.filter((part) => part.from <= part.to);
      });
    }
    return left;
  });
}
