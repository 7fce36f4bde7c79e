/** A real agent under MQTT load, and what power cuts leave of it: opened hundreds of times in this process, and a few times as the program. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, exactRoute } from "../support/test-routes.ts";
import { runCampaign } from "./power/campaign.ts";
import { cutTwice } from "./power/cut-twice.ts";
import { notesBefore, notesIn, readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { checkSessions, readSessions } from "./power/left-sessions.ts";
import { connectLoad, leaveOffline, publishLoad, publishPacket, retainLoad } from "./power/mqtt-load.ts";
import type { MqttLoad } from "./power/mqtt-load.ts";
import { recordedBy } from "./power/native.ts";
import { openCut } from "./power/open-cut.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";
import type { Finding, Note } from "./power/witness.ts";

const MESSAGES = 120;
const CLIENTS = 4;
const RESTARTS = 5;
const FIRST_CUTS = Math.ceil(POWER_CUTS / 100);
const SECOND_CUTS = 25;
const SECOND_MESSAGES = 20;
const DATA = "agent";
const config = { routes: [eventsRoute, exactRoute] };
/** All of QoS 2, and of QoS 1 one publisher. */
const OFFLINE_FILTERS = ["exact/#", "sensors/c0/#"];

type Life = { readonly watched: string; readonly journal: string; readonly life: number; readonly messages: number };
type At = Pick<Life, "life" | "messages"> & Pick<MqttLoad, "port" | "note">;

/** The clients of a life. */
function loads({ port, note, life, messages }: At): MqttLoad[] {
  const common = { port, note, messages } as const;
  const suffix = life === 0 ? "" : `-${life}`;
  return Array.from({ length: CLIENTS }, (_, index) => [
    { ...common, client: `c${index}${suffix}`, qos: 1, prefix: "sensors", topic: "events" } as const,
    { ...common, client: `x${index}${suffix}`, qos: 2, prefix: "exact", topic: "exact" } as const,
  ]).flat();
}

/** From a start to a kill. There is no hub: all that is stored stays. A later life begins with what the clients of the first owe. */
async function live(
  t: TestContext,
  { watched, journal, life, messages }: Life,
  notes: readonly Note[] = [],
): Promise<void> {
  const hub = await HubProgram.prepare(t);
  const agent = await AgentProgram.prepare(t, {
    hub,
    config,
    data: path.join(watched, DATA),
    env: recordedBy(journal, watched),
  });
  await agent.start();
  const at = { port: agent.mqttPort, note: notesIn(journal), life, messages };
  const progress = progressBy(notes);
  for (const load of loads({ ...at, life: 0, messages: MESSAGES }).filter(({ qos }) => life > 0 && qos === 2)) {
    await finishExactly(t, load, progress.get(load.client) ?? { sent: 0, received: new Set() });
  }
  await leaveOffline(t, { ...at, filters: OFFLINE_FILTERS });
  await Promise.all([
    ...loads(at).map((load) => publishLoad(t, load)),
    retainLoad(t, { ...at, client: `r${life}`, mqttTopic: `status/${life}` }),
  ]);
  await agent.kill9();
}

let recorded: Promise<Entry[]> | undefined;

/** One first life for all tests of this file. */
function record(t: TestContext): Promise<Entry[]> {
  return (recorded ??= (async () => {
    const journal = path.join(tempDir(t), "journal");
    await live(t, { watched: tempDir(t), journal, life: 0, messages: MESSAGES });
    return readJournal(journal);
  })());
}

const check = (directory: string, notes: readonly Note[]): Finding[] => checkSessions(readSessions(directory), notes);

/** What a QoS 2 client does after the cut: what was not answered is sent again, and all is seen through. */
async function finishExactly(t: TestContext, load: MqttLoad, { sent, received }: Progress): Promise<void> {
  const { note, topic, client } = load;
  const mqtt = await connectLoad(t, load);
  for (let n = 0; n < sent; n++) {
    if (received.has(n)) mqtt.send({ cmd: "pubrel", messageId: n + 1 });
    else mqtt.send(publishPacket(load, n, true));
    for (;;) {
      const answer = await mqtt.next();
      assert.ok(answer !== undefined, "the connection stays");
      if (answer.cmd === "pubcomp") break;
      if (answer.cmd !== "pubrec") continue;
      // Not known to be queued: a message that was stored before the cut is new to no session.
      note({ type: "acked", topic, keys: [`${client}/${n}`] });
      mqtt.send({ cmd: "pubrel", messageId: n + 1 });
    }
  }
  mqtt.socket.destroy();
}

