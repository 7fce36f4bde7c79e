/**
 * Load on real ext4 file systems whose power is cut at random: the agent's, the hub's, both. What was acknowledged arrives,
 * once (G1, G2). ROUNDS and SEED come from the environment; the seed decides whose power goes when.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../bin/demo/random.ts";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import type { Fleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { tellNotTried } from "../support/not-tried.ts";
import { startAgent, startHub } from "../support/programs.ts";
import type { AgentProgram, HubProgram } from "../support/programs.ts";
import { eventsRoute, exactRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Ext4Disk, obstacleToExt4 } from "./power/ext4-disk.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 9);
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const LIFE_MS = { from: 100, to: 1500 } as const;
const DEADLINE_MS = 60_000;
const victims = ["agent", "hub", "both"] as const;

type Site = { readonly program: AgentProgram | HubProgram; readonly disk: Ext4Disk };

/** The disk goes first: what is acknowledged after that would be a lie. */
async function cutPower(sites: readonly Site[]): Promise<void> {
  for (const { disk } of sites) disk.cut();
  await Promise.all(sites.filter(({ program }) => program.isRunning).map(({ program }) => program.kill9()));
  for (const { disk } of sites) disk.remount();
  await Promise.all(sites.map(({ program }) => program.start()));
}

test(`real ext4: the power goes ${ROUNDS} times, seed ${SEED}: all that was acknowledged arrives, nothing twice but what QoS 1 sent again`, async (t) => {
  const obstacle = obstacleToExt4(t);
  if (obstacle !== undefined) return tellNotTried(t, "power cuts on a real ext4", obstacle);
  const random = seededRandom(SEED);
  const [agentDisk, hubDisk] = [Ext4Disk.make(t), Ext4Disk.make(t)];
  const hub = await startHub(t, { data: `${hubDisk.directory}/hub` });
  const config = { routes: [eventsRoute, exactRoute], uplink: quickUplink };
  const agent = await startAgent(t, { hub, data: `${agentDisk.directory}/agent`, config });
  const load = { port: agent.mqttPort, messagesEach: Infinity, windowMax: 20 } as const;
  const topicOf = (clientId: string): string => `exact/${clientId}/value`;
  const fleets: Readonly<Record<"events" | "exact", Fleet>> = {
    events: startFleet(t, { ...load, name: "c", clients: 30, qos: 1, perSecond: 3000 }),
    exact: startFleet(t, { ...load, name: "x", clients: 10, qos: 2, perSecond: 1000, topicOf }),
  };
  const sites = {
    agent: { program: agent, disk: agentDisk },
    hub: { program: hub, disk: hubDisk },
  };
  for (let round = 0; round < ROUNDS; round++) {
    const victim = victims[round % victims.length] ?? "both";
    await delay(random.between(LIFE_MS.from, LIFE_MS.to));
    await cutPower(victim === "both" ? [sites.agent, sites.hub] : [sites[victim]]);
  }
  await Promise.all(Object.values(fleets).map((fleet) => fleet.stop(DEADLINE_MS)));
  await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
    what: "the agent to have delivered everything",
    deadlineMs: DEADLINE_MS,
  });
  for (const topic of ["events", "exact"] as const) {
    const checker = new Checker(fleets[topic].histories);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
    const verdict = checker.verdict();
    assertFlawless(verdict);
    t.diagnostic(
      `${topic}: ${verdict.ackedCount} acknowledged, ${fleets[topic].resentCount} sent again, ` +
        `${verdict.allowedDuplicateCount} of them stored twice`,
    );
  }
  assert.deepEqual((await agent.status()).ledger.losses, []);
  await assertBooksAgree([agent], hub);
  assert.ok(fleets.events.resentCount > 0, "the cuts hit messages in flight");
});
