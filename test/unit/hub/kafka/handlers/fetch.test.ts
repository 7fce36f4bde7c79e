import assert from "node:assert/strict";
import { test } from "node:test";
import { readBatchHeader, splitBatches } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { fetchApi } from "../../../../../hub/kafka/schemas/records.ts";
import { Purgatory } from "../../../../../hub/engine/purgatory.ts";
import { answer, ask, kafkaServices, testPeer } from "../../../../support/kafka-hub.ts";
import type { MemoryEngine } from "../../../../support/memory-engine.ts";
import { VirtualTimers, settled } from "../../../../support/virtual-timers.ts";

type Partition = { partition?: number; fetchOffset?: number; partitionMaxBytes?: number; currentLeaderEpoch?: number };
type Limits = { maxWaitMs?: number; minBytes?: number; maxBytes?: number; isolationLevel?: number; replicaId?: number };

function fetching(partitions: readonly Partition[], limits: Limits & { topicId?: Buffer; topic?: string } = {}) {
  const { topic = "t", topicId = Buffer.alloc(16), ...others } = limits;
  return {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1_000_000,
    isolationLevel: 0,
    ...others,
    topics: [
      {
        topic,
        topicId,
        partitions: partitions.map((each) => ({ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000, ...each })),
      },
    ],
  };
}

async function setUp(partitionCount = 3) {
  const timers = new VirtualTimers();
  const services = kafkaServices({ clock: timers, purgatory: (engine) => new Purgatory(engine, timers) });
  await services.engine.createTopic({ name: "t", partitionCount });
  const fetch = async (request: ReturnType<typeof fetching>, version = 11) =>
    (await answer(services, { api: fetchApi, version, request })).responses[0]?.partitions ?? [];
  return { ...services, services, timers, fetch };
}

async function append(engine: MemoryEngine, partition: number, valueBytes: number, recordCount = 1): Promise<number> {
  const record = { timestamp: 0, key: null, value: Buffer.alloc(valueBytes) };
  const batch = encodeRecords(Array.from({ length: recordCount }, () => record));
  await engine.append({ topic: "t", partition, batch, header: readBatchHeader(batch), durability: "fsync" });
  return batch.length;
}

/** Base offsets of the batches of each partition. */
const baseOffsets = (partitions: readonly { readonly records: Buffer | null }[]): number[][] =>
  partitions.map(({ records }) =>
    Array.from(splitBatches(records ?? Buffer.alloc(0)), (batch) => readBatchHeader(batch).baseOffset),
  );

test("whole batches come in order, the first being the one that contains the offset", async () => {
  const { engine, fetch } = await setUp();
  for (let i = 0; i < 3; i++) await append(engine, 0, 100, 10);
  const [partition] = await fetch(fetching([{ fetchOffset: 15 }]));
  assert.deepEqual(baseOffsets(partition === undefined ? [] : [partition]), [[10, 20]]);
  assert.deepEqual(
    [partition?.errorCode, partition?.highWatermark, partition?.lastStableOffset, partition?.logStartOffset],
    [0, 30, 30, 0],
  );
});

test("the partition's limit and the response's limit hold whole batches", async () => {
  const { engine, fetch } = await setUp();
  const bytes = await append(engine, 0, 1000);
  for (let i = 0; i < 4; i++) await append(engine, 0, 1000);
  for (let i = 0; i < 4; i++) await append(engine, 1, 1000);
  assert.deepEqual(baseOffsets(await fetch(fetching([{ partitionMaxBytes: bytes * 2 + 10 }]))), [[0, 1]]);
  const both = fetching([{ partition: 0, partitionMaxBytes: bytes * 2 }, { partition: 1 }], {
    maxBytes: bytes * 3 + 5,
  });
  assert.deepEqual(baseOffsets(await fetch(both)), [[0, 1], [0]]);
});

test("the first batch of the first partition that has one is returned whatever its size, later ones are not", async () => {
  const { engine, fetch } = await setUp();
  await append(engine, 1, 5000);
  await append(engine, 2, 5000);
  const request = fetching(
    [0, 1, 2].map((partition) => ({ partition, partitionMaxBytes: 100 })),
    { maxBytes: 50 },
  );
  const partitions = await fetch(request);
  assert.deepEqual(baseOffsets(partitions), [[], [0], []]);
  assert.deepEqual(
    partitions.map(({ errorCode }) => errorCode),
    [0, 0, 0],
  );
});

