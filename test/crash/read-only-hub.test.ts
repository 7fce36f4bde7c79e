/**
 * A hub whose disk takes no writes for good: consumers read what is stored, nothing is taken that could not be kept, and when
 * the disk is back everything goes on from where it stood.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { assertBooksAgree } from "../support/books.ts";
import { Checker, assertFlawless } from "../support/checker.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { startFleet } from "../support/fleet.ts";
import type { Fleet } from "../support/fleet.ts";
import { readAll, startGroupMember } from "../support/kcat.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import type { ProgramOptions } from "../support/programs.ts";
import { smallDisk } from "../support/small-disk.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { committedOffsets, openAdmin } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Ext4Disk } from "./power/ext4-disk.ts";
import { DiskFaults } from "./power/faults.ts";
import { recordedBy } from "./power/native.ts";

const DEADLINE_MS = 30_000;
const CLIENTS = 5;
const MESSAGES_EACH = 200;
const MESSAGES = CLIENTS * MESSAGES_EACH;
const group = "readers";
const { topic } = eventsRoute;

type History = Fleet["histories"][number];
type Pair = { readonly hub: HubProgram; readonly agent: AgentProgram };

async function startPair(t: TestContext, options: ProgramOptions): Promise<Pair> {
  const hub = await HubProgram.prepare(t, options);
  const agent = await AgentProgram.prepare(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
  await hub.start();
  await agent.start();
  return { hub, agent };
}

async function publish(t: TestContext, agent: AgentProgram, name: string): Promise<readonly History[]> {
  const { mqttPort: port } = agent;
  const fleet = startFleet(t, { port, name, clients: CLIENTS, qos: 1, messagesEach: MESSAGES_EACH, windowMax: 5 });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
  return fleet.histories;
}

async function drained(agent: AgentProgram): Promise<void> {
  const what = "everything to be delivered";
  await waitUntil(async () => (await agent.status()).ledger.pending === 0, { what, deadlineMs: DEADLINE_MS });
}

/** A member of the group reads so many records, and ends; returns them. */
async function readAsMember(t: TestContext, hub: HubProgram, count: number) {
  const { child, records } = await startGroupMember(t, { address: hub.kafkaAddress, group, topic });
  await waitUntil(() => records.length >= count, {
    what: `${count} records`,
    deadlineMs: DEADLINE_MS,
    describe: () => `${records.length} are there`,
  });
  child.signal("SIGTERM");
  await child.exitWithin(DEADLINE_MS);
  return records;
}

async function committedRecords(t: TestContext, hub: HubProgram): Promise<number> {
  const committed = await committedOffsets(await openAdmin(t, hub.kafkaAddress), { group, topic });
  return [...committed.values()].reduce((sum, offset) => sum + Math.max(0, offset), 0);
}

async function assertHolds(t: TestContext, hub: HubProgram, histories: readonly History[]): Promise<void> {
  const checker = new Checker(histories);
  for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
  assertFlawless(checker.verdict());
}

async function assertRefusesRecords(t: TestContext, hub: HubProgram): Promise<void> {
  const kafka = new Kafka({ brokers: [hub.kafkaAddress], logLevel: logLevel.NOTHING, retry: { retries: 0 } });
  const producer = kafka.producer();
  onCleanUp(t, () => producer.disconnect());
  await producer.connect();
  await assert.rejects(producer.send({ topic, messages: [{ value: "new" }] }), (error: Error) => {
    assert.equal((error.cause as { type?: string } | undefined)?.type, "KAFKA_STORAGE_ERROR");
    return true;
  });
}

type Disk = {
  /** The hub's disk takes no writes from here on; the hub has ended when it returns. */
  readonly fail: (publishMore: () => Promise<void>) => Promise<void>;
  readonly heal: () => void;
  /** Whether the hub is left to find out by itself, which takes a while, or killed. */
  readonly isHealingFound: boolean;
};

