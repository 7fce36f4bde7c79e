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
import { readJournal } from "./power/journal.ts";
import type { Entry } from "./power/journal.ts";
import { connectLoad, publishLoad, publishPacket } from "./power/mqtt-load.ts";
import type { MqttLoad } from "./power/mqtt-load.ts";
import { recordedBy } from "./power/native.ts";
import { openCut } from "./power/open-cut.ts";
import { POWER_CUTS, POWER_SEED } from "./power/settings.ts";

const MESSAGES = 120;
const CLIENTS = 4;
const RESTARTS = 5;
const DATA = "agent";
const config = { routes: [eventsRoute, exactRoute] };

function loads(port: number, journal: string): MqttLoad[] {
  const common = { port, journal, messages: MESSAGES } as const;
  return Array.from({ length: CLIENTS }, (_, index) => [
    { ...common, client: `c${index}`, qos: 1, prefix: "sensors", topic: "events" } as const,
    { ...common, client: `x${index}`, qos: 2, prefix: "exact", topic: "exact" } as const,
  ]).flat();
}

/** There is no hub: all that is stored stays. */
async function record(t: TestContext, journal: string): Promise<Entry[]> {
  const watched = tempDir(t);
  const hub = await HubProgram.prepare(t);
  const agent = await AgentProgram.prepare(t, {
    hub,
    config,
    data: path.join(watched, DATA),
    env: recordedBy(journal, watched),
  });
  await agent.start();
  await Promise.all(loads(agent.mqttPort, journal).map((load) => publishLoad(t, load)));
  await agent.kill9();
  return readJournal(journal);
}

/** What a QoS 2 client does after the cut: what was not answered is sent again, and all is seen through. */
async function finishExactly(t: TestContext, load: MqttLoad, { sent, received }: Progress): Promise<void> {
  const mqtt = await connectLoad(t, load);
  for (let n = 0; n < sent; n++) {
    if (received.has(n)) mqtt.send({ cmd: "pubrel", messageId: n + 1 });
    else mqtt.send(publishPacket(load, n, true));
    for (;;) {
      const answer = await mqtt.next();
      assert.ok(answer !== undefined, "the connection stays");
      if (answer.cmd === "pubcomp") break;
      if (answer.cmd === "pubrec") mqtt.send({ cmd: "pubrel", messageId: n + 1 });
    }
  }
  mqtt.socket.destroy();
}

type Progress = { sent: number; readonly received: Set<number> };

/** Of each QoS 2 client before an entry of the journal, by its notes. */
function progressBefore(entries: readonly Entry[], at: number): Map<string, Progress> {
  const progress = new Map<string, Progress>();
  for (const entry of entries.slice(0, at)) {
    if (entry.kind !== "note") continue;
    const { type, keys } = JSON.parse(entry.data.toString()) as { type: string; keys: string[] };
    for (const key of keys) {
      const [client = "", number] = key.split("/");
      let own = progress.get(client);
      if (own === undefined) progress.set(client, (own = { sent: 0, received: new Set() }));
      if (type === "sending") own.sent++;
      else own.received.add(Number(number));
    }
  }
  return progress;
}

async function restartAndFinish(t: TestContext, data: string, progress: ReadonlyMap<string, Progress>): Promise<void> {
  const hub = await HubProgram.prepare(t);
  const agent = await AgentProgram.prepare(t, { hub, config, data });
  await agent.start();
  const exact = loads(agent.mqttPort, "").filter(({ qos }) => qos === 2);
  for (const load of exact) await finishExactly(t, load, progress.get(load.client) ?? { sent: 0, received: new Set() });
  await agent.term();
  const keys = openCut(data, [])
    .partitions.filter(({ topic }) => topic === "exact")
    .flatMap((each) => [...each.keys.values()]);
  const wanted = exact.flatMap(({ client }) =>
    Array.from({ length: progress.get(client)?.sent ?? 0 }, (_, n) => `${client}/${n}`),
  );
  assert.deepEqual(keys.toSorted(), wanted.toSorted(), "each message once, whatever was cut");
}

suite("power cuts: the agent", () => {
  test(`2 x ${POWER_CUTS} cuts and ${RESTARTS} restarts, seed ${POWER_SEED}: what was acknowledged is there, QoS 2 once`, async (t) => {
    const scratch = tempDir(t);
    const entries = await record(t, path.join(scratch, "journal"));
    const kept: { readonly data: string; readonly at: number }[] = [];
    const stride = Math.floor(POWER_CUTS / RESTARTS);
    for (const order of ["ordered", "strict"] as const) {
      const result = runCampaign({
        entries,
        data: DATA,
        scratch,
        seed: POWER_SEED,
        cuts: POWER_CUTS,
        order,
        onCut: (directory, { number, at }) => {
          if (order !== "ordered" || number % stride !== stride - 1) return;
          const data = path.join(scratch, `kept-${number}`);
          mkdirSync(data);
          cpSync(path.join(directory, DATA), data, { recursive: true });
          kept.push({ data, at });
        },
      });
      t.diagnostic(`${order}: ${result.cuts} cuts, up to ${result.ackedCount} messages acknowledged before them`);
      t.diagnostic(`${order}: ${result.salvages.length} took commits that were never flushed for damage`);
      assert.ok(result.tellingCuts > result.cuts / 2);
      assert.deepEqual(result.failures, []);
    }
    assert.ok(kept.length > 0);
    for (const { data, at } of kept) await restartAndFinish(t, data, progressBefore(entries, at));
    t.diagnostic(`${kept.length} of them restarted as the program`);
  });
});
