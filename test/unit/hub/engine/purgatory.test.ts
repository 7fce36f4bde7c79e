import assert from "node:assert/strict";
import { test } from "node:test";
import { readBatchHeader } from "../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../shared/batch/records.ts";
import { Purgatory } from "../../../../hub/engine/purgatory.ts";
import type { ParkRequest, Watched } from "../../../../hub/engine/purgatory.ts";
import { MemoryEngine } from "../../../support/memory-engine.ts";
import { VirtualTimers, settled } from "../../../support/virtual-timers.ts";

const at = (partition: number) => ({ topic: "t", partition });

async function setUp(partitionCount = 2) {
  const engine = new MemoryEngine();
  const timers = new VirtualTimers();
  await engine.createTopic({ name: "t", partitionCount });
  return { engine, timers, purgatory: new Purgatory(engine, timers) };
}

function append(engine: MemoryEngine, partition: number, valueBytes = 10) {
  const batch = encodeRecords([{ timestamp: 0, key: null, value: Buffer.alloc(valueBytes) }]);
  return engine.append({ ...at(partition), batch, header: readBatchHeader(batch), durability: "fsync" });
}

function watching(partition: number, watched: Partial<Watched> = {}): Watched {
  return { ...at(partition), fetchOffset: 0, highWatermark: 0, bytesRoom: 1_000_000, ...watched };
}

function parking(partitions: readonly Watched[], request: Partial<ParkRequest> = {}): ParkRequest {
  return { partitions, bytesMissing: 1, waitMs: 500, closed: new AbortController().signal, ...request };
}

/** What a waiter was woken with, or undefined while it waits. */
function observe(waiting: Promise<string>): { reason: string | undefined } {
  const seen: { reason: string | undefined } = { reason: undefined };
  void waiting.then((reason) => (seen.reason = reason));
  return seen;
}

test("an append wakes those who wait for its partition, and only those", async () => {
  const { engine, purgatory } = await setUp();
  const first = observe(purgatory.park(parking([watching(0)])));
  const other = observe(purgatory.park(parking([watching(1)])));
  await append(engine, 0);
  await settled();
  assert.deepEqual([first.reason, other.reason, purgatory.size], ["enough", undefined, 1]);
});

test("nobody is woken before the commit", async () => {
  const { engine, purgatory } = await setUp();
  const waiter = observe(purgatory.park(parking([watching(0)])));
  engine.holdCommits();
  const appended = append(engine, 0);
  await settled();
  assert.equal(waiter.reason, undefined);
  engine.releaseCommits();
  await appended;
  await settled();
  assert.equal(waiter.reason, "enough");
});

test("one commit of many partitions wakes a waiter once", async () => {
  const { engine, purgatory } = await setUp(50);
  const partitions = Array.from({ length: 50 }, (_, partition) => watching(partition));
  let wakes = 0;
  void purgatory.park(parking(partitions)).then(() => wakes++);
  await Promise.all(partitions.map(({ partition }) => append(engine, partition)));
  await settled();
  assert.deepEqual([wakes, purgatory.size], [1, 0]);
});

test("growth is counted until it is enough, over all partitions and up to each one's room", async () => {
  const { engine, purgatory } = await setUp();
  const partitions = [watching(0), watching(1, { bytesRoom: 50 })];
  const waiter = observe(purgatory.park(parking(partitions, { bytesMissing: 250 })));
  await append(engine, 1, 1000);
  await append(engine, 0, 50);
  await settled();
  assert.equal(waiter.reason, undefined);
  await append(engine, 0, 50);
  await settled();
  assert.equal(waiter.reason, "enough");
});

test("what came between the read and the parking is noticed", async () => {
  const { engine, purgatory } = await setUp();
  await append(engine, 0);
  assert.equal(await purgatory.park(parking([watching(0, { highWatermark: 0 })])), "changed");
});

test("the deadline ends the waiting", async () => {
  const { purgatory, timers } = await setUp();
  const waiter = observe(purgatory.park(parking([watching(0)], { waitMs: 500 })));
  await timers.advance(499);
  assert.equal(waiter.reason, undefined);
  await timers.advance(1);
  assert.equal(waiter.reason, "expired");
});

test("deleting the topic and taking the log's head from under the reader wake at once", async () => {
  const { engine, purgatory } = await setUp();
  await append(engine, 0);
  await append(engine, 0);
  const behind = observe(purgatory.park(parking([watching(0, { highWatermark: 2 })], { bytesMissing: 1e6 })));
  const atEnd = observe(
    purgatory.park(parking([watching(0, { fetchOffset: 2, highWatermark: 2 })], { bytesMissing: 1e6 })),
  );
  await engine.deleteRecords(at(0), 1);
  await settled();
  assert.deepEqual([behind.reason, atEnd.reason], ["changed", undefined]);
  await engine.deleteTopic("t");
  await settled();
  assert.equal(atEnd.reason, "changed");
});

test("a closed connection leaves nothing behind", async () => {
  const { engine, purgatory, timers } = await setUp();
  const connection = new AbortController();
  const waiter = observe(purgatory.park(parking([watching(0), watching(1)], { closed: connection.signal })));
  connection.abort();
  await settled();
  assert.deepEqual([waiter.reason, purgatory.size, timers.runningCount], ["closed", 0, 0]);
  await append(engine, 0);
  assert.equal(await purgatory.park(parking([watching(1)], { closed: connection.signal })), "closed");
});

test("closing ends all waiting, and nobody waits afterwards", async () => {
  const { purgatory, timers } = await setUp();
  const waiter = observe(purgatory.park(parking([watching(0)])));
  purgatory.close();
  await settled();
  assert.deepEqual([waiter.reason, purgatory.size, timers.runningCount], ["expired", 0, 0]);
  assert.equal(await purgatory.park(parking([watching(0)])), "expired");
});
