/** The whole path, small: sensors, agent, hub, a consumer group, and an orderly restart of both programs. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import type { Fleet } from "../support/fleet.ts";
import { startGroupReader } from "../support/group-reader.ts";
import type { GroupReader } from "../support/group-reader.ts";
import { startAgent, startHub, startTributary } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { openAdmin, waitForRecords } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 20_000;
const { topic } = eventsRoute;

/** 2,000 messages of MQTT.js clients at each QoS there is. */
async function publish(t: TestContext, agent: AgentProgram, name: string): Promise<readonly Fleet[]> {
  const load = { port: agent.mqttPort, clients: 4, windowMax: 10, kind: "mqtt.js" } as const;
  const fleets = [
    startFleet(t, { ...load, name: `${name}-zero-`, qos: 0, messagesEach: 100 }),
    startFleet(t, { ...load, name: `${name}-one-`, qos: 1, messagesEach: 200 }),
    startFleet(t, { ...load, name: `${name}-two-`, qos: 2, messagesEach: 200 }),
  ];
  await Promise.all(fleets.map((fleet) => fleet.finish(DEADLINE_MS)));
  return fleets;
}

async function waitForReader(reader: GroupReader, count: number): Promise<void> {
  await waitUntil(() => reader.records.length >= count, {
    what: `${count} records at the group`,
    deadlineMs: DEADLINE_MS,
    describe: () => `${reader.records.length} are there`,
  });
}

suite("end to end", () => {
  test("QoS 0, 1 and 2 reach a KafkaJS group once, over an orderly restart of hub and agent", async (t) => {
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
    const group = { address: hub.kafkaAddress, group: "g", topic };

    const before = await publish(t, agent, "before");
    await waitForRecords(await openAdmin(t, hub.kafkaAddress), { topic, count: 2000, deadlineMs: DEADLINE_MS });
    const firstReader = await startGroupReader(t, group);
    await waitForReader(firstReader, 2000);
    await firstReader.stop();
    for (const fleet of before) fleet.close();

    await agent.term();
    await hub.term();
    await Promise.all([hub.start(), agent.start()]);

    const after = await publish(t, agent, "after");
    const secondReader = await startGroupReader(t, group);
    await waitForReader(secondReader, 2000);

    const checker = new Checker([...before, ...after].flatMap(({ histories }) => histories));
    for (const record of [...firstReader.records, ...secondReader.records]) checker.add(record);
    const verdict = checker.verdict();
    assertFlawless(verdict);
    // Nobody lost a connection with a message on its way, so QoS 0 is complete too.
    assert.equal(verdict.recordCount, 4000);
    assert.equal((await agent.status()).log.pendingRecords, 0);
  });

  test("port 0: the ready line tells the ports that were really bound", async (t) => {
    const directory = tempDir(t);
    for (const [program, listeners] of [
      ["hub", ["http", "kafka"]],
      ["agent", ["mqtt", "admin"]],
    ] as const) {
      const lines: string[] = [];
      const flags = listeners.flatMap((listener) => [`--${listener}`, "127.0.0.1:0"]);
      const args = [program, "--data", `${directory}/${program}`, ...flags];
      const child = await startTributary(t, args, {}, (line) => lines.push(line));
      const ready = await waitUntil(() => lines[0], {
        what: `the ready line of the ${program}`,
        deadlineMs: DEADLINE_MS,
        describe: () => child.describe(),
      });
      const told = JSON.parse(ready) as Record<string, string>;
      assert.equal(told["ready"], program);
      for (const listener of listeners) assert.match(told[listener] ?? "", /^127\.0\.0\.1:[1-9]\d*$/);
      child.signal("SIGTERM");
      assert.deepEqual(await child.exitWithin(DEADLINE_MS), { code: 0, signal: null });
    }
  });
});
