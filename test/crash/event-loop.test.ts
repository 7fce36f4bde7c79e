/** Heartbeats, keep-alives and answers come in time only if nothing occupies the main threads: not the log, not its upkeep, not zlib. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { startFleet } from "../support/fleet.ts";
import { startGroupReader } from "../support/group-reader.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { eventsRoute } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENTS = 50;
/** As many as a busy site: several checkpoints and collections of garbage of either program fall into it. */
const LOAD = { clients: CLIENTS, qos: 1, windowMax: 20, perSecond: 10_000, messagesEach: 3000 } as const;
const COUNT = CLIENTS * LOAD.messagesEach;
const DELAY_P99_MS_MAX = 50;
const DEADLINE_MS = 120_000;

test("10,000 messages a second through agent and hub to a group: in 99 of 100 looks neither main thread is late by 50 ms", async (t) => {
  const hub = await HubProgram.prepare(t);
  await hub.start();
  const agent = await AgentProgram.prepare(t, { hub, config: { routes: [eventsRoute] } });
  await agent.start();
  const fleet = startFleet(t, { port: agent.mqttPort, name: "sensor", ...LOAD });
  await waitUntil(async () => (await hub.status()).topics.some(({ topic }) => topic === eventsRoute.topic), {
    what: "the topic to be at the hub",
    deadlineMs: DEADLINE_MS,
  });
  const reader = await startGroupReader(t, { address: hub.kafkaAddress, group: "readers", topic: eventsRoute.topic });
  await fleet.finish(DEADLINE_MS);
  await waitUntil(() => reader.records.length >= COUNT, { what: "all to be read", deadlineMs: DEADLINE_MS });
  for (const [name, program] of [
    ["agent", agent],
    ["hub", hub],
  ] as const) {
    const { eventLoopDelay } = (await program.status()).process;
    t.diagnostic(`${name}: ${JSON.stringify(eventLoopDelay)}`);
    assert.ok(eventLoopDelay.p99Ms < DELAY_P99_MS_MAX, `${name}: ${JSON.stringify(eventLoopDelay)}`);
  }
  await assertBooksAgree([agent], hub);
});