test("the end of the log is empty, not null and not an error", async () => {
  const { engine, fetch } = await setUp();
  await append(engine, 0, 10);
  const [partition] = await fetch(fetching([{ fetchOffset: 1 }]));
  assert.deepEqual([partition?.errorCode, partition?.records?.length, partition?.highWatermark], [0, 0, 1]);
});

test("what is not committed is not read", async () => {
  const { engine, fetch } = await setUp();
  engine.holdCommits();
  const appended = append(engine, 0, 10);
  const [partition] = await fetch(fetching([{}]));
  assert.deepEqual([partition?.records?.length, partition?.highWatermark], [0, 0]);
  engine.releaseCommits();
  await appended;
});

const errors: readonly [what: string, partition: Partition, wire: number][] = [
  ["an unknown partition", { partition: 9 }, 3],
  ["a newer leader epoch", { currentLeaderEpoch: 1 }, 75],
  ["an older leader epoch", { currentLeaderEpoch: -2 }, 74],
  ["an offset before the log start", { fetchOffset: 0 }, 1],
  ["an offset after the end", { fetchOffset: 3 }, 1],
];
for (const [what, partition, wire] of errors) {
  test(`${what} is answered at once with ${wire} and offsets of -1`, async () => {
    const { engine, fetch } = await setUp();
    await append(engine, 0, 10);
    await append(engine, 0, 10);
    await engine.deleteRecords({ topic: "t", partition: 0 }, 1);
    const [answered] = await fetch(fetching([{ fetchOffset: 1, ...partition }], { maxWaitMs: 10_000, minBytes: 1e6 }));
    assert.deepEqual([answered?.errorCode, answered?.highWatermark, answered?.records?.length], [wire, -1, 0]);
  });
}

test("topics are found by id from version 13 on, and unknown ids and names are told apart", async () => {
  const { engine, services, fetch } = await setUp();
  const topicId = engine.topics.get("t")?.id ?? Buffer.alloc(0);
  assert.equal((await fetch(fetching([{}], { topicId }), 17))[0]?.errorCode, 0);
  assert.equal((await fetch(fetching([{}], { topicId: Buffer.alloc(16, 9) }), 17))[0]?.errorCode, 100);
  assert.equal((await fetch(fetching([{}], { topic: "other" }), 12))[0]?.errorCode, 3);
  await engine.deleteTopic("t");
  await engine.createTopic({ name: "t", partitionCount: 1 });
  assert.equal((await fetch(fetching([{}], { topicId }), 17))[0]?.errorCode, 100, "the old id after a new creation");
  const again = engine.topics.get("t")?.id ?? Buffer.alloc(0);
  const response = await answer(services, { api: fetchApi, version: 17, request: fetching([{}], { topicId: again }) });
  assert.ok(response.responses[0]?.topicId.equals(again));
});

test("aborted transactions are empty or null by isolation, and followers are refused", async () => {
  const { fetch } = await setUp();
  assert.equal((await fetch(fetching([{}])))[0]?.abortedTransactions, null);
  assert.deepEqual((await fetch(fetching([{}], { isolationLevel: 1 })))[0]?.abortedTransactions, []);
  assert.equal((await fetch(fetching([{}], { replicaId: 2 })))[0]?.errorCode, 42);
});

// Long poll ---------------------------------------------------------------------------------------------------------

test("a fetch at the end waits, and returns what the next commit brings", async () => {
  const { engine, purgatory, fetch } = await setUp();
  const fetched = fetch(fetching([{ partition: 0 }, { partition: 1 }], { maxWaitMs: 5000 }));
  await settled();
  assert.equal(purgatory.size, 1);
  await append(engine, 1, 10);
  assert.deepEqual(baseOffsets(await fetched), [[], [0]]);
  assert.equal(purgatory.size, 0);
});

test("min_bytes is waited for, and the deadline returns what there is", async () => {
  const { engine, timers, fetch } = await setUp();
  await append(engine, 0, 10);
  let isAnswered = false;
  const fetched = fetch(fetching([{}], { maxWaitMs: 500, minBytes: 100_000 })).finally(() => (isAnswered = true));
  await append(engine, 0, 10);
  await timers.advance(499);
  assert.equal(isAnswered, false);
  await timers.advance(1);
  assert.deepEqual(baseOffsets(await fetched), [[0, 1]]);
});

