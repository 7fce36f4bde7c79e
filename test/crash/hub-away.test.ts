/** The hub is away while the sensors publish; when it comes, the agent's log empties by itself. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { openAdmin, waitForRecords } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENTS = 20;
const MESSAGES_EACH = 1000;
const DEADLINE_MS = 30_000;
const { topic } = eventsRoute;

async function publish(t: TestContext, agent: AgentProgram, name: string) {
  const load = { port: agent.mqttPort, clients: CLIENTS, qos: 1, messagesEach: MESSAGES_EACH, windowMax: 20 } as const;
  const fleet = startFleet(t, { ...load, name });
  await fleet.finish(DEADLINE_MS);
  // Nobody is connected any more: what happens from here on happens without new traffic.
  fleet.close();
  return fleet.histories;
}

suite("hub away", () => {
  for (const { name, end } of [
    { name: "is not restarted", end: async () => undefined },
    { name: "is restarted in between", end: async (agent: AgentProgram) => agent.restart() },
    {
      name: "is killed in between",
      end: async (agent: AgentProgram) => {
        await agent.kill9();
        await agent.start();
      },
    },
  ]) {
    test(`the hub comes after everything was published, the agent ${name}: the drain begins by itself`, async (t) => {
      const hub = await HubProgram.prepare(t);
      const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
      const histories = [...(await publish(t, agent, "early")), ...(await publish(t, agent, "late"))];
      const count = 2 * CLIENTS * MESSAGES_EACH;
      await end(agent);
      assert.equal((await agent.status()).log.pendingRecords, count);
      assert.equal((await agent.status()).uplink?.isConnected, false);

      const startMs = performance.now();
      await hub.start();
      const admin = await openAdmin(t, hub.kafkaAddress);
      await waitForRecords(admin, { topic, count, deadlineMs: DEADLINE_MS });
      t.diagnostic(`${count} records at the hub ${Math.round(performance.now() - startMs)} ms after its start began`);
      await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
        what: "the agent to know that all is delivered",
        deadlineMs: DEADLINE_MS,
      });
      const checker = new Checker(histories);
      for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
      const verdict = checker.verdict();
      assertFlawless(verdict);
      assert.equal(verdict.recordCount, count);
      await assertBooksAgree([agent], hub);
    });
  }
});
