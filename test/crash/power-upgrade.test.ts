/**
 * A log of an earlier version is opened by this one and goes on, and the power goes at every write of that: it opens by itself,
 * as the old log or the new one, and nothing of what it held is missing. The old log was stopped in order, or killed, and its
 * last commits are in its WAL alone.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { LOG_FILE_NAME, LOG_FORMAT } from "../../shared/log/schema.ts";
import { addFormat1Producers, copyToFormat1, makeFormat1 } from "../support/old-formats.ts";
import { tempDir } from "../support/temp-dir.ts";
import { runCampaign } from "./power/campaign.ts";
import type { Before, Campaign } from "./power/campaign.ts";
import { noteOf, readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { DATA, recordLife, recordLog } from "./power/record-log.ts";
import { POWER_SEED } from "./power/settings.ts";
import type { Finding } from "./power/witness.ts";

const worker = new URL("../support/log-worker.ts", import.meta.url);
const OLD_ROUNDS = 5;
const NEW_ROUNDS = 1;
/** Of Kafka clients and of an agent; the ids up to 3 were given to Kafka clients. */
const PRODUCERS = [3n, 4n];
const KEPT = [0, 1];

/** Format 1 knew no catalog, without which a hub takes a log for a backup: it leaves offsets out, and reads all there is. */
const NO_CATALOG = "put here from elsewhere";

type Ending = "stopped" | "killed";

/** What the old version has left, and what was acknowledged by then. */
async function makeOld(t: TestContext, ending: Ending): Promise<Before> {
  const directory = tempDir(t);
  const recording = { directory, seed: POWER_SEED, rounds: OLD_ROUNDS, lives: 1, durability: "fsync", worker } as const;
  const entries = await recordLog(t, recording);
  const old = path.join(directory, "old");
  const kept = path.join(directory, "kept");
  mkdirSync(path.join(old, DATA), { recursive: true });
  const database = makeFormat1(path.join(old, DATA, LOG_FILE_NAME));
  if (ending === "killed") database.pragma("wal_autocheckpoint = 0");
  copyToFormat1(path.join(directory, "watched", DATA, LOG_FILE_NAME), database, ["test_pair"]);
  addFormat1Producers(database, PRODUCERS, 3);
  if (ending === "stopped") database.close();
  // Of a killed one the files are as they are; its shared memory goes with the power.
  cpSync(old, kept, { recursive: true, filter: (name) => !name.endsWith("-shm") });
  if (ending === "killed") database.close();
  return { directory: kept, notes: entries.filter(({ kind }) => kind === "note").map(noteOf) };
}

/** This version opens it, goes on with it and ends. */
async function upgrade(t: TestContext, { directory }: Before): Promise<Entry[]> {
  const own = tempDir(t);
  const [watched, journal] = [path.join(own, "watched"), path.join(own, "journal")];
  cpSync(directory, watched, { recursive: true });
  const life = { seed: POWER_SEED, life: 1, rounds: NEW_ROUNDS, durability: "fsync", worker, isKilled: false } as const;
  await recordLife(t, { ...life, watched, journal });
  return readJournal(journal);
}

/** After the cut it was opened again, so it is of this version by now, with the producers as the upgrade takes them over. */
function checkUpgraded(directory: string): Finding[] {
  const database = new Database(path.join(directory, LOG_FILE_NAME), { readonly: true });
  try {
    const format: unknown = database.pragma("user_version", { simple: true });
    const kept = database.prepare<[], number>("SELECT is_kept FROM producer ORDER BY producer_id").pluck().all();
    const isRight = format === LOG_FORMAT && String(kept) === String(KEPT);
    return isRight ? [] : [{ kind: "missing", text: `format ${String(format)}, producers ${String(kept)}` }];
  } finally {
    database.close();
  }
}

/** Before anything is opened: whether the cut has left the old log. */
function isOld(directory: string): boolean {
  const database = new Database(path.join(directory, DATA, LOG_FILE_NAME));
  try {
    return database.pragma("user_version", { simple: true }) === 1;
  } finally {
    database.close();
  }
}

suite("power cuts: an upgrade", () => {
  for (const ending of ["stopped", "killed"] as const) {
    test(`a log of format 1 that was ${ending}, cut at every write of its upgrade, seed ${POWER_SEED}: all is there`, async (t) => {
      const before = await makeOld(t, ending);
      const entries = await upgrade(t, before);
      for (const order of ["ordered", "strict"] as const) {
        let oldCuts = 0;
        const campaign: Campaign = {
          entries,
          before,
          order,
          data: DATA,
          scratch: tempDir(t),
          seed: POWER_SEED,
          cuts: 0,
          isEveryPlace: true,
          onCut: (directory) => {
            const copy = `${directory}-looked-at`;
            cpSync(directory, copy, { recursive: true });
            if (isOld(copy)) oldCuts++;
          },
          check: checkUpgraded,
        };
        const result = runCampaign(campaign);
        t.diagnostic(`${order}: ${result.cuts} cuts, ${oldCuts} of which left the old log`);
        // Garbage in the head of a WAL that begins anew cannot be told from a head that was damaged.
        const salvages = result.salvages.filter((each) => !each.includes(NO_CATALOG) && !each.includes("garbage"));
        assert.deepEqual([result.failures, salvages], [[], []]);
        assert.ok(oldCuts > 0 && oldCuts < result.cuts, "cuts before the upgrade and behind it");
      }
    });
  }
});
