/**
 * Load, and kill -9 at random moments: the agent, the hub, both, and again. What was acknowledged arrives, once (G1, G2).
 *
 * ROUNDS and SEED come from the environment. The seed decides who is killed when; how the machine answers is up to the
 * machine, so a seed makes a failure likely again, not certain.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../bin/demo/random.ts";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import type { CheckedRecord, Verdict } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import type { Fleet } from "../support/fleet.ts";
import { startGroupReader } from "../support/group-reader.ts";
import { readAll } from "../support/kcat.ts";
import type { KcatRecord } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import type { AgentProgram, HubProgram } from "../support/programs.ts";
import { eventsRoute, exactRoute, quickUplink } from "../support/test-routes.ts";
import { openAdmin, topicEnds, waitForRecords } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 20);
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** How long the programs run between two kills: from "hardly started" to "in full swing". */
const LIFE_MS = { from: 50, to: 1500 } as const;
/** How long what was killed stays away. */
const ABSENCE_MS = { from: 0, to: 300 } as const;
const DEADLINE_MS = 60_000;

const victims = ["agent", "hub", "both"] as const;

/** Sensors of several kinds; together a few thousand messages a second. MQTT.js has no pace but its answers. */
function startFleets(t: TestContext, port: number) {
  const lean = { port, messagesEach: Infinity, windowMax: 20 } as const;
  const mqttJs = { port, messagesEach: Infinity, windowMax: 1, kind: "mqtt.js" } as const;
  const topicOf = (clientId: string): string => `exact/${clientId}/value`;
  const atLeastOnce = [
    startFleet(t, { ...lean, name: "c", clients: 40, qos: 1, perSecond: 4000 }),
    startFleet(t, { ...mqttJs, name: "j", clients: 3, qos: 1 }),
  ];
  const exactlyOnce = [
    startFleet(t, { ...lean, name: "x", clients: 10, qos: 2, perSecond: 1000, topicOf }),
    startFleet(t, { ...mqttJs, name: "k", clients: 2, qos: 2, topicOf }),
  ];
  return { atLeastOnce, exactlyOnce };
}

const sumOf = (fleets: readonly Fleet[], count: (fleet: Fleet) => number): number =>
  fleets.reduce((sum, fleet) => sum + count(fleet), 0);

function judge(fleets: readonly Fleet[], records: readonly KcatRecord[]): Verdict {
  const checker = new Checker(fleets.flatMap(({ histories }) => histories));
  for (const record of records) checker.add(record);
  const verdict = checker.verdict();
  assertFlawless(verdict);
  return verdict;
}

/** An offset, once read, always holds the same record. */
function assertSame(seen: readonly CheckedRecord[], stored: readonly CheckedRecord[]): void {
  const place = ({ partition, offset }: CheckedRecord): string => `${partition}/${offset}`;
  const content = ({ client, sequence }: CheckedRecord): string => `${client}/${sequence}`;
  const byPlace = new Map(stored.map((record) => [place(record), content(record)]));
  const seenPlaces = new Set<string>();
  for (const record of seen) {
    assert.equal(content(record), byPlace.get(place(record)), `${place(record)}: what was read is what is stored`);
    seenPlaces.add(place(record));
  }
  assert.equal(seenPlaces.size, stored.length, "the follower got everything");
}

async function killAndRestart(programs: readonly (AgentProgram | HubProgram)[], absenceMs: number): Promise<void> {
  await Promise.all(programs.map((program) => program.kill9()));
  await delay(absenceMs);
  await Promise.all(programs.map((program) => program.start()));
}

suite("kill -9", () => {
  test(`${ROUNDS} rounds, seed ${SEED}: all that was acknowledged arrives, nothing twice but what QoS 1 sent again`, async (t) => {
    t.diagnostic(`ROUNDS=${ROUNDS} SEED=${SEED}`);
    const random = seededRandom(SEED);
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute, exactRoute], uplink: quickUplink } });
    const { atLeastOnce, exactlyOnce } = startFleets(t, agent.mqttPort);
    const all = [...atLeastOnce, ...exactlyOnce];
    const admin = await openAdmin(t, hub.kafkaAddress);
    await waitForRecords(admin, { topic: eventsRoute.topic, count: 1, deadlineMs: DEADLINE_MS });
    const follower = await startGroupReader(t, {
      address: hub.kafkaAddress,
      group: "follower",
      topic: eventsRoute.topic,
    });

    for (let round = 0; round < ROUNDS; round++) {
      const victim = victims[round % victims.length];
      await delay(random.between(LIFE_MS.from, LIFE_MS.to));
      const programs = victim === "agent" ? [agent] : victim === "hub" ? [hub] : [agent, hub];
      await killAndRestart(programs, random.between(ABSENCE_MS.from, ABSENCE_MS.to));
    }

    await Promise.all(all.map((fleet) => fleet.stop(DEADLINE_MS)));
    await waitUntil(async () => (await agent.status()).log.pendingRecords === 0, {
      what: "the agent to have delivered everything",
      deadlineMs: DEADLINE_MS,
    });
    const address = hub.kafkaAddress;
    const events = await readAll(t, { address, topic: eventsRoute.topic });
    const exact = await readAll(t, { address, topic: exactRoute.topic });
    const verdict = judge(atLeastOnce, events);
    const exactVerdict = judge(exactlyOnce, exact);
    const ends = await topicEnds(admin, eventsRoute.topic);
    await waitUntil(() => [...ends].every(([partition, end]) => follower.positions.get(partition) === end), {
      what: "the follower at the end of the topic",
      deadlineMs: DEADLINE_MS,
      describe: () => `${follower.records.length} records read of ${events.length}`,
    });
    assertSame(follower.records, events);
    assert.deepEqual((await agent.status()).ledger.losses, []);
    await assertBooksAgree([agent], hub);
    if (ROUNDS >= victims.length) {
      assert.ok(sumOf(all, (fleet) => fleet.resentCount) > 0, "the kills hit messages in flight");
    }
    t.diagnostic(
      `QoS 1: ${verdict.ackedCount} acknowledged, ${sumOf(atLeastOnce, (fleet) => fleet.resentCount)} sent again, ` +
        `${verdict.allowedDuplicateCount} of them stored twice`,
    );
    t.diagnostic(
      `QoS 2: ${exactVerdict.ackedCount} acknowledged, ${sumOf(exactlyOnce, (fleet) => fleet.resentCount)} sent again, ` +
        `${exactVerdict.allowedDuplicateCount} of them stored twice`,
    );
  });
});