async function tryIt(t: TestContext, { hub, agent }: Pair, disk: Disk): Promise<void> {
  const histories = [...(await publish(t, agent, "a"))];
  await drained(agent);
  assert.equal((await readAsMember(t, hub, MESSAGES)).length, MESSAGES);
  assert.equal(await committedRecords(t, hub), MESSAGES);
  histories.push(...(await publish(t, agent, "b")));
  await drained(agent);
  const meanwhile: History[] = [];
  await disk.fail(async () => void meanwhile.push(...(await publish(t, agent, "c"))));

  for (let life = 0; life < 2; life++) {
    await hub.start();
    const health = await fetch(`http://127.0.0.1:${hub.httpPort}/healthz`);
    assert.equal(health.status, 503);
    assert.match(await health.text(), /takes no writes/);
    await assertHolds(t, hub, histories);
    // From what is committed; that it has read them too is told to nobody.
    assert.equal((await readAsMember(t, hub, MESSAGES)).length, MESSAGES);
    assert.equal(await committedRecords(t, hub), MESSAGES);
    await assertRefusesRecords(t, hub);
    assert.equal((await agent.status()).ledger.pending, MESSAGES);
    if (life === 0) await hub.kill9();
  }

  if (!disk.isHealingFound) await hub.kill9();
  disk.heal();
  await hub.process.exitWithin(DEADLINE_MS);
  if (disk.isHealingFound) assert.match(hub.process.stderrTail, /takes writes again/);
  await hub.start();
  await drained(agent);
  histories.push(...meanwhile, ...(await publish(t, agent, "d")));
  await drained(agent);
  await assertHolds(t, hub, histories);
  assert.equal((await readAsMember(t, hub, 3 * MESSAGES)).length, 3 * MESSAGES);
  assert.deepEqual((await hub.status()).integrity.incidents, []);
  await assertBooksAgree([agent], hub);
}

suite("a hub whose disk takes no writes", () => {
  for (const error of ["EIO", "EROFS"] as const) {
    test(`${error} for good, found while it runs: consumers read on, nothing is taken, and the books agree when the disk is back`, async (t) => {
      const outside = tempDir(t);
      const data = path.join(tempDir(t), "hub");
      mkdirSync(data);
      const faults = new DiskFaults(path.join(outside, "control"));
      const pair = await startPair(t, { data, env: recordedBy(path.join(outside, "journal"), data, faults.file) });
      await tryIt(t, pair, {
        fail: async (publishMore) => {
          faults.failWrites(error);
          await publishMore();
          const { code } = await pair.hub.process.exitWithin(DEADLINE_MS);
          assert.equal(code, 1, pair.hub.process.describe());
        },
        heal: () => faults.heal(),
        isHealingFound: error === "EIO",
      });
    });
  }

  test("an ext4 that gives up and mounts itself read-only while the hub runs: the same", async (t) => {
    const disk = Ext4Disk.make(t);
    const pair = await startPair(t, { data: path.join(disk.directory, "hub") });
    await tryIt(t, pair, {
      fail: async (publishMore) => {
        disk.abort();
        await publishMore();
        const { code } = await pair.hub.process.exitWithin(DEADLINE_MS);
        assert.equal(code, 1, pair.hub.process.describe());
      },
      heal: () => disk.remount(),
      isHealingFound: false,
    });
  });

  for (const how of ["killed", "stopped"] as const) {
    test(`mounted read-only, found at the start of a hub that was ${how}: the same`, async (t) => {
      const disk = smallDisk(t, 96);
      const pair = await startPair(t, { data: path.join(disk, "hub") });
      await tryIt(t, pair, {
        fail: async (publishMore) => {
          await (how === "killed" ? pair.hub.kill9() : pair.hub.term());
          execFileSync("mount", ["-o", "remount,ro", disk]);
          await publishMore();
        },
        heal: () => execFileSync("mount", ["-o", "remount,rw", disk]),
        isHealingFound: false,
      });
    });
  }
});
