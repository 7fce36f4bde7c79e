/** Kafka clients that note in the journal what they ask for and what is acknowledged: producers, a group, topics that come and go. */
import type { TestContext } from "node:test";
import type { Producer } from "kafkajs";
import { kafkaJs, openAdmin } from "../../support/topic-ends.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { appendNote } from "./journal.ts";
import type { Note } from "./witness.ts";

const TOPIC = "readings";
const PARTITIONS = 2;
const RECORDS_PER_BATCH = 4;
const DEADLINE_MS = 30_000;
const SHORT_LIVED_EVERY = 10;

export type KafkaLoad = { readonly address: string; readonly journal: string; readonly batches: number };

export async function runKafkaLoad(t: TestContext, { address, journal, batches }: KafkaLoad): Promise<void> {
  const note = (each: Note): void => appendNote(journal, each);
  const admin = await openAdmin(t, address);
  const makeTopic = async (topic: string): Promise<void> => {
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] });
    note({ type: "topic-made", topic });
  };
  await makeTopic(TOPIC);
  const follower = await follow(address, note);
  await Promise.all(
    Array.from({ length: PARTITIONS }, async (_, partition) => {
      const producer = kafkaJs(address).producer({
        allowAutoTopicCreation: false,
        idempotent: partition === 0,
        maxInFlightRequests: 1,
      });
      await producer.connect();
      for (let batch = 0; batch < batches; batch++) {
        await produce(producer, note, { topic: TOPIC, partition, batch, name: `p${partition}` });
      }
      await producer.disconnect();
    }),
  );
  for (let round = 0; round < batches / SHORT_LIVED_EVERY; round++) {
    const topic = `short-${round}`;
    await makeTopic(topic);
    // One of its own: kafkajs asks for deleted topics too, for ever.
    const producer = kafkaJs(address).producer({ allowAutoTopicCreation: false });
    await producer.connect();
    await produce(producer, note, { topic, partition: 0, batch: 0, name: topic });
    await producer.disconnect();
    note({ type: "topic-deleting", topic });
    await admin.deleteTopics({ topics: [topic] });
    note({ type: "topic-deleted", topic });
  }
  await waitUntil(() => follower.count() === PARTITIONS * batches * RECORDS_PER_BATCH, {
    what: "the group at the end of the topic",
    deadlineMs: DEADLINE_MS,
  });
  // The hub is about to be killed; clients that are still there would look for it for long.
  await Promise.all([follower.stop(), admin.disconnect()]);
}

async function produce(
  producer: Producer,
  note: (each: Note) => void,
  { topic, partition, batch, name }: { topic: string; partition: number; batch: number; name: string },
): Promise<void> {
  const keys = Array.from({ length: RECORDS_PER_BATCH }, (_, index) => `${name}/${batch * RECORDS_PER_BATCH + index}`);
  note({ type: "sending", topic, keys });
  const messages = keys.map((key) => ({ partition, value: `${key} ${"x".repeat(batch)}` }));
  const [answer] = await producer.send({ topic, acks: -1, messages });
  note({ type: "acked", topic, partition, offset: Number(answer?.baseOffset), keys });
}

/** A group of one that commits after each batch. */
async function follow(
  address: string,
  note: (each: Note) => void,
): Promise<{ readonly count: () => number; readonly stop: () => Promise<void> }> {
  const groupId = "follower";
  let count = 0;
  const consumer = kafkaJs(address).consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch: { topic, partition, messages } }) => {
      for (const { offset, value } of messages) {
        const [key = ""] = (value?.toString() ?? "").split(" ", 1);
        note({ type: "read", topic, partition, offset: Number(offset), keys: [key] });
      }
      count += messages.length;
      const next = Number(messages.at(-1)?.offset) + 1;
      const name = `${groupId}/${topic}/${partition}`;
      note({ type: "committing", name, value: next });
      await consumer.commitOffsets([{ topic, partition, offset: String(next) }]);
      note({ type: "committed", name, value: next });
    },
  });
  return { count: () => count, stop: () => consumer.disconnect() };
}
