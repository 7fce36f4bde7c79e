/**
 * The log after power cuts, hundreds of them out of one recorded run (test/crash/power/): what was acknowledged is there, once and
 * in order, what a reader was shown keeps its offset, and the log opens by itself. Then the same on disks that break
 * their promises, where losses must be found: a test that cannot fail proves nothing.
 *
 * POWER_CUTS and POWER_SEED come from the environment. The seed decides the load and the cuts; threads decide how the load
 * falls into commits, so the journal of a run that failed is kept: POWER_JOURNAL repeats it exactly.
 */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { tempDir } from "../support/temp-dir.ts";
import { runCampaign } from "./power/campaign.ts";
import type { Campaign, CampaignResult } from "./power/campaign.ts";
import { cutTwice } from "./power/cut-twice.ts";
import type { CutTwiceResult } from "./power/cut-twice.ts";
import { readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";
import { DATA, recordLife, recordLog } from "./power/record-log.ts";
import type { LogRecording } from "./power/record-log.ts";

const worker = new URL("../support/log-worker.ts", import.meta.url);
const carelessWorker = new URL("./power/normal-log-worker.ts", import.meta.url);
const ROUNDS = 60;
/** Of each order of names; half of what is asked for. */
const CUTS = Math.ceil(POWER_CUTS / 2);
const JUDGED_CUTS = 60;
const FAILURES_SHOWN_MAX = 5;
/** Of cuts that are followed by others, and of those others after each. */
const FIRST_CUTS = Math.ceil(POWER_CUTS / 25);
const SECOND_CUTS = 25;
const SECOND_LIFE = 3;
/** Few, so that most of what is cut is the recovery. */
const SECOND_ROUNDS = 5;

type Recorded = { readonly entries: readonly Entry[]; readonly directory: string; readonly journal: string };

async function record(t: TestContext, options: Partial<LogRecording> = {}): Promise<Recorded> {
  const directory = tempDir(t);
  const replayed = process.env["POWER_JOURNAL"];
  if (replayed !== undefined) return { entries: readJournal(replayed), directory, journal: replayed };
  const recording = { directory, seed: POWER_SEED, rounds: ROUNDS, lives: 3, durability: "mixed", worker } as const;
  const entries = await recordLog(t, { ...recording, ...options });
  return { entries, directory, journal: path.join(directory, "journal") };
}

function cut({ entries, directory }: Recorded, options: Partial<Campaign> = {}): CampaignResult {
  const common = { data: DATA, scratch: directory, seed: POWER_SEED, cuts: CUTS, order: "ordered" } as const;
  return runCampaign({ entries, ...common, ...options });
}

function assertNothingLost(t: TestContext, result: CampaignResult, { journal }: Recorded): void {
  t.diagnostic(`${result.cuts} cuts, up to ${result.ackedCount} records acknowledged or shown before them`);
  assert.ok(result.tellingCuts > result.cuts / 2, "most cuts come after something was acknowledged");
  if (result.failures.length === 0) return;
  const kept = path.join(os.tmpdir(), `tributary-power-${POWER_SEED}.journal`);
  copyFileSync(journal, kept);
  const shown = result.failures.slice(0, FAILURES_SHOWN_MAX).join("\n");
  assert.fail(
    `after ${result.failures.length} of ${result.cuts} cuts; POWER_SEED=${POWER_SEED} POWER_JOURNAL=${kept}\n${shown}`,
  );
}

const orders = ["ordered", "strict"] as const;

/** The second life goes on with what a cut anywhere in the first ones has left. */
async function cutLogTwice(
  t: TestContext,
  { firstCuts, secondCuts, worker: second }: { firstCuts: number; secondCuts: number; worker: URL },
): Promise<CutTwiceResult> {
  const { entries, directory } = await record(t, { durability: "fsync" });
  const life = { life: SECOND_LIFE, rounds: SECOND_ROUNDS, durability: "fsync", worker: second } as const;
  return cutTwice({
    entries,
    scratch: directory,
    data: DATA,
    seed: POWER_SEED,
    firstCuts,
    secondCuts,
    live: (places, number) => recordLife(t, { ...life, ...places, seed: POWER_SEED + number, isKilled: false }),
  });
}

suite("power cuts: the log", () => {
  test(`2 x ${CUTS} cuts, seed ${POWER_SEED}: nothing acknowledged is lost, nothing comes twice`, async (t) => {
    const recorded = await record(t);
    for (const order of orders) {
      const result = cut(recorded, { order });
      assertNothingLost(t, result, recorded);
      t.diagnostic(`${order}: ${result.salvages.length} took commits that were never flushed for damage`);
    }
  });

  test(`2 x ${CUTS} cuts, seed ${POWER_SEED}, every commit flushed: none is taken for damage`, async (t) => {
    const recorded = await record(t, { durability: "fsync" });
    for (const order of orders) {
      const result = cut(recorded, { order });
      assertNothingLost(t, result, recorded);
      // Garbage in the head of a WAL that begins anew cannot be told from a head that was damaged.
      assert.deepEqual(
        result.salvages.filter((each) => !each.includes("garbage")),
        [],
      );
    }
  });

  test(`cut twice, ${FIRST_CUTS} x ${SECOND_CUTS} cuts, seed ${POWER_SEED}: also of what recovers from a cut and goes on`, async (t) => {
    const result = await cutLogTwice(t, { firstCuts: FIRST_CUTS, secondCuts: SECOND_CUTS, worker });
    t.diagnostic(`up to ${result.ackedCount} records acknowledged or shown before the second cut`);
    assert.deepEqual(result.failures, []);
  });

  test(`every cut of a first start, seed ${POWER_SEED}: it opens by itself`, async (t) => {
    const recorded = await record(t, { lives: 1, rounds: 1, durability: "fsync" });
    for (const order of orders) {
      const result = cut(recorded, { order, isEveryPlace: true });
      t.diagnostic(`${order}: ${result.cuts} cuts`);
      assert.deepEqual([result.failures, result.salvages], [[], []]);
    }
  });
});

suite("power cuts: what the harness must find", () => {
  test(`synchronous=NORMAL loses acknowledged records, seed ${POWER_SEED}`, async (t) => {
    const result = cut(await record(t, { worker: carelessWorker }), { cuts: JUDGED_CUTS });
    t.diagnostic(`${result.counts.missing} of ${result.cuts} cuts lost acknowledged records`);
    assert.ok(result.counts.missing > JUDGED_CUTS / 4, `${result.counts.missing} of ${JUDGED_CUTS} cuts`);
    assert.equal(result.unopened, 0, result.failures.join("\n"));
  });

  test(`synchronous=NORMAL of the second life alone loses some, seed ${POWER_SEED}`, async (t) => {
    const { missing } = await cutLogTwice(t, { firstCuts: 4, secondCuts: JUDGED_CUTS, worker: carelessWorker });
    t.diagnostic(`${missing} of ${4 * JUDGED_CUTS} second cuts lost acknowledged records`);
    assert.ok(missing > 0);
  });

  test(`cards that lie or spoil what is beside lose some too, and the log opens all the same, seed ${POWER_SEED}`, async (t) => {
    const recorded = await record(t);
    const lying = cut(recorded, { cuts: JUDGED_CUTS, lostFlushPercent: 50 });
    const spoiling = cut(recorded, { cuts: JUDGED_CUTS, isPageSpoilt: true });
    for (const [name, result] of Object.entries({ lying, spoiling })) {
      const lost = `${result.counts.missing} of ${result.cuts} cuts lost acknowledged records`;
      t.diagnostic(`${name}: ${lost}, ${result.salvages.length} were salvaged`);
      assert.ok(result.counts.missing > 0, name);
      assert.equal(result.unopened, 0, result.failures.join("\n"));
      t.diagnostic(`${name}: ${result.counts.unknown} cuts brought records to light under another name`);
    }
    const { unknown, repeated } = spoiling.counts;
    assert.deepEqual([unknown, repeated], [0, 0], spoiling.failures.join("\n"));
  });
});
