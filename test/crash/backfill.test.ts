/**
 * After an outage new records are at the hub within seconds, while what had gathered still drains over a slow link; and
 * the agent may die in between.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAllMarked } from "../support/kcat.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import type { PublishHistory } from "../support/publish-history.ts";
import { startSlowProxy } from "../support/slow-proxy.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENTS = 8;
const OUTAGE_MESSAGES_EACH = 10_000;
const LIVE_MESSAGES_EACH = 20;
/** The outage's records take it half a minute. */
const LINK_BYTES_PER_SECOND = 300_000;
const LIVE_MS_MAX = 15_000;
/** Less than the outage needs. */
const LOG_BYTES_MAX = 3_000_000;
const DEADLINE_MS = 90_000;
const { topic } = eventsRoute;

/** An agent whose link is slow, and a hub that is not there yet. */
async function liveFirst(t: TestContext, log: { readonly bytesMax?: number } = {}) {
  const hub = await HubProgram.prepare(t);
  const link = await startSlowProxy(t, Number(new URL(hub.uplinkUrl).port), LINK_BYTES_PER_SECOND);
  const route = { ...eventsRoute, catchUp: "live-first" };
  const config = { routes: [route], uplink: quickUplink, log };
  const agent = await startAgent(t, { hub: { uplinkUrl: `ws://127.0.0.1:${link.port}` }, config });
  const histories: PublishHistory[] = [];
  const publish = async (name: string, messagesEach: number): Promise<void> => {
    const load = { clients: CLIENTS, qos: 1, messagesEach, windowMax: 20, isIncompressible: true } as const;
    const fleet = startFleet(t, { port: agent.mqttPort, name, ...load });
    await fleet.finish(DEADLINE_MS);
    fleet.close();
    histories.push(...fleet.histories);
  };
  return { hub, agent, histories, publish };
}

for (const victim of ["agent", "hub", "agent and the hub"] as const) {
  test(`live-first: after an outage new records overtake history, over a kill of the ${victim}, and nothing is lost or twice`, async (t) => {
    const { hub, agent, histories, publish } = await liveFirst(t);
    const outage = CLIENTS * OUTAGE_MESSAGES_EACH;

    await publish("outage", OUTAGE_MESSAGES_EACH);
    assert.equal((await agent.status()).log.pendingRecords, outage);
    await hub.start();
    await waitUntil(async () => (await agent.status()).uplink?.isConnected === true, {
      what: "the agent to find the hub",
      deadlineMs: DEADLINE_MS,
    });
    const arriveFirst = async (name: string): Promise<void> => {
      await publish(name, LIVE_MESSAGES_EACH);
      const startMs = performance.now();
      let waiting = { pendingRecords: 0, historyRecords: 0 };
      await waitUntil(
        async () => {
          waiting = (await agent.status()).log;
          return waiting.pendingRecords === waiting.historyRecords;
        },
        { what: "new records to be at the hub", deadlineMs: LIVE_MS_MAX },
      );
      const ms = Math.round(performance.now() - startMs);
      t.diagnostic(`${name}: at the hub after ${ms} ms, while ${waiting.historyRecords} of ${outage} records wait`);
      assert.ok(waiting.historyRecords > 0, "history still waits");
    };
    await arriveFirst("new");
    const killed = [...(victim === "agent" ? [] : [hub]), ...(victim === "hub" ? [] : [agent])];
    await Promise.all(killed.map((program) => program.kill9()));
    await Promise.all(killed.map((program) => program.start()));
    await waitUntil(async () => (await agent.status()).uplink?.isConnected === true, {
      what: "the agent to find the hub again",
      deadlineMs: DEADLINE_MS,
    });
    await arriveFirst("newer");
    await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
      what: "history to be at the hub",
      deadlineMs: DEADLINE_MS,
    });

    const checker = new Checker(histories);
    for (const record of await readAllMarked(t, { address: hub.kafkaAddress, topic })) {
      checker.add(record);
      assert.equal(record.isHistorical, record.client.startsWith("outage"), `${record.client}/${record.sequence}`);
    }
    assertFlawless(checker.verdict());
    await assertBooksAgree([agent], hub);
    assert.deepEqual((await agent.status()).ledger.losses, []);
  });
}

test("live-first: a log that ran over in the outage, and again behind new records: what is not there is in the ledger", async (t) => {
  const { hub, agent, histories, publish } = await liveFirst(t, { bytesMax: LOG_BYTES_MAX });
  await publish("outage", OUTAGE_MESSAGES_EACH);
  await hub.start();
  await waitUntil(async () => (await agent.status()).log.historyRecords > 0, {
    what: "the agent to have begun a lane for new records",
    deadlineMs: DEADLINE_MS,
  });
  // More than the log has room for while the link is as slow as it is.
  await publish("new", OUTAGE_MESSAGES_EACH / 2);
  await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
    what: "what is left to be at the hub",
    deadlineMs: DEADLINE_MS,
  });

  const checker = new Checker(histories);
  for (const record of await readAllMarked(t, { address: hub.kafkaAddress, topic })) checker.add(record);
  const { counts, samples } = checker.verdict();
  const { missing, gap: _, ...others } = counts;
  assert.deepEqual(others, { duplicated: 0, unordered: 0, unknown: 0 }, samples.join("\n"));
  const { losses } = (await agent.status()).ledger;
  assert.deepEqual(losses, [{ topic, reason: "overflow", records: missing }]);
  assert.ok(missing > 0);
  await assertBooksAgree([agent], hub);
  t.diagnostic(`${missing} of ${(CLIENTS * OUTAGE_MESSAGES_EACH * 3) / 2} are declared as overflow`);
});
