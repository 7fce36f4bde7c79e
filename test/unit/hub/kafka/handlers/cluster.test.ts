/** What can be asked about the hub as a whole: its disk, its topics in pages, and what one node does not have. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { describeClusterApi, findCoordinatorApi } from "../../../../../hub/kafka/schemas/cluster.ts";
import { describeLogDirsApi } from "../../../../../hub/kafka/schemas/log-dirs.ts";
import { describeTopicPartitionsApi, listPartitionReassignmentsApi } from "../../../../../hub/kafka/schemas/topics.ts";
import { describeTransactionsApi, listTransactionsApi } from "../../../../../hub/kafka/schemas/transactions.ts";
import { readBatchHeader } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { answer, kafkaServices } from "../../../../support/kafka-hub.ts";

async function setUp(topics: Readonly<Record<string, number>> = { a: 2, b: 3, c: 1 }) {
  const services = kafkaServices({ options: { dataDirectory: import.meta.dirname } });
  for (const [name, partitionCount] of Object.entries(topics)) {
    await services.engine.createTopic({ name, partitionCount });
  }
  return services;
}

type Cursor = { readonly topicName: string; readonly partitionIndex: number } | null;

async function describing(services: Awaited<ReturnType<typeof setUp>>, asked: Page) {
  const { topics = [], limit = 2000, cursor = null } = asked;
  const request = { topics: topics.map((name) => ({ name })), responsePartitionLimit: limit, cursor };
  const response = await answer(services, { api: describeTopicPartitionsApi, version: 0, request });
  const described = response.topics.map(
    ({ name, errorCode, partitions }) =>
      `${name}: ${errorCode === 0 ? partitions.map(({ partitionIndex }) => partitionIndex).join() : `error ${errorCode}`}`,
  );
  return { described, nextCursor: response.nextCursor, topics: response.topics };
}
type Page = { readonly topics?: readonly string[]; readonly limit?: number; readonly cursor?: Cursor };

test("DescribeTopicPartitions: all topics by name, or those asked for, each once", async () => {
  const services = await setUp();
  const all = await describing(services, {});
  assert.deepEqual(all.described, ["a: 0,1", "b: 0,1,2", "c: 0"]);
  assert.equal(all.nextCursor, null);
  const some = await describing(services, { topics: ["c", "unknown", "a", "c"] });
  assert.deepEqual(some.described, ["a: 0,1", "c: 0", "unknown: error 3"]);
  const [topic] = some.topics;
  assert.ok(services.engine.topics.get("a")?.id.equals(topic?.topicId ?? Buffer.alloc(0)));
  assert.deepEqual(topic?.partitions[1], {
    errorCode: 0,
    partitionIndex: 1,
    leaderId: 1,
    leaderEpoch: 0,
    replicaNodes: [1],
    isrNodes: [1],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: [],
  });
});

test("DescribeTopicPartitions: the cursor leads through all pages, whatever their size", async () => {
  const services = await setUp();
  for (const limit of [1, 2, 3, 4, 5, 6, 7]) {
    const seen: string[] = [];
    let cursor: Cursor = null;
    do {
      const page: Awaited<ReturnType<typeof describing>> = await describing(services, { limit, cursor });
      const count = page.topics.reduce((sum, { partitions }) => sum + partitions.length, 0);
      assert.ok(count > 0 && count <= limit, `${count} partitions with a limit of ${limit}`);
      for (const { name, partitions } of page.topics) {
        seen.push(...partitions.map(({ partitionIndex }) => `${name}/${partitionIndex}`));
      }
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(seen, ["a/0", "a/1", "b/0", "b/1", "b/2", "c/0"], `limit ${limit}`);
  }
});

test("DescribeTopicPartitions: 2000 partitions an answer at the most, and at least one", async () => {
  const services = await setUp({ a: 1999, b: 3 });
  const large = await describing(services, { limit: 2 ** 31 - 1 });
  assert.deepEqual(large.nextCursor, { topicName: "b", partitionIndex: 1 });
  const small = await describing(services, { limit: -5 });
  assert.deepEqual(small.nextCursor, { topicName: "a", partitionIndex: 1 });
});

test("DescribeTopicPartitions: a cursor that leads nowhere is an error, one to a deleted topic is not", async () => {
  const services = await setUp();
  const beside = await describing(services, { topics: ["a"], cursor: { topicName: "b", partitionIndex: 0 } });
  assert.deepEqual(beside.described, ["a: error 42"]);
  const negative = await describing(services, { topics: ["a"], cursor: { topicName: "a", partitionIndex: -1 } });
  assert.deepEqual(negative.described, ["a: error 42"]);
  const deleted = await describing(services, { cursor: { topicName: "aa", partitionIndex: 1 } });
  assert.deepEqual(deleted.described, ["b: 0,1,2", "c: 0"]);
  const beyond = await describing(services, { cursor: { topicName: "a", partitionIndex: 9 } });
  assert.deepEqual(beyond.described, ["a: ", "b: 0,1,2", "c: 0"]);
});

for (let version = 1; version <= 4; version++) {
  test(`DescribeLogDirs ${version}: one directory, the sizes of its partitions, and the room on its disk`, async () => {
    const services = await setUp();
    const batch = encodeRecords([{ timestamp: 0, key: null, value: Buffer.alloc(100) }]);
    const at = { topic: "b", partition: 1 };
    await services.engine.append({ ...at, batch, header: readBatchHeader(batch), durability: "fsync" });
    const asked = [
      { topic: "b", partitions: [1, 2, 1, 7, -1] },
      { topic: "unknown", partitions: [0] },
    ];
    const response = await answer(services, { api: describeLogDirsApi, version, request: { topics: asked } });
    const [result, ...others] = response.results;
    assert.ok(result !== undefined);
    assert.deepEqual([response.errorCode, result.errorCode, others], [0, 0, []]);
    assert.equal(result.logDir, path.resolve(import.meta.dirname));
    assert.deepEqual(
      result.topics.map(({ name, partitions }) => [
        name,
        ...partitions.map(({ partitionIndex, partitionSize }) => [partitionIndex, partitionSize]),
      ]),
      [["b", [1, batch.length], [2, 0]]],
    );
    const { totalBytes, usableBytes } = result;
    if (version >= 4) assert.ok(totalBytes > usableBytes && usableBytes > 0, `${usableBytes} of ${totalBytes}`);
    const all = await answer(services, { api: describeLogDirsApi, version, request: { topics: null } });
    assert.deepEqual(
      all.results[0]?.topics.map(({ name, partitions }) => `${name}: ${partitions.length}`),
      ["a: 2", "b: 3", "c: 1"],
    );
  });
}

test("DescribeLogDirs: a disk that does not tell its size does not hide the partitions'", async () => {
  const services = kafkaServices({ options: { dataDirectory: path.join(import.meta.dirname, "not-there") } });
  await services.engine.createTopic({ name: "a", partitionCount: 1 });
  const { results } = await answer(services, { api: describeLogDirsApi, version: 4, request: { topics: null } });
  assert.deepEqual([results[0]?.totalBytes, results[0]?.usableBytes, results[0]?.topics.length], [-1, -1, 1]);
});

test("nothing is being reassigned", async () => {
  for (const topics of [null, [{ name: "a", partitionIndexes: [0] }]]) {
    const request = { timeoutMs: 1000, topics };
    const response = await answer(await setUp(), { api: listPartitionReassignmentsApi, version: 0, request });
    assert.deepEqual([response.errorCode, response.topics], [0, []]);
  }
});

test("there are no transactions: none is listed, none is found, and nobody coordinates them", async () => {
  const services = await setUp();
  for (let version = 0; version <= 2; version++) {
    const request = { stateFilters: ["Ongoing", "Imaginary"], producerIdFilters: [1n] };
    const listed = await answer(services, { api: listTransactionsApi, version, request });
    assert.deepEqual([listed.errorCode, listed.unknownStateFilters, listed.transactionStates], [0, ["Imaginary"], []]);
  }
  const described = await answer(services, {
    api: describeTransactionsApi,
    version: 0,
    request: { transactionalIds: ["tx"] },
  });
  assert.deepEqual(
    described.transactionStates.map(({ errorCode, transactionalId }) => [errorCode, transactionalId]),
    [[105, "tx"]],
  );
  for (let version = 1; version <= 6; version++) {
    const request = { key: "tx", keyType: 1, coordinatorKeys: ["tx"] };
    const found = await answer(services, { api: findCoordinatorApi, version, request });
    const { errorCode, errorMessage } = found.coordinators[0] ?? found;
    // Clients of the later versions show the message only for an error that they do not know here.
    assert.equal(errorCode, version < 4 ? 53 : 42);
    assert.match(errorMessage ?? "", /no transactions; use the idempotent producer/);
  }
});

test("DescribeCluster 2: no broker is fenced", async () => {
  const request = { includeClusterAuthorizedOperations: false, includeFencedBrokers: true };
  const { brokers } = await answer(await setUp(), { api: describeClusterApi, version: 2, request });
  assert.deepEqual(
    brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced]),
    [[1, false]],
  );
});
