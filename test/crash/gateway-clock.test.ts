/**
 * A gateway whose clock is wrong, at boot or all at once: records have the time at which they came, in their order, once,
 * and none is thrown away for its age (needs: a Raspberry Pi has no battery for its clock).
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { Checker, assertFlawless } from "../support/checker.ts";
import { fakeClock } from "../support/faketime.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { qualities } from "../support/time-qualities.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Between the sensor's write and the record's stamp, on a busy machine, and what the way to the hub leaves open. */
const STAMP_MS_MAX = 3000;
const { topic } = eventsRoute;

async function publish(t: TestContext, agent: AgentProgram, name: string) {
  const load = { port: agent.mqttPort, clients: 5, qos: 1, messagesEach: 40, windowMax: 5, perSecond: 400 } as const;
  const fleet = startFleet(t, { ...load, name });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
  return fleet.histories;
}

async function drain(agent: AgentProgram, hub: HubProgram): Promise<void> {
  await hub.start();
  await drained(agent);
  await assertBooksAgree([agent], hub);
}

async function drained(agent: AgentProgram): Promise<void> {
  await waitUntil(async () => (await agent.status()).ledger.pending === 0, {
    what: "the agent to have delivered everything",
    deadlineMs: DEADLINE_MS,
  });
}

/** Everything once and in order, with the time at which its sensor sent it. */
async function assertTimes(t: TestContext, hub: HubProgram, histories: ConstructorParameters<typeof Checker>[0]) {
  const checker = new Checker(histories);
  const records = await readAll(t, { address: hub.kafkaAddress, topic });
  for (const record of records) checker.add(record);
  assertFlawless(checker.verdict());
  const wrong = records.filter(({ timestamp, sentAtUs }) => Math.abs(timestamp - sentAtUs / 1000) > STAMP_MS_MAX);
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${records.length} records have a wrong time`);
  return records.length;
}

suite("the gateway's clock", () => {
  test("boot in 1972, killed, started again, the hub away: records get their time when the hub is there", async (t) => {
    const clock = fakeClock(t, "-20000d");
    const hub = await HubProgram.prepare(t);
    const config = { routes: [eventsRoute], uplink: quickUplink };
    const agent = await startAgent(t, { hub, config, env: clock.env });
    const first = await publish(t, agent, "a");
    await agent.kill9();
    await agent.start();
    const second = await publish(t, agent, "b");
    const before = (await agent.status()).clock;
    assert.deepEqual([before.isKnown, before.doubt, before.sessions], [false, "behind", 1]);
    await drain(agent, hub);
    const after = (await agent.status()).clock;
    assert.deepEqual([after.isKnown, after.source], [true, "hub"]);
    assert.deepEqual(await qualities(t, hub.kafkaAddress, topic), { corrected: 400 });

    // Known from now on, also to the next process, though the system clock is as wrong as ever.
    const third = await publish(t, agent, "c");
    await agent.kill9();
    await agent.start();
    const fourth = await publish(t, agent, "d");
    await drained(agent);
    await assertBooksAgree([agent], hub);
    assert.equal(await assertTimes(t, hub, [...first, ...second, ...third, ...fourth]), 800);
    assert.deepEqual(await qualities(t, hub.kafkaAddress, topic), { corrected: 400, none: 400 });
  });

  for (const { offset, set, told } of [
    { offset: "+0", set: undefined, told: "none" },
    { offset: "-1h", set: undefined, told: "corrected" },
    { offset: "+10d", set: "+0", told: "corrected" },
    { offset: "+5000d", set: "+10d", told: "corrected" },
  ]) {
    const isSet = set === undefined ? "" : `, then ${set}`;
    test(`the first start of all, at ${offset}${isSet}, a kill, the hub away: records leave with their time (${told})`, async (t) => {
      const clock = fakeClock(t, offset);
      const hub = await HubProgram.prepare(t);
      const agent = await startAgent(t, {
        ...{ hub, env: clock.env },
        config: { routes: [eventsRoute], uplink: quickUplink },
      });
      const histories = [...(await publish(t, agent, "a"))];
      assert.equal((await agent.status()).clock.doubt, "unconfirmed");
      await agent.kill9();
      await agent.start();
      if (set !== undefined) clock.set(set);
      histories.push(...(await publish(t, agent, "b")));
      await drain(agent, hub);
      assert.equal(await assertTimes(t, hub, histories), 400);
      assert.deepEqual(await qualities(t, hub.kafkaAddress, topic), { [told]: 400 });
    });
  }

  test("the clock jumps 14 years ahead, an hour back and to 1972, live and over a kill: no record has it, none grows old", async (t) => {
    const clock = fakeClock(t);
    const hub = await HubProgram.prepare(t);
    const config = { log: { ageMsMax: DAY_MS }, routes: [eventsRoute], uplink: quickUplink };
    const agent = await startAgent(t, { hub, config, env: clock.env });
    await hub.start();
    await waitUntil(async () => (await agent.status()).clock.isKnown, { what: "the time", deadlineMs: DEADLINE_MS });
    await hub.kill9();
    const histories = [...(await publish(t, agent, "a"))];
    for (const [index, offset] of ["+5000d", "-1h", "-20000d", "+5000d"].entries()) {
      clock.set(offset);
      histories.push(...(await publish(t, agent, `jump${index}-`)));
      assert.equal((await agent.status()).clock.doubt, "jumped");
      await agent.kill9();
      await agent.start();
      histories.push(...(await publish(t, agent, `kill${index}-`)));
    }
    await drain(agent, hub);
    assert.deepEqual((await agent.status()).ledger.losses, []);
    assert.equal(await assertTimes(t, hub, histories), 9 * 200);
    assert.deepEqual(await qualities(t, hub.kafkaAddress, topic), { none: 9 * 200 });
  });
});
