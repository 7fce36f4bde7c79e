/**
 * Agent and hub over `live-first` windows: the power of one of them or of both goes while an outage drains behind new records,
 * and after another outage. Both are started again as programs and drain; then all that was acknowledged must be at the hub, once.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { seededRandom } from "../../bin/demo/random.ts";
import { assertBooksAgree } from "../support/books.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { startSlowProxy } from "../support/slow-proxy.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { fates } from "./power/campaign.ts";
import { Disk } from "./power/disk.ts";
import { noteOf, notesIn, readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { publishLoad } from "./power/mqtt-load.ts";
import { recordedBy } from "./power/native.ts";
import { openCut } from "./power/open-cut.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";
import { Witness } from "./power/witness.ts";
import type { Note } from "./power/witness.ts";

/** Each is followed by a start of both programs. */
const CUTS = Math.ceil(POWER_CUTS / 40);
const CLIENTS = 4;
/** More than a thousand wait for the hub together: it takes so many for a window of their own. */
const OUTAGE_MESSAGES_EACH = 300;
const LIVE_MESSAGES_EACH = 20;
const LAST_MESSAGES_EACH = 5;
/** An outage takes it two seconds or so. */
const LINK_BYTES_PER_SECOND = 60_000;
const NOISE_BYTES = 90;
const DEADLINE_MS = 60_000;
const AGENT = "agent";
const HUB = "hub";
const victims = [[AGENT], [HUB], [AGENT, HUB]] as const;
const config = { routes: [{ ...eventsRoute, partitions: 1, catchUp: "live-first" }], uplink: quickUplink };
const { topic } = eventsRoute;

type Publishing = { readonly name: string; readonly messages: number; readonly note: (each: Note) => void };

/** A client's messages stay in one window, so its order is that of the lane. */
async function publish(t: TestContext, agent: AgentProgram, { name, messages, note }: Publishing): Promise<void> {
  const common = { port: agent.mqttPort, note, prefix: "sensors", topic, messages, noiseBytes: NOISE_BYTES } as const;
  const loads = Array.from({ length: CLIENTS }, (_, index) => {
    return { ...common, client: `${name}${index}`, qos: index % 2 === 0 ? 1 : 2 } as const;
  });
  await Promise.all(loads.map((load) => publishLoad(t, load)));
}

/** What waits is divided by then, so what follows is in a window as a whole. */
async function startHubAndReturn(agent: AgentProgram, hub: HubProgram): Promise<void> {
  const { pendingRecords } = (await agent.status()).log;
  await hub.start();
  await waitUntil(
    async () => {
      const { uplink, log } = await agent.status();
      return uplink?.isConnected === true && (pendingRecords === 0 || log.pendingRecords < pendingRecords);
    },
    { what: "records to arrive at the hub", deadlineMs: DEADLINE_MS },
  );
}

async function drained(agent: AgentProgram): Promise<void> {
  await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
    what: "all to be at the hub",
    deadlineMs: DEADLINE_MS,
  });
}

async function record(t: TestContext): Promise<Entry[]> {
  const watched = tempDir(t);
  const journal = path.join(tempDir(t), "journal");
  const note = notesIn(journal);
  const env = recordedBy(journal, watched);
  const hub = await HubProgram.prepare(t, { data: path.join(watched, HUB), env });
  const link = await startSlowProxy(t, Number(new URL(hub.uplinkUrl).port), LINK_BYTES_PER_SECOND);
  const uplinkUrl = `ws://127.0.0.1:${link.port}`;
  const agent = await AgentProgram.prepare(t, { hub: { uplinkUrl }, config, data: path.join(watched, AGENT), env });
  await agent.start();
  for (const outage of ["first", "second"]) {
    await publish(t, agent, { name: `${outage}-away`, messages: OUTAGE_MESSAGES_EACH, note });
    note({ type: "returning" });
    // Until records arrive the agent has nothing to flush but what it must write down before it sends.
    await startHubAndReturn(agent, hub);
    note({ type: "returned" });
    await publish(t, agent, { name: `${outage}-back`, messages: LIVE_MESSAGES_EACH, note });
    if (outage === "second") await drained(agent);
    await hub.kill9();
  }
  await agent.kill9();
  return readJournal(journal);
}

