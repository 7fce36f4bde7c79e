/** A gateway with little memory: the agent gets by with it, and is started again when the kernel ends it for want of some. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { TestChild } from "../support/child-process.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { MemoryGroup, obstacleToMemoryGroup } from "../support/memory-group.ts";
import { tellNotTried } from "../support/not-tried.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const MIB = 1024 * 1024;
/** Half of the smallest Raspberry Pi's; of it the group has its own page cache, too. */
const GROUP_BYTES = 256 * MIB;
const CLIENTS = 50;
const MESSAGES_EACH = 4000;
const DEADLINE_MS = 120_000;
const KILL_MS_MAX = 20_000;
const HOGS_MAX = 4;
/** Takes all that is left. */
const HOG = `
held = []
while True: held.append(b"x" * (1 << 20))
`;

/** Until the kernel has ended the agent for it; it may end the hog while that is about to begin. */
async function useUp(t: TestContext, { prefix }: MemoryGroup, agent: AgentProgram): Promise<void> {
  // The kernel ends the largest, which the agent need not be; to prefer a process needs no privilege, to spare one does.
  writeFileSync(`/proc/${agent.process.pid}/oom_score_adj`, "1000");
  const tried: TestChild[] = [];
  while (agent.isRunning && tried.length < HOGS_MAX) {
    const hog = await TestChild.start(t, { command: "sh", args: [...prefix.slice(1), "python3", "-c", HOG], env: {} });
    tried.push(hog);
    await Promise.race([hog.exited, agent.process.exited, delay(KILL_MS_MAX)]);
    await hog.kill9();
  }
  assert.equal(agent.process.exit?.signal, "SIGKILL", tried.map((hog) => hog.describe()).join("\n"));
}

test("256 MiB for the agent: full load, an outage and the drain with load; then the kernel ends it, and all arrives", async (t) => {
  const obstacle = obstacleToMemoryGroup(t);
  if (obstacle !== undefined) return tellNotTried(t, "an agent with little memory", obstacle);
  const group = MemoryGroup.make(t, GROUP_BYTES);
  const hub = await HubProgram.prepare(t);
  const { prefix } = group;
  const agent = await startAgent(t, { hub, prefix, config: { routes: [eventsRoute], uplink: quickUplink } });
  const load = { port: agent.mqttPort, qos: 1, clients: CLIENTS, payloadBytes: 500 } as const;

  const offline = startFleet(t, { ...load, name: "offline", messagesEach: MESSAGES_EACH, windowMax: 50 });
  await offline.finish(DEADLINE_MS);
  const meanwhile = startFleet(t, {
    ...load,
    name: "meanwhile",
    messagesEach: Infinity,
    windowMax: 20,
    perSecond: 4000,
  });
  await hub.start();
  const half = (CLIENTS * MESSAGES_EACH) / 2;
  await waitUntil(async () => (await agent.status()).log.pendingRecords < half, {
    what: "half of the backlog to be delivered",
    deadlineMs: DEADLINE_MS,
  });
  assert.equal(agent.process.exit, undefined, "nobody has ended it");

  await useUp(t, group, agent);
  await agent.start();

  await meanwhile.stop(DEADLINE_MS);
  await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
    what: "the rest to be delivered",
    deadlineMs: DEADLINE_MS,
  });
  const checker = new Checker([...offline.histories, ...meanwhile.histories]);
  for (const record of await readAll(t, { address: hub.kafkaAddress, topic: eventsRoute.topic })) checker.add(record);
  const verdict = checker.verdict();
  assertFlawless(verdict);
  await assertBooksAgree([agent], hub);
  t.diagnostic(
    `${verdict.ackedCount} acknowledged, ${meanwhile.resentCount} sent again after the kernel ended the agent`,
  );
});
