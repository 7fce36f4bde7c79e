/** A real hub under producers, a group and topics that come and go, and what power cuts leave of it. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { HubProgram } from "../support/programs.ts";
import { tempDir } from "../support/temp-dir.ts";
import { openAdmin } from "../support/topic-ends.ts";
import { runCampaign } from "./power/campaign.ts";
import { readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { runKafkaLoad } from "./power/kafka-load.ts";
import { recordedBy } from "./power/native.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";

const BATCHES = 60;
const RESTARTS = 3;
const DATA = "hub";

async function record(t: TestContext, journal: string): Promise<Entry[]> {
  const watched = tempDir(t);
  const hub = await HubProgram.prepare(t, { data: path.join(watched, DATA), env: recordedBy(journal, watched) });
  await hub.start();
  await runKafkaLoad(t, { address: hub.kafkaAddress, journal, batches: BATCHES });
  await hub.kill9();
  return readJournal(journal);
}

suite("power cuts: the hub", () => {
  test(`2 x ${POWER_CUTS} cuts and ${RESTARTS} restarts, seed ${POWER_SEED}: records, offsets, groups and topics are there`, async (t) => {
    const scratch = tempDir(t);
    const entries = await record(t, path.join(scratch, "journal"));
    const stride = Math.floor(POWER_CUTS / RESTARTS);
    const kept: string[] = [];
    for (const order of ["ordered", "strict"] as const) {
      const result = runCampaign({
        entries,
        data: DATA,
        scratch,
        seed: POWER_SEED,
        cuts: POWER_CUTS,
        order,
        onCut: (directory, { number }) => {
          if (order !== "ordered" || number % stride !== stride - 1) return;
          const data = path.join(scratch, `kept-${number}`);
          cpSync(path.join(directory, DATA), data, { recursive: true });
          kept.push(data);
        },
      });
      t.diagnostic(
        `${order}: ${result.cuts} cuts, up to ${result.ackedCount} records acknowledged or read before them`,
      );
      t.diagnostic(`${order}: ${result.salvages.length} took commits that were never flushed for damage`);
      assert.ok(result.tellingCuts > result.cuts / 2);
      assert.deepEqual(result.failures, []);
    }
    for (const data of kept) {
      const hub = await HubProgram.prepare(t, { data });
      await hub.start();
      assert.ok((await (await openAdmin(t, hub.kafkaAddress)).listTopics()).length > 0);
      await hub.term();
    }
    t.diagnostic(`${kept.length} of them restarted as the program`);
  });
});
