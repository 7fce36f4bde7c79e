/**
 * An agent at the cap of its log, and what power cuts leave of it: the newest records are there, and of those that made room for
 * them the agent's ledger says so, to the last one. They are declared when the hub is heard.
 */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { ledgerTable } from "../../agent/ledger/ledger-table.ts";
import type { LedgerContents } from "../../agent/ledger/ledger-table.ts";
import { LOG_FILE_NAME } from "../../shared/log/schema.ts";
import { assertBooksAgree } from "../support/books.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { runCampaign } from "./power/campaign.ts";
import { notesBefore, notesIn, readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { publishLoad } from "./power/mqtt-load.ts";
import { recordedBy } from "./power/native.ts";
import { checkNewest } from "./power/newest-kept.ts";
import { openCut } from "./power/open-cut.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";
import { Witness } from "./power/witness.ts";
import type { Finding, FoundPartition, Note } from "./power/witness.ts";

/** Of each order of names. */
const CUTS = Math.ceil(POWER_CUTS / 4);
const RESTARTS = Math.min(2, CUTS);
/** Of the cuts so many must come after records were dropped, or the test says nothing: most of the run is behind that. */
const TELLING_SHARE = 1 / 5;
const CLIENTS = 4;
const MESSAGES = 300;
const NOISE_BYTES = 2000;
const LOG_BYTES_MAX = 1_000_000;
const DEADLINE_MS = 60_000;
const DATA = "agent";
const { topic } = eventsRoute;
const config = { routes: [{ ...eventsRoute, partitions: 1 }], uplink: quickUplink, log: { bytesMax: LOG_BYTES_MAX } };

/** There is no hub, so the log runs over. */
async function record(t: TestContext): Promise<Entry[]> {
  const watched = tempDir(t);
  const journal = path.join(tempDir(t), "journal");
  const note = notesIn(journal);
  const env = recordedBy(journal, watched);
  const agent = await AgentProgram.prepare(t, {
    hub: await HubProgram.prepare(t),
    config,
    data: path.join(watched, DATA),
    env,
  });
  await agent.start();
  // The agent trims by itself, and how far is what the ledger says.
  note({ type: "trimming", topic, partition: 0, before: Number.MAX_SAFE_INTEGER });
  const common = { port: agent.mqttPort, note, prefix: "sensors", topic } as const;
  const load = { ...common, messages: MESSAGES, noiseBytes: NOISE_BYTES, givesUp: true };
  const clients = Array.from({ length: CLIENTS }, (_, index) => index);
  await Promise.all(
    clients.map((index) => publishLoad(t, { ...load, client: `c${index}`, qos: index % 2 === 0 ? 1 : 2 })),
  );
  await agent.kill9();
  return readJournal(journal);
}

/** The hub was never heard, so everything before the log start is lost, and is in the ledger. */
function checkNoted(directory: string, partitions: readonly FoundPartition[]): Finding[] {
  const database = new Database(path.join(directory, LOG_FILE_NAME));
  try {
    const load = ledgerTable.prepare(database)["load"] as () => LedgerContents;
    const { rows } = load();
    return partitions.flatMap(({ start, ...at }): Finding[] => {
      const own = rows.filter(({ topic: name, partition }) => name === at.topic && partition === at.partition);
      const noted = own.reduce((sum, { records }) => sum + records, 0);
      const isRight = noted === start && own.every(({ reason }) => reason === "overflow");
      return isRight ? [] : [{ kind: "noted", text: `${start} are gone, the ledger says ${noted}` }];
    });
  } finally {
    database.close();
  }
}

/** What is left goes to the hub, with the declaration of the rest. */
async function restartAndDrain(t: TestContext, data: string, notes: readonly Note[]): Promise<number> {
  const hub = await HubProgram.prepare(t);
  const agent = await AgentProgram.prepare(t, { hub, config, data });
  await Promise.all([agent.start(), hub.start()]);
  await waitUntil(
    async () => {
      const { uplink, ledger } = await agent.status();
      return uplink?.isConnected === true && ledger.pending === 0;
    },
    { what: "what was left to be at the hub", deadlineMs: DEADLINE_MS },
  );
  await assertBooksAgree([agent], hub);
  const { losses, dropped } = (await agent.status()).ledger;
  assert.ok(losses.every(({ reason }) => reason === "overflow"));
  await Promise.all([agent.term(), hub.term()]);
  const found = openCut(hub.data, []);
  const witness = new Witness();
  for (const each of notes) witness.hear(each);
  assert.deepEqual(witness.check(found), []);
  const keys = found.partitions.flatMap((each) => [...each.keys.values()]);
  assert.deepEqual(checkNewest(keys, notes), []);
  const acked = notes.flatMap((note) => (note.type === "acked" ? note.keys : []));
  const there = new Set(keys);
  const missing = acked.filter((key) => !there.has(key)).length;
  assert.ok(missing <= dropped, `${missing} are missing, ${dropped} are declared`);
  return dropped;
}

suite("power cuts: a full log", () => {
  test(`2 x ${CUTS} cuts and ${RESTARTS} restarts, seed ${POWER_SEED}: what is gone is declared, what is newer is there`, async (t) => {
    const entries = await record(t);
    const scratch = tempDir(t);
    const stride = Math.floor(CUTS / RESTARTS);
    const kept: { readonly data: string; readonly notes: readonly Note[] }[] = [];
    for (const order of ["ordered", "strict"] as const) {
      let trimmedCuts = 0;
      let droppedMax = 0;
      const result = runCampaign({
        entries,
        data: DATA,
        scratch,
        seed: POWER_SEED,
        cuts: CUTS,
        order,
        extensions: [ledgerTable],
        onCut: (directory, { number, at }) => {
          if (order !== "ordered" || number % stride !== stride - 1) return;
          const data = path.join(scratch, `kept-${number}`);
          cpSync(path.join(directory, DATA), data, { recursive: true });
          kept.push({ data, notes: notesBefore(entries, at) });
        },
        check: (directory, notes, { partitions }) => {
          const dropped = partitions.reduce((sum, { start }) => sum + start, 0);
          if (dropped > 0) trimmedCuts++;
          droppedMax = Math.max(droppedMax, dropped);
          const keys = partitions.flatMap((each) => [...each.keys.values()]);
          return [...checkNewest(keys, notes), ...checkNoted(directory, partitions)];
        },
      });
      t.diagnostic(`${order}: ${result.cuts} cuts, up to ${result.ackedCount} messages acknowledged before them`);
      assert.deepEqual(result.failures, []);
      t.diagnostic(`${order}: ${trimmedCuts} after records were dropped, up to ${droppedMax}`);
      t.diagnostic(`${order}: ${result.salvages.length} took commits that were never flushed for damage`);
      assert.ok(trimmedCuts >= Math.floor(CUTS * TELLING_SHARE), `${trimmedCuts} of ${CUTS} cuts tell something`);
    }
    for (const { data, notes } of kept) {
      t.diagnostic(`restarted: ${await restartAndDrain(t, data, notes)} declared at the hub`);
    }
  });
});