test("min_bytes reached by several commits answers before the deadline", async () => {
  const { engine, fetch } = await setUp();
  const fetched = fetch(fetching([{}], { maxWaitMs: 500, minBytes: 2500 }));
  for (let i = 0; i < 3; i++) await append(engine, 0, 1000);
  assert.deepEqual(baseOffsets(await fetched), [[0, 1, 2]]);
});

test("a full partition limit counts as its bytes though no whole batch fits the rest", async () => {
  const { engine, fetch } = await setUp();
  for (let i = 0; i < 3; i++) await append(engine, 0, 900);
  const request = fetching([{ partitionMaxBytes: 1500 }], { maxWaitMs: 500, minBytes: 1500 });
  assert.deepEqual(baseOffsets(await fetch(request)), [[0]]);
});

test("before a damaged end a consumer waits as at the end, and goes on behind it", async () => {
  const { engine, timers, fetch } = await setUp();
  await append(engine, 0, 10);
  await append(engine, 0, 10);
  const read = engine.read.bind(engine);
  let reads = 0;
  // The second batch cannot be read: a reader skips it.
  engine.read = (request) => {
    reads++;
    if (request.offset !== 1) return read(request);
    const result = read({ ...request, offset: Math.min(2, engine.offsets(request).highWatermark) });
    return { ...result, highWatermark: engine.offsets(request).highWatermark };
  };
  let isAnswered = false;
  const expired = fetch(fetching([{ fetchOffset: 1 }, { partition: 1 }], { maxWaitMs: 500 })).finally(
    () => (isAnswered = true),
  );
  await timers.advance(499);
  assert.deepEqual([isAnswered, reads], [false, 1]);
  await timers.advance(1);
  assert.deepEqual(baseOffsets(await expired), [[], []]);

  const fetched = fetch(fetching([{ fetchOffset: 1 }], { maxWaitMs: 500 }));
  await settled();
  await append(engine, 0, 10);
  assert.deepEqual(baseOffsets(await fetched), [[2]]);
});

test("a deleted topic ends the waiting with an error", async () => {
  const { engine, fetch } = await setUp();
  const fetched = fetch(fetching([{}], { maxWaitMs: 5000 }));
  await settled();
  await engine.deleteTopic("t");
  assert.equal((await fetched)[0]?.errorCode, 3);
});

test("a wait longer than the hub allows is cut", async () => {
  const { timers, options, fetch } = await setUp();
  const fetched = fetch(fetching([{}], { maxWaitMs: 2 ** 31 - 1 }));
  await timers.advance(options.fetchWaitMsMax);
  assert.equal((await fetched)[0]?.records?.length, 0);
});

test("a parked fetch of a closed connection is dropped", async () => {
  const { services, purgatory } = await setUp();
  const connection = new AbortController();
  const request = fetching([{}], { maxWaitMs: 5000 });
  const fetched = ask(services, { api: fetchApi, version: 11, request }, testPeer(connection.signal));
  await settled();
  assert.equal(purgatory.size, 1);
  connection.abort();
  await fetched;
  assert.equal(purgatory.size, 0);
});

test("a fetch of a thousand partitions is woken by one of them", async () => {
  const { engine, fetch } = await setUp(1000);
  const partitions = Array.from({ length: 1000 }, (_, partition) => ({ partition }));
  const fetched = fetch(fetching(partitions, { maxWaitMs: 5000 }));
  await settled();
  await append(engine, 500, 10);
  const withData = (await fetched).filter(({ records }) => (records?.length ?? 0) > 0);
  assert.deepEqual(
    withData.map(({ partitionIndex }) => partitionIndex),
    [500],
  );
});

test("batches of one read that come as one buffer are counted to their end", async () => {
  const { engine, services } = await setUp();
  const bytes = await append(engine, 0, 100);
  await append(engine, 0, 100);
  const read = engine.read.bind(engine);
  // As the embedded engine answers from the disk: later, and whole batches in one buffer.
  services.engine.read = ((request: Parameters<typeof read>[0]) => {
    const result = read(request);
    return Promise.resolve({ ...result, batches: [Buffer.concat(result.batches)] });
  }) as never;
  const response = await answer(services, { api: fetchApi, version: 11, request: fetching([{}], { minBytes: 1 }) });
  assert.equal(response.responses[0]?.partitions[0]?.records?.length, bytes * 2);
});