/** Every second one where the hub comes back and windows begin; the last at the end. */
function chooseCuts(entries: readonly Entry[]): number[] {
  const random = seededRandom(POWER_SEED);
  const places: number[] = [];
  const returns: number[] = [];
  let isReturning = false;
  for (const entry of entries) {
    if (entry.kind === "note") {
      const { type } = noteOf(entry);
      if (type === "returning" || type === "returned") isReturning = type === "returning";
    } else {
      places.push(entry.index);
      if (isReturning) returns.push(entry.index);
    }
  }
  const chosen = Array.from({ length: CUTS - 1 }, (_, number) => {
    const among = number % 2 === 0 ? returns : places;
    return among[Math.floor(random.next() * among.length)]!;
  });
  return [...chosen.toSorted((one, other) => one - other), places.at(-1)!];
}

/** One after another: the data directories, of the victims as the cut leaves them and of the other as a mere kill would. */
function* cutsOf(entries: readonly Entry[], scratch: string): Generator<Cut> {
  const random = seededRandom(POWER_SEED ^ 0x51f15e5);
  const cuts = chooseCuts(entries);
  const disks = { ordered: new Disk("ordered"), strict: new Disk("strict") };
  const notes: Note[] = [];
  let number = 0;
  for (const entry of entries) {
    if (entry.kind === "note") notes.push(noteOf(entry));
    else for (const disk of Object.values(disks)) disk.apply(entry);
    for (; cuts[number] === entry.index; number++) {
      const order = number % 2 === 0 ? "ordered" : "strict";
      const fate = fates[number % fates.length] ?? "dropped";
      const victim = victims[number % victims.length] ?? [];
      const below = (name: string): string => path.join(scratch, `${number}`, name);
      const [directory, cut, kept] = [below("data"), below("cut"), below("kept")];
      disks[order].cut(cut, { fate }, random);
      disks[order].cut(kept, { fate: "kept" }, random);
      mkdirSync(directory);
      for (const program of [AGENT, HUB]) {
        const from = path.join(victim.some((each) => each === program) ? cut : kept, program);
        if (existsSync(from)) cpSync(from, path.join(directory, program), { recursive: true });
      }
      const name = `cut ${number} after entry ${entry.index} of ${victim.join(" and ")}, ${order}, ${fate}`;
      yield { name, directory, notes: [...notes] };
      rmSync(path.join(scratch, `${number}`), { recursive: true });
    }
  }
}

type Cut = { readonly name: string; readonly directory: string; readonly notes: readonly Note[] };

/** Windows of its own that an agent has begun for new records. */
function windowsIn(directory: string): number {
  const file = path.join(directory, AGENT, "log.db");
  if (!existsSync(file)) return 0;
  const database = new Database(file, { readonly: true });
  try {
    return Number(database.prepare("SELECT count(*) FROM uplink_window").pluck().get());
  } finally {
    database.close();
  }
}

async function restart(t: TestContext, { directory, notes }: Cut): Promise<void> {
  const witness = new Witness();
  const note = (each: Note): void => witness.hear(each);
  for (const each of notes) note(each);
  const hub = await HubProgram.prepare(t, { data: path.join(directory, HUB) });
  const agent = await AgentProgram.prepare(t, { hub, config, data: path.join(directory, AGENT) });
  await agent.start();
  await startHubAndReturn(agent, hub);
  await publish(t, agent, { name: "last", messages: LAST_MESSAGES_EACH, note });
  await drained(agent);
  await assertBooksAgree([agent], hub);
  assert.deepEqual((await agent.status()).ledger.losses, []);
  await Promise.all([agent.term(), hub.term()]);
  assert.deepEqual(witness.check(openCut(path.join(directory, HUB), [])), []);
}

suite("power cuts: agent, hub, or both", () => {
  test(`${CUTS} cuts over live-first windows, seed ${POWER_SEED}: each acknowledged message is at the hub, once`, async (t) => {
    const entries = await record(t);
    let divided = 0;
    for (const cut of cutsOf(entries, tempDir(t))) {
      await restart(t, cut).catch((error: unknown) => {
        throw new Error(`seed ${POWER_SEED}, ${cut.name}`, { cause: error });
      });
      if (windowsIn(cut.directory) > 0) divided++;
    }
    t.diagnostic(`${divided} of ${CUTS} with windows of their own for new records`);
    assert.ok(divided > 0);
  });
});
