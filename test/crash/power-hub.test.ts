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
import { cutTwice } from "./power/cut-twice.ts";
import { notesBefore, readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { COMPACTED, RETAINED, cleaningHub, runKafkaLoad } from "./power/kafka-load.ts";
import type { KafkaLoad } from "./power/kafka-load.ts";
import { recordedBy } from "./power/native.ts";
import { openCut } from "./power/open-cut.ts";
import { RetryingProducer } from "./power/retrying-producer.ts";
import { unansweredIn } from "./power/unanswered.ts";
import { Witness } from "./power/witness.ts";
import type { FoundPartition, Note } from "./power/witness.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";

const BATCHES = 60;
const RESTARTS = 3;
const RESENDS_EVERY = 3;
const FIRST_CUTS = Math.ceil(POWER_CUTS / 100);
const SECOND_CUTS = 25;
const SECOND_BATCHES = 10;
const DATA = "hub";

type Life = { readonly watched: string; readonly journal: string; readonly batches: number };

/** From a start to a kill; the second life begins with what the producers of the first one had no answer to. */
async function live(
  t: TestContext,
  { watched, journal, batches }: Life,
  again: Partial<KafkaLoad> = {},
): Promise<void> {
  const hub = await HubProgram.prepare(t, {
    data: path.join(watched, DATA),
    env: recordedBy(journal, watched),
    config: cleaningHub,
  });
  await hub.start();
  await runKafkaLoad(t, { hub, journal, batches, ...again });
  await hub.kill9();
}

let recorded: Promise<Entry[]> | undefined;

/** One first life for all tests of this file. */
function record(t: TestContext): Promise<Entry[]> {
  return (recorded ??= (async () => {
    const journal = path.join(tempDir(t), "journal");
    await live(t, { watched: tempDir(t), journal, batches: BATCHES });
    return readJournal(journal);
  })());
}

/** Records that the hub has taken from its topics by itself. */
function cleanedIn(partitions: readonly FoundPartition[]): { readonly compacted: number; readonly trimmed: number } {
  let [compacted, trimmed] = [0, 0];
  for (const { topic, start, end, keyed } of partitions) {
    if (topic === COMPACTED) compacted += end - start - keyed.size;
    if (topic === RETAINED) trimmed += start;
  }
  return { compacted, trimmed };
}

type Kept = { readonly data: string; readonly notes: readonly Note[] };

/** The same over the wire: each producer sends again what was not answered, and goes on. */
async function restartAndResend(t: TestContext, { data, notes }: Kept): Promise<void> {
  const witness = new Witness();
  const note = (each: Note): void => witness.hear(each);
  for (const each of notes) note(each);
  const hub = await HubProgram.prepare(t, { data });
  await hub.start();
  assert.ok((await (await openAdmin(t, hub.kafkaAddress)).listTopics()).length > 0);
  for (const each of unansweredIn(notes)) {
    const producer = await RetryingProducer.resume(t, { port: hub.kafkaPort, note }, each);
    await producer.produce(1);
    producer.close();
  }
  await hub.term();
  assert.deepEqual(witness.check(openCut(data, [])), []);
}

suite("power cuts: the hub", () => {
  test(`2 x ${POWER_CUTS} cuts and ${RESTARTS} restarts, seed ${POWER_SEED}: records, offsets, groups and topics are there`, async (t) => {
    const scratch = tempDir(t);
    const entries = await record(t);
    const stride = Math.floor(POWER_CUTS / RESTARTS);
    const kept: Kept[] = [];
    for (const order of ["ordered", "strict"] as const) {
      const cleaned = { compacted: 0, trimmed: 0 };
      const result = runCampaign({
        entries,
        data: DATA,
        scratch,
        seed: POWER_SEED,
        cuts: POWER_CUTS,
        order,
        resendsEvery: RESENDS_EVERY,
        onFound: ({ partitions }) => {
          const { compacted, trimmed } = cleanedIn(partitions);
          if (compacted > 0) cleaned.compacted++;
          if (trimmed > 0) cleaned.trimmed++;
        },
        onCut: (directory, { number, at }) => {
          if (order !== "ordered" || number % stride !== stride - 1) return;
          const data = path.join(scratch, `kept-${number}`);
          cpSync(path.join(directory, DATA), data, { recursive: true });
          kept.push({ data, notes: notesBefore(entries, at) });
        },
      });
      t.diagnostic(
        `${order}: ${result.cuts} cuts, up to ${result.ackedCount} records acknowledged or read before them`,
      );
      assert.deepEqual(result.failures, []);
      t.diagnostic(`${order}: ${result.resent} batches sent again, ${result.duplicates} of them were there`);
      t.diagnostic(`${order}: ${result.salvages.length} took commits that were never flushed for damage`);
      t.diagnostic(`${order}: ${cleaned.compacted} cuts with compacted records, ${cleaned.trimmed} with old ones gone`);
      assert.ok(cleaned.compacted > 0 && cleaned.trimmed > 0);
      assert.ok(result.resent > 0 && result.duplicates > 0);
      assert.ok(result.tellingCuts > result.cuts / 2);
    }
    for (const each of kept) await restartAndResend(t, each);
    t.diagnostic(`${kept.length} of them restarted as the program`);
  });

  test(`cut twice, ${FIRST_CUTS} x ${SECOND_CUTS} cuts, seed ${POWER_SEED}: also of what recovers from a cut and goes on`, async (t) => {
    const scratch = tempDir(t);
    const result = await cutTwice({
      entries: await record(t),
      scratch,
      data: DATA,
      seed: POWER_SEED,
      firstCuts: FIRST_CUTS,
      secondCuts: SECOND_CUTS,
      options: { resendsEvery: RESENDS_EVERY },
      live: ({ watched, journal, notes }) =>
        live(t, { watched, journal, batches: SECOND_BATCHES }, { life: 1, unanswered: unansweredIn(notes) }),
    });
    t.diagnostic(`${result.cuts} cuts, up to ${result.ackedCount} records acknowledged or read before the second`);
    assert.deepEqual(result.failures, []);
  });
});
