/**
 * What a program does with what a power cut has left, on the record: it recovers and goes on, and may be cut again in the
 * middle of that.
 */
import { cpSync, mkdirSync } from "node:fs";
import path from "node:path";
import { seededRandom } from "../../../bin/demo/random.ts";
import type { Before } from "./campaign.ts";
import { Disk } from "./disk.ts";
import type { Order } from "./disk.ts";
import type { Fate } from "./disk-file.ts";
import { noteOf, readJournal } from "./journal.ts";
import type { Entry } from "./journal.ts";
import type { Note } from "./witness.ts";

export type FirstCut = {
  readonly entries: readonly Entry[];
  /** The last entry before it. */
  readonly at: number;
  readonly fate: Fate;
  readonly order: Order;
  readonly seed: number;
};

/** What was left, and what was known before; the program goes on in `watched`. */
export type SecondLife = {
  readonly watched: string;
  readonly journal: string;
  readonly notes: readonly Note[];
};

/** `directory` is made, and the recording's own; `live` is what happens until the second recording ends. */
export async function recordAfterCut(
  directory: string,
  { entries, at, fate, order, seed }: FirstCut,
  live: (second: SecondLife) => Promise<void>,
): Promise<{ readonly entries: readonly Entry[]; readonly before: Before }> {
  const disk = new Disk(order);
  const notes: Note[] = [];
  for (const entry of entries.slice(0, at + 1)) {
    if (entry.kind === "note") notes.push(noteOf(entry));
    else disk.apply(entry);
  }
  mkdirSync(directory, { recursive: true });
  const watched = path.join(directory, "watched");
  const kept = path.join(directory, "kept");
  const journal = path.join(directory, "journal");
  disk.cut(watched, { fate }, seededRandom(seed + at));
  cpSync(watched, kept, { recursive: true });
  await live({ watched, journal, notes });
  return { entries: readJournal(journal), before: { directory: kept, notes } };
}
