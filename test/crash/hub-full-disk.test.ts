/**
 * The hub's disk is full, by others: producers are told to try again, agents keep what they have, consumers go on reading
 * and committing, also over a kill; when there is room, everything goes on by itself. Takes root on Linux.
 */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { Admin, Kafka } from "kafkajs";
import { assertBooksAgree } from "../support/books.ts";
import { Checker, assertFlawless } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { HubProgram, startAgent, startTributary } from "../support/programs.ts";
import { fillUp, smallDisk } from "../support/small-disk.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { committedOffsets, kafkaJs, openAdmin } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 60_000;
const DISK_MIB = 64;
const group = "readers";
const { topic } = eventsRoute;

/** The error of a single attempt; undefined when it is stored. */
async function produceOnce(kafka: Kafka): Promise<string | undefined> {
  const producer = kafka.producer({ retry: { retries: 0 } });
  await producer.connect();
  try {
    await producer.send({ topic: "direct", acks: -1, messages: [{ value: Buffer.alloc(100_000, "x") }] });
    return undefined;
  } catch (error) {
    // What KafkaJS gives up with, of an error that it would try again.
    const { name, cause } = error as Error & { cause?: { type?: string } };
    assert.equal(name, "KafkaJSNumberOfRetriesExceeded", String(error));
    return cause?.type;
  } finally {
    await producer.disconnect();
  }
}

async function commit(admin: Admin, offset: number): Promise<void> {
  await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: String(offset) }] });
  assert.equal((await committedOffsets(admin, { group, topic })).get(0), offset);
}

suite("the hub's disk is full", () => {
  test("producers try again, agents keep, consumers read and commit, over a kill; then all of it goes on", async (t) => {
    const disk = smallDisk(t, DISK_MIB);
    const data = path.join(disk, "hub");
    mkdirSync(data);
    const hub = await HubProgram.prepare(t, { data });
    await hub.start();
    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
    const publish = async (name: string): Promise<ReturnType<typeof startFleet>> => {
      const load = { clients: 10, qos: 1, messagesEach: 300, windowMax: 10, payloadBytes: 1000 } as const;
      const fleet = startFleet(t, { port: agent.mqttPort, name, isIncompressible: true, ...load });
      await fleet.finish(DEADLINE_MS);
      fleet.close();
      return fleet;
    };
    const delivered = async (): Promise<boolean> => (await agent.status()).ledger.pending === 0;
    const kafka = kafkaJs(hub.kafkaAddress);
    const admin = await openAdmin(t, hub.kafkaAddress);
    await admin.createTopics({ topics: [{ topic: "direct", numPartitions: 1 }] });
    const first = await publish("before");
    await waitUntil(delivered, { what: "the first messages to be delivered", deadlineMs: DEADLINE_MS });
    assert.equal(await produceOnce(kafka), undefined);

    const other = fillUp(disk);
    let refused: string | undefined;
    await waitUntil(async () => (refused = await produceOnce(kafka)) !== undefined, {
      what: "a producer to be told that there is no room",
      deadlineMs: DEADLINE_MS,
    });
    assert.equal(refused, "KAFKA_STORAGE_ERROR");
    const second = await publish("meanwhile");
    for (const offset of [1, 2]) {
      assert.ok((await readAll(t, { address: hub.kafkaAddress, topic })).length >= 3000, "what is stored can be read");
      await commit(admin, offset);
      assert.ok((await agent.status()).ledger.pending > 0, "the agent keeps what does not fit");
      if (offset > 1) break;
      await hub.kill9();
      await hub.start();
    }

    rmSync(other);
    await waitUntil(delivered, { what: "the rest to be delivered", deadlineMs: DEADLINE_MS });
    await waitUntil(async () => (await produceOnce(kafka)) === undefined, {
      what: "producers to go on",
      deadlineMs: DEADLINE_MS,
    });
    const checker = new Checker([...first.histories, ...second.histories]);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
    assertFlawless(checker.verdict());
    // The books are of what agents deliver.
    await admin.deleteTopics({ topics: ["direct"] });
    await assertBooksAgree([agent], hub);
    assert.deepEqual((await agent.status()).ledger.losses, []);
  });

  for (const program of ["hub", "agent"] as const) {
    test(`at the first start of all: the ${program} says so and ends; with room it starts on what that left`, async (t) => {
      const disk = smallDisk(t, DISK_MIB);
      const other = fillUp(disk);
      const listeners = program === "hub" ? ["--http", "--kafka"] : ["--mqtt", "--admin"];
      const args = [program, "--data", path.join(disk, "data"), ...listeners.flatMap((flag) => [flag, "127.0.0.1:0"])];
      const refused = await startTributary(t, args);
      assert.deepEqual(await refused.exitWithin(DEADLINE_MS), { code: 1, signal: null }, refused.describe());
      assert.match(refused.stderrTail, /LOG_FULL[^]*hint: +Free disk space/);
      rmSync(other);
      const lines: string[] = [];
      const started = await startTributary(t, args, {}, (line) => lines.push(line));
      const describe = (): string => started.describe();
      await waitUntil(() => lines[0], { what: "its ready line", deadlineMs: DEADLINE_MS, describe });
      started.signal("SIGTERM");
      assert.equal((await started.exitWithin(DEADLINE_MS)).code, 0);
      assert.doesNotMatch(started.stderrTail, /LOG_CORRUPT/, "what the first start left is no damage");
    });
  }
});
