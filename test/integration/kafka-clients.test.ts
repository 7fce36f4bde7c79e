/** Unmodified clients against the listener: what they see is what the protocol promises. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  Admin as PlatformaticAdmin,
  Consumer,
  Producer,
  ProduceAcks,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";
import type { CompressionAlgorithmValue } from "@platformatic/kafka";
import { CompressionTypes, Kafka, logLevel } from "kafkajs";
import { onCleanUp } from "../support/clean-up.ts";
import { startKafka } from "../support/kafka-hub.ts";

function kafkaJs(address: string): Kafka {
  return new Kafka({ clientId: "kafkajs-test", brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 1 } });
}

suite("KafkaJS", () => {
  test("creates, lists, describes and deletes topics", async (t) => {
    const { address } = await startKafka(t);
    const admin = kafkaJs(address).admin();
    await admin.connect();
    onCleanUp(t, () => admin.disconnect());
    assert.deepEqual(await admin.listTopics(), []);
    const topics = [{ topic: "made", numPartitions: 3, configEntries: [{ name: "retention.ms", value: "1000" }] }];
    assert.equal(await admin.createTopics({ topics }), true);
    assert.equal(await admin.createTopics({ topics }), false);
    assert.deepEqual(await admin.listTopics(), ["made"]);
    const { topics: described } = await admin.fetchTopicMetadata({ topics: ["made"] });
    assert.equal(described[0]?.partitions.length, 3);
    const configs = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: 2, name: "made" }] });
    const retention = configs.resources[0]?.configEntries.find(({ configName }) => configName === "retention.ms");
    assert.equal(retention?.configValue, "1000");
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: "made", configEntries: [{ name: "retention.ms", value: "2000" }] }],
    });
    await admin.createPartitions({ topicPartitions: [{ topic: "made", count: 5 }] });
    const cluster = await admin.describeCluster();
    assert.deepEqual(
      cluster.brokers.map(({ nodeId }) => nodeId),
      [1],
    );
    assert.equal((await admin.fetchTopicOffsets("made")).length, 5);
    await admin.deleteTopics({ topics: ["made"] });
    assert.deepEqual(await admin.listTopics(), []);
  });

  test("produces with and without compression, idempotently too, and finds offsets by time", async (t) => {
    const { address, engine } = await startKafka(t);
    const kafka = kafkaJs(address);
    const plain = kafka.producer({ allowAutoTopicCreation: true });
    const idempotent = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    const admin = kafka.admin();
    for (const client of [plain, idempotent, admin]) {
      await client.connect();
      onCleanUp(t, () => client.disconnect());
    }
    await admin.createTopics({ topics: [{ topic: "t", numPartitions: 1 }] });
    const send = (producer: typeof plain, compression: CompressionTypes, timestamp: string) =>
      producer.send({
        topic: "t",
        acks: -1,
        compression,
        messages: [{ key: "k", value: `at ${timestamp}`, timestamp }],
      });
    const [first] = await send(plain, CompressionTypes.None, "1000");
    assert.deepEqual([first?.errorCode, first?.baseOffset], [0, "0"]);
    await send(plain, CompressionTypes.GZIP, "2000");
    await send(idempotent, CompressionTypes.None, "3000");
    assert.equal(engine.offsets({ topic: "t", partition: 0 }).highWatermark, 3);
    const [found] = await admin.fetchTopicOffsetsByTimestamp("t", 1500);
    assert.equal(found?.offset, "1");
    const [offsets] = await admin.fetchTopicOffsets("t");
    assert.deepEqual([offsets?.low, offsets?.high], ["0", "3"]);
    await admin.deleteTopicRecords({ topic: "t", partitions: [{ partition: 0, offset: "2" }] });
    assert.equal(engine.offsets({ topic: "t", partition: 0 }).logStartOffset, 2);
  });

  test("creates a topic by writing to it", async (t) => {
    const { address, engine } = await startKafka(t, { options: { partitionCountDefault: 6 } });
    const producer = kafkaJs(address).producer({ allowAutoTopicCreation: true });
    await producer.connect();
    onCleanUp(t, () => producer.disconnect());
    await producer.send({ topic: "new", messages: [{ value: "v" }] });
    assert.equal(engine.topics.get("new")?.partitionCount, 6);
  });
});

suite("@platformatic/kafka", () => {
  const clientOf = (address: string) => ({ clientId: "platformatic-test", bootstrapBrokers: [address], retries: 1 });

  test("creates, lists and deletes topics", async (t) => {
    const { address } = await startKafka(t);
    const admin = new PlatformaticAdmin(clientOf(address));
    onCleanUp(t, () => admin.close());
    const [created] = await admin.createTopics({ topics: ["made"], partitions: 2, replicas: 1 });
    assert.equal(created?.partitions, 2);
    assert.deepEqual(await admin.listTopics(), ["made"]);
    await admin.deleteTopics({ topics: ["made"] });
    assert.deepEqual(await admin.listTopics(), []);
  });

  for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] satisfies CompressionAlgorithmValue[]) {
    test(`reads back from the beginning and from an offset what it wrote with ${compression}`, async (t) => {
      const { address } = await startKafka(t, { options: { partitionCountDefault: 1 } });
      const producer = new Producer({ ...clientOf(address), serializers: stringSerializers, autocreateTopics: true });
      onCleanUp(t, () => producer.close());
      const messages = Array.from({ length: 20 }, (_, i) => ({ topic: "t", key: `k${i}`, value: `value ${i}` }));
      await producer.send({ messages, compression, acks: ProduceAcks.ALL, idempotent: true });
      assert.deepEqual(
        await readValues(t, address, 0n, 20),
        messages.map(({ value }) => value),
      );
      assert.deepEqual(
        await readValues(t, address, 15n, 5),
        messages.slice(15).map(({ value }) => value),
      );
    });
  }

  async function readValues(t: { after(fn: () => unknown): void }, address: string, offset: bigint, count: number) {
    const consumer = new Consumer({ ...clientOf(address), groupId: "unused", deserializers: stringDeserializers });
    onCleanUp(t, () => consumer.close(true));
    // Without a group coordinator: the fetch as such.
    const metadata = await consumer.metadata({ topics: ["t"] });
    const topic = metadata.topics.get("t");
    assert.ok(topic !== undefined);
    const response = await consumer.fetch({
      node: 1,
      maxBytes: 1024 * 1024,
      maxWaitTime: 1000,
      minBytes: 1,
      topics: [
        {
          topicId: topic.id,
          partitions: [
            {
              partition: 0,
              fetchOffset: offset,
              partitionMaxBytes: 1024 * 1024,
              currentLeaderEpoch: 0,
              lastFetchedEpoch: -1,
            },
          ],
        },
      ],
    });
    const values: string[] = [];
    for (const batch of response.responses[0]?.partitions[0]?.records ?? []) {
      for (const [index, record] of batch.records.entries()) {
        if (batch.firstOffset + BigInt(index) >= offset) values.push(String(record.value));
      }
    }
    return values.slice(0, count);
  }
});
