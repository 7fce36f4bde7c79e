/**
 * Agent or hub stand still (SIGSTOP) for longer than the other one waits, as on a machine that was suspended or that is
 * out of memory, and go on as if nothing had been: with sockets whose peer has gone, and timers that are all late.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../bin/demo/random.ts";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import type { AgentProgram, HubProgram } from "../support/programs.ts";
import { exactRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const DEADLINE_MS = 60_000;
const waiting = { deadlineMs: DEADLINE_MS } as const;
const SILENCE_MS_MAX = 1_000;
/** From hardly noticed to far beyond the silence. */
const STOPPED_MS = { from: 50, to: 3_000 } as const;
const ROUNDS = 6;
/** Acknowledged before the first stop, and after the last. */
const MESSAGES_BEFORE = 500;
/** Attempts that pile up at a hub that stands still. */
const FAILURES_MIN = 3;

type Pair = { readonly hub: HubProgram; readonly agent: AgentProgram };

async function startPair(t: TestContext): Promise<Pair> {
  const hub = await startHub(t, { config: { uplink: { silenceMsMax: SILENCE_MS_MAX } } });
  const uplink = { ...quickUplink, silenceMsMax: SILENCE_MS_MAX, connectTimeoutMs: SILENCE_MS_MAX };
  const agent = await startAgent(t, { hub, config: { routes: [exactRoute], uplink } });
  return { hub, agent };
}

/** QoS 2: each message is stored exactly once, whatever its client has to send again. */
function startLoad(t: TestContext, { agent }: Pair) {
  const topicOf = (clientId: string): string => `exact/${clientId}/value`;
  const load = { name: "x", clients: 10, qos: 2, messagesEach: Infinity, windowMax: 20, perSecond: 1000 } as const;
  return startFleet(t, { ...load, port: agent.mqttPort, topicOf });
}

async function play(t: TestContext, stopAndGo: (pair: Pair) => Promise<void>): Promise<void> {
  const pair = await startPair(t);
  const { hub, agent } = pair;
  const fleet = startLoad(t, pair);
  await waitUntil(async () => (await hub.status()).agents[0]?.isConnected, {
    what: "the agent at the hub",
    ...waiting,
  });
  await waitUntil(() => fleet.ackedCount >= MESSAGES_BEFORE, { what: "the load", ...waiting });
  await stopAndGo(pair);
  const ackedCount = fleet.ackedCount + MESSAGES_BEFORE;
  await waitUntil(() => fleet.ackedCount >= ackedCount, { what: "the load to go on", ...waiting });
  await fleet.stop(DEADLINE_MS);
  const isDrained = async (): Promise<boolean> => (await agent.status()).log.pendingRecords === 0;
  await waitUntil(isDrained, { what: "everything to be delivered", ...waiting });
  const checker = new Checker(fleet.histories);
  for (const record of await readAll(t, { address: hub.kafkaAddress, topic: exactRoute.topic })) checker.add(record);
  const verdict = checker.verdict();
  assertFlawless(verdict);
  assert.equal(verdict.allowedDuplicateCount, 0);
  assert.deepEqual((await agent.status()).ledger.losses, []);
  await assertBooksAgree([agent], hub);
  const { connections } = (await agent.status()).uplink ?? { connections: 0 };
  t.diagnostic(`${verdict.recordCount} records, ${connections} connections`);
}

suite("a program stands still", () => {
  test("the agent, until the hub has given it up -> each message once, the books agree", async (t) => {
    await play(t, async ({ hub, agent }) => {
      agent.process.signal("SIGSTOP");
      const isGivenUp = async (): Promise<boolean> => (await hub.status()).agents[0]?.isConnected === false;
      await waitUntil(isGivenUp, { what: "the hub to give the agent up", ...waiting });
      agent.process.signal("SIGCONT");
    });
  });

  test("the hub, until the agent has tried again and again -> each message once, the books agree", async (t) => {
    await play(t, async ({ hub, agent }) => {
      hub.process.signal("SIGSTOP");
      const hasTried = async (): Promise<boolean> => ((await agent.status()).uplink?.failures ?? 0) >= FAILURES_MIN;
      await waitUntil(hasTried, { what: "the agent to try again", ...waiting });
      assert.equal((await agent.status()).uplink?.lastError?.code, "TIMEOUT");
      hub.process.signal("SIGCONT");
    });
  });

  test(`one or the other, ${ROUNDS} times, seed ${SEED} -> each message once, the books agree`, async (t) => {
    const random = seededRandom(SEED);
    await play(t, async ({ hub, agent }) => {
      for (let round = 0; round < ROUNDS; round++) {
        const { process } = random.next() < 0.5 ? hub : agent;
        process.signal("SIGSTOP");
        await delay(random.between(STOPPED_MS.from, STOPPED_MS.to));
        process.signal("SIGCONT");
        await delay(random.between(0, STOPPED_MS.to / 2));
      }
    });
  });
});