type Progress = { sent: number; readonly received: Set<number> };

/** Of each client, by the notes. */
function progressBy(notes: readonly Note[]): Map<string, Progress> {
  const progress = new Map<string, Progress>();
  for (const note of notes) {
    if (note.type !== "sending" && note.type !== "acked") continue;
    for (const key of note.keys) {
      const [client = "", number] = key.split("/");
      let own = progress.get(client);
      if (own === undefined) progress.set(client, (own = { sent: 0, received: new Set() }));
      if (note.type === "sending") own.sent++;
      else own.received.add(Number(number));
    }
  }
  return progress;
}

async function restartAndFinish(t: TestContext, data: string, notes: readonly Note[]): Promise<void> {
  const progress = progressBy(notes);
  const hub = await HubProgram.prepare(t);
  const agent = await AgentProgram.prepare(t, { hub, config, data });
  await agent.start();
  const exact = loads({ port: agent.mqttPort, note: () => undefined, life: 0, messages: 0 }).filter(
    ({ qos }) => qos === 2,
  );
  for (const load of exact) await finishExactly(t, load, progress.get(load.client) ?? { sent: 0, received: new Set() });
  await agent.term();
  const keys = openCut(data, [])
    .partitions.filter(({ topic }) => topic === "exact")
    .flatMap((each) => [...each.keys.values()]);
  const wanted = exact.flatMap(({ client }) =>
    Array.from({ length: progress.get(client)?.sent ?? 0 }, (_, n) => `${client}/${n}`),
  );
  assert.deepEqual(check(data, notes), []);
  assert.deepEqual(keys.toSorted(), wanted.toSorted(), "each message once, whatever was cut");
}

suite("power cuts: the agent", () => {
  test(`2 x ${POWER_CUTS} cuts and ${RESTARTS} restarts, seed ${POWER_SEED}: what was acknowledged is there, QoS 2 once`, async (t) => {
    const scratch = tempDir(t);
    const entries = await record(t);
    const kept: { readonly data: string; readonly notes: readonly Note[] }[] = [];
    const stride = Math.floor(POWER_CUTS / RESTARTS);
    for (const order of ["ordered", "strict"] as const) {
      const result = runCampaign({
        entries,
        data: DATA,
        scratch,
        seed: POWER_SEED,
        cuts: POWER_CUTS,
        order,
        check,
        onCut: (directory, { number, at }) => {
          if (order !== "ordered" || number % stride !== stride - 1) return;
          const data = path.join(scratch, `kept-${number}`);
          mkdirSync(data);
          cpSync(path.join(directory, DATA), data, { recursive: true });
          kept.push({ data, notes: notesBefore(entries, at) });
        },
      });
      t.diagnostic(`${order}: ${result.cuts} cuts, up to ${result.ackedCount} messages acknowledged before them`);
      t.diagnostic(`${order}: ${result.salvages.length} took commits that were never flushed for damage`);
      assert.ok(result.tellingCuts > result.cuts / 2);
      assert.deepEqual(result.failures, []);
    }
    assert.ok(kept.length > 0);
    for (const { data, notes } of kept) await restartAndFinish(t, data, notes);
    t.diagnostic(`${kept.length} of them restarted as the program`);
  });

  test(`cut twice, ${FIRST_CUTS} x ${SECOND_CUTS} cuts, seed ${POWER_SEED}: also of what recovers from a cut and goes on`, async (t) => {
    const result = await cutTwice({
      entries: await record(t),
      scratch: tempDir(t),
      data: DATA,
      seed: POWER_SEED,
      firstCuts: FIRST_CUTS,
      secondCuts: SECOND_CUTS,
      options: { check },
      live: ({ watched, journal, notes }) => live(t, { watched, journal, life: 1, messages: SECOND_MESSAGES }, notes),
    });
    t.diagnostic(`${result.cuts} cuts, up to ${result.ackedCount} messages acknowledged before the second`);
    assert.deepEqual(result.failures, []);
  });
});
