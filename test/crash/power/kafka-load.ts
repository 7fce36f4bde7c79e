/**
 * Kafka clients that note in the journal what they ask for and what is acknowledged: producers, a group, topics that come and go,
 * and topics that the hub compacts or takes old records from meanwhile.
 */
import type { TestContext } from "node:test";
import type { Admin, Producer } from "kafkajs";
import type { HubProgram } from "../../support/programs.ts";
import { kafkaJs, openAdmin, topicEnds } from "../../support/topic-ends.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { notesIn } from "./journal.ts";
import { RetryingProducer } from "./retrying-producer.ts";
import type { Unanswered } from "./unanswered.ts";
import type { Cleanup, Note } from "./witness.ts";

const TOPIC = "readings";
const PARTITIONS = 2;
const RECORDS_PER_BATCH = 4;
const DEADLINE_MS = 30_000;
const SHORT_LIVED_EVERY = 10;
/** Of the load, with a compaction after each. */
const PARTS = { first: 2, later: 1 };
const LAST_BATCHES = 3;
const RETAINED_BYTES = 4_000;
/** Keeps numbers of a life above those of the lives before it. */
const NUMBERS_A_LIFE = 1_000_000;
export const COMPACTED = "state";
export const RETAINED = "recent";
/** Only that it is sent again after the cut. */
const REPEATED = "repeated";
/** As often as the hub allows. */
export const cleaningHub = { topics: { compactionCheckMs: 1000, retentionCheckMs: 1000 } };

export type KafkaLoad = {
  readonly hub: HubProgram;
  readonly journal: string;
  readonly batches: number;
  /** 0 for the first; those after it begin with what was left unanswered before the cut. */
  readonly life?: number;
  readonly unanswered?: readonly Unanswered[];
};

export async function runKafkaLoad(t: TestContext, load: KafkaLoad): Promise<void> {
  const { hub, journal, batches, life = 0 } = load;
  const address = hub.kafkaAddress;
  const note = notesIn(journal);
  const admin = await openAdmin(t, address);
  await runCleanedLoad(t, load, { admin, note });
  await makeTopic({ admin, note }, { topic: TOPIC });
  const follower = await follow(address, note, life);
  await Promise.all(
    Array.from({ length: PARTITIONS }, async (_, partition) => {
      const producer = kafkaJs(address).producer({
        allowAutoTopicCreation: false,
        idempotent: partition === 0,
        maxInFlightRequests: 1,
      });
      await producer.connect();
      for (let batch = 0; batch < batches; batch++) {
        await produce(producer, note, { topic: TOPIC, partition, batch, name: `p${life}.${partition}` });
      }
      await producer.disconnect();
    }),
  );
  for (let round = 0; round < batches / SHORT_LIVED_EVERY; round++) {
    const topic = `short-${life}-${round}`;
    await makeTopic({ admin, note }, { topic });
    // One of its own: kafkajs asks for deleted topics too, for ever.
    const producer = kafkaJs(address).producer({ allowAutoTopicCreation: false });
    await producer.connect();
    await produce(producer, note, { topic, partition: 0, batch: 0, name: topic });
    await producer.disconnect();
    note({ type: "topic-deleting", topic });
    await admin.deleteTopics({ topics: [topic] });
    note({ type: "topic-deleted", topic });
  }
  const count = [...(await topicEnds(admin, TOPIC)).values()].reduce((sum, end) => sum + end, 0);
  await waitUntil(() => follower.count() === count, {
    what: "the group at the end of the topic",
    deadlineMs: DEADLINE_MS,
  });
  // The hub is about to be killed; clients that are still there would look for it for long.
  await Promise.all([follower.stop(), admin.disconnect()]);
}

type Session = { readonly admin: Admin; readonly note: (each: Note) => void };
type NewTopic = { readonly topic: string; readonly cleanup?: Cleanup };

async function makeTopic({ admin, note }: Session, { topic, cleanup }: NewTopic): Promise<void> {
  await admin.createTopics({
    topics: [{ topic, numPartitions: PARTITIONS, configEntries: [...configOf(cleanup)] }],
  });
  note({ type: "topic-made", topic, ...(cleanup === undefined ? {} : { cleanup }) });
}

function* configOf(cleanup: Cleanup | undefined): Generator<{ name: string; value: string }> {
  if (cleanup?.type === "retain") yield { name: "retention.bytes", value: String(cleanup.bytesMin) };
  if (cleanup?.type !== "compact") return;
  yield { name: "cleanup.policy", value: "compact" };
  yield { name: "min.cleanable.dirty.ratio", value: "0" };
  yield { name: "delete.retention.ms", value: "0" };
}

/** Between two parts of the load the hub compacts what the first has written. */
async function runCleanedLoad(
  t: TestContext,
  { hub, batches, life = 0, unanswered = [] }: KafkaLoad,
  { admin, note }: Session,
): Promise<void> {
  const at = { port: hub.kafkaPort, note };
  const parts = life === 0 ? PARTS.first : PARTS.later;
  for (const each of unanswered) (await RetryingProducer.resume(t, at, each)).close();
  const producers: RetryingProducer[] = [];
  for (const { topic, kind, cleanup } of [
    { topic: COMPACTED, kind: "keyed", cleanup: { type: "compact" } },
    { topic: RETAINED, kind: "plain", cleanup: { type: "retain", bytesMin: RETAINED_BYTES } },
    { topic: REPEATED, kind: "plain", cleanup: undefined },
  ] as const) {
    await makeTopic({ admin, note }, { topic, ...(cleanup === undefined ? {} : { cleanup }) });
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const name = `${topic}${life}.${partition}`;
      const first = life * NUMBERS_A_LIFE;
      producers.push(await RetryingProducer.open(t, at, { name, topic, partition, kind, first }));
    }
  }
  for (let part = 0; part < parts; part++) {
    const runs = await compactionRuns(hub);
    await Promise.all(producers.map((producer) => producer.produce(Math.ceil(batches / parts))));
    const isCompacted = async (): Promise<boolean> => (await compactionRuns(hub)) >= runs + PARTITIONS;
    await waitUntil(isCompacted, { what: "compaction", deadlineMs: DEADLINE_MS });
  }
  // What compaction left rides with these.
  await Promise.all(producers.map((producer) => producer.produce(LAST_BATCHES)));
  for (const producer of producers) producer.close();
}

async function compactionRuns(hub: HubProgram): Promise<number> {
  return (await hub.status()).compaction.runsTotal;
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

/** A group of its life's own, so that none waits for members that the cut has taken; of one, that commits after each batch. */
async function follow(
  address: string,
  note: (each: Note) => void,
  life: number,
): Promise<{ readonly count: () => number; readonly stop: () => Promise<void> }> {
  const groupId = `follower${life}`;
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
