/**
 * A disk that fails under the running agent. After a failed flush nobody knows what the disk holds: nothing of it is
 * acknowledged, the program ends, and its next start goes on from what is there. A slow disk makes answers late, not wrong.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import type { Fleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { connectRaw } from "../support/raw-mqtt.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { DiskFaults } from "./power/faults.ts";
import { recordedBy } from "./power/native.ts";

const DEADLINE_MS = 30_000;
const { topic } = eventsRoute;

/** An agent whose disk the test has in its hands, and a hub that is not there yet. */
async function start(t: TestContext) {
  const hub = await HubProgram.prepare(t);
  const outside = tempDir(t);
  const data = path.join(tempDir(t), "agent");
  mkdirSync(data);
  const faults = new DiskFaults(path.join(outside, "control"));
  const env = recordedBy(path.join(outside, "journal"), data, faults.file);
  const config = { routes: [eventsRoute], uplink: quickUplink };
  const agent = await AgentProgram.prepare(t, { hub, data, config, env });
  await agent.start();
  return { hub, agent, faults };
}

function publish(t: TestContext, agent: AgentProgram, messagesEach: number): Fleet {
  return startFleet(t, { port: agent.mqttPort, name: "s", clients: 10, qos: 1, messagesEach, windowMax: 5 });
}

/** Everything that was acknowledged arrives, in order, and the books agree. */
async function assertAllArrives(
  t: TestContext,
  { hub, agent, fleet }: { hub: HubProgram; agent: AgentProgram; fleet: Fleet },
) {
  await hub.start();
  await waitUntil(async () => (await agent.status()).ledger.pending === 0, {
    what: "everything to be delivered",
    deadlineMs: DEADLINE_MS,
  });
  const checker = new Checker(fleet.histories);
  for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
  const { counts } = checker.verdict();
  assert.deepEqual(counts, { missing: 0, duplicated: 0, unordered: 0, unknown: 0, gap: 0 });
  await assertBooksAgree([agent], hub);
}

suite("a disk that fails", () => {
  for (const { name, fail } of [
    { name: "one flush fails with EIO", fail: (faults: DiskFaults) => faults.failFlushes() },
    { name: "writes fail with EIO", fail: (faults: DiskFaults) => faults.failWrites("EIO") },
    { name: "it goes read-only", fail: (faults: DiskFaults) => faults.failWrites("EROFS") },
  ]) {
    test(`${name}: the agent ends without another PUBACK, and its next start loses nothing`, async (t) => {
      const { hub, agent, faults } = await start(t);
      const fleet = publish(t, agent, Infinity);
      await waitUntil(() => fleet.ackedCount > 500, { what: "messages to be acknowledged", deadlineMs: DEADLINE_MS });
      fail(faults);
      const { code } = await agent.process.exitWithin(DEADLINE_MS);
      assert.equal(code, 1, agent.process.describe());
      const acked = fleet.ackedCount;
      faults.heal();
      await agent.start();
      await waitUntil(() => fleet.ackedCount > acked + 500, { what: "it to go on", deadlineMs: DEADLINE_MS });
      await fleet.stop(DEADLINE_MS);
      await assertAllArrives(t, { hub, agent, fleet });
    });
  }

  test("flushes that take half a second: answers come late, the broker answers meanwhile, nothing is lost", async (t) => {
    const { hub, agent, faults } = await start(t);
    const idle = await connectRaw(t, agent.mqttPort, "idle");
    faults.slowFlushes(500);
    const fleet = publish(t, agent, 20);
    const startedAtMs = performance.now();
    let pings = 0;
    const done = fleet.finish(DEADLINE_MS);
    for (let isDone = false; !isDone; pings++) {
      const askedAtMs = performance.now();
      idle.send({ cmd: "pingreq" });
      assert.equal((await idle.next())?.cmd, "pingresp");
      assert.ok(performance.now() - askedAtMs < 400, "the broker does not wait for the disk");
      isDone = await Promise.race([
        done.then(() => true),
        new Promise<false>((resolve) => setImmediate(resolve, false)),
      ]);
    }
    assert.ok(performance.now() - startedAtMs > 1000 && pings > 10, `${pings} pings`);
    fleet.close();
    faults.heal();
    await assertAllArrives(t, { hub, agent, fleet });
  });
});
