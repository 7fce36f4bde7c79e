/** Records several lives of log-program.ts in one journal: killed ones, and a last one that ends in order. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { TestChild } from "../../support/child-process.ts";
import type { After } from "../../support/clean-up.ts";
import { readJournal } from "./journal.ts";
import type { Entry } from "./journal.ts";
import { recordedBy } from "./native.ts";

const PROGRAM = fileURLToPath(new URL("./log-program.ts", import.meta.url));
const DEADLINE_MS = 60_000;
/** Below the watched directory, so that the making of it is on the record too. */
export const DATA = "data";

export type LogRecording = {
  /** Empty, and the recording's own. */
  readonly directory: string;
  readonly seed: number;
  /** Of the last life; those before it are killed somewhere within. */
  readonly rounds: number;
  readonly lives: number;
  /** Of appends: all flushed before their answer, or some of them later. */
  readonly durability: "fsync" | "mixed";
  readonly worker: URL;
};

export async function recordLog(t: After, recording: LogRecording): Promise<Entry[]> {
  const { directory, lives } = recording;
  const watched = path.join(directory, "watched");
  const journal = path.join(directory, "journal");
  mkdirSync(watched);
  for (let life = 0; life < lives; life++) {
    await recordLife(t, { ...recording, watched, journal, life, isKilled: life < lives - 1 });
  }
  return readJournal(journal);
}

export type Life = Omit<LogRecording, "directory" | "lives"> & {
  readonly watched: string;
  readonly journal: string;
  /** Tells its records from those of other lives. */
  readonly life: number;
  readonly isKilled: boolean;
};

/** Goes on with what is in the watched directory. */
export async function recordLife(t: After, recording: Life): Promise<void> {
  const { watched, journal, seed, life, rounds, worker, durability, isKilled } = recording;
  const done = Promise.withResolvers<void>();
  const args = [path.join(watched, DATA), journal, seed, life, rounds, worker.href, durability].map(String);
  const child = await TestChild.start(t, {
    command: process.execPath,
    args: [PROGRAM, ...args],
    env: recordedBy(journal, watched),
    onLine: () => done.resolve(),
  });
  await Promise.race([done.promise, child.exited]);
  if (isKilled) await child.kill9();
  const { code } = await child.exitWithin(DEADLINE_MS);
  if (!isKilled && code !== 0) throw new Error(`the recorded program failed: ${child.describe()}`);
}
