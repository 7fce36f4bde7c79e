/** ListOffsets, OffsetForLeaderEpoch, DeleteRecords and DescribeProducers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readBatchHeader, stampProducer } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { systemClock } from "../../../../../shared/clock.ts";
import {
  deleteRecordsApi,
  describeProducersApi,
  listOffsetsApi,
  offsetForLeaderEpochApi,
} from "../../../../../hub/kafka/schemas/records.ts";
import { answer, kafkaServices } from "../../../../support/kafka-hub.ts";

/** Two batches: offsets 0 to 2 at 1000, 3000, 2000; offset 3 at 2500. Log start 1. */
async function setUp() {
  const services = kafkaServices();
  await services.engine.createTopic({ name: "t", partitionCount: 2 });
  for (const [index, timestamps] of [[1000, 3000, 2000], [2500]].entries()) {
    const batch = encodeRecords(timestamps.map((timestamp) => ({ timestamp, key: null, value: Buffer.from("v") })));
    stampProducer(batch, { producerId: 42n, producerEpoch: 3, baseSequence: index * 3 });
    const header = readBatchHeader(batch);
    await services.engine.append({ topic: "t", partition: 0, batch, header, durability: "fsync" });
  }
  await services.engine.deleteRecords({ topic: "t", partition: 0 }, 1);
  const list = async (
    timestamp: number,
    { version = 10, partition = 0, currentLeaderEpoch = -1, topic = "t" } = {},
  ) => {
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch, timestamp }];
    const request = { replicaId: -1, topics: [{ name: topic, partitions }] };
    const response = await answer(services, { api: listOffsetsApi, version, request });
    const found = response.topics[0]?.partitions[0];
    return [found?.errorCode, found?.offset, found?.timestamp];
  };
  return { services, list };
}

test("list offsets: special timestamps stand for positions", async () => {
  const { list } = await setUp();
  assert.deepEqual(await list(-1), [0, 4, -1], "latest");
  assert.deepEqual(await list(-2), [0, 1, -1], "earliest");
  assert.deepEqual(await list(-3), [0, 1, 3000], "record with the largest timestamp");
  assert.deepEqual(await list(-4), [0, 1, -1], "earliest local");
  assert.deepEqual(await list(-5), [0, -1, -1], "latest tiered");
  assert.deepEqual(await list(-1, { partition: 1 }), [0, 0, -1], "an empty partition");
  assert.deepEqual(await list(-3, { partition: 1 }), [0, -1, -1], "an empty partition");
});

test("list offsets: a time finds the first record, not the batch, at or after it", async () => {
  const { list } = await setUp();
  assert.deepEqual(await list(0), [0, 1, 3000]);
  assert.deepEqual(await list(3000), [0, 1, 3000]);
  assert.deepEqual(await list(3001), [0, -1, -1]);
});

test("list offsets: what does not exist or has no meaning is an error of the partition", async () => {
  const { list } = await setUp();
  assert.deepEqual(await list(-1, { topic: "other" }), [3, -1, -1]);
  assert.deepEqual(await list(-1, { partition: 7 }), [3, -1, -1]);
  assert.deepEqual(await list(-3, { version: 6 }), [35, -1, -1]);
  assert.deepEqual(await list(-4, { version: 7 }), [35, -1, -1]);
  assert.deepEqual(await list(-5, { version: 8 }), [35, -1, -1]);
  assert.deepEqual(await list(-6), [35, -1, -1]);
  assert.deepEqual(await list(-1, { currentLeaderEpoch: 1 }), [75, -1, -1]);
});

test("offset for leader epoch: the one epoch ends where the log ends, later ones are undefined", async () => {
  const { services } = await setUp();
  const ask = async (leaderEpoch: number, partition = 0) => {
    const request = { topics: [{ topic: "t", partitions: [{ partition, currentLeaderEpoch: -1, leaderEpoch }] }] };
    const response = await answer(services, { api: offsetForLeaderEpochApi, version: 4, request });
    const found = response.topics[0]?.partitions[0];
    return [found?.errorCode, found?.leaderEpoch, found?.endOffset];
  };
  assert.deepEqual(
    [await ask(0), await ask(1), await ask(0, 9)],
    [
      [0, 0, 4],
      [0, -1, -1],
      [3, -1, -1],
    ],
  );
});

test("delete records: moves the log start, -1 to the end, and not beyond", async () => {
  const { services } = await setUp();
  const before = async (offset: number, partitionIndex = 0) => {
    const request = { topics: [{ name: "t", partitions: [{ partitionIndex, offset }] }], timeoutMs: 1 };
    const response = await answer(services, { api: deleteRecordsApi, version: 2, request });
    const partition = response.topics[0]?.partitions[0];
    return [partition?.errorCode, partition?.lowWatermark];
  };
  assert.deepEqual(
    [await before(2), await before(5), await before(-2)],
    [
      [0, 2],
      [1, -1],
      [1, -1],
    ],
  );
  assert.deepEqual(
    [await before(-1), await before(0, 9)],
    [
      [0, 4],
      [3, -1],
    ],
  );
});

test("describe producers: who has written, how far, and when", async () => {
  const before = systemClock.wallMs();
  const { services } = await setUp();
  const request = { topics: [{ name: "t", partitionIndexes: [0, 1, 9] }] };
  const { topics } = await answer(services, { api: describeProducersApi, version: 0, request });
  const [written, empty, unknown] = topics[0]?.partitions ?? [];
  const [producer] = written?.activeProducers ?? [];
  assert.deepEqual([producer?.producerId, producer?.producerEpoch, producer?.lastSequence], [42n, 3, 3]);
  const { lastTimestamp = 0 } = producer ?? {};
  assert.ok(before <= lastTimestamp && lastTimestamp <= systemClock.wallMs(), "when it last wrote");
  assert.deepEqual([empty?.activeProducers.length, unknown?.errorCode], [0, 3]);
});
