/** Every codec, every acks, and what others have written. */
import assert from "node:assert/strict";
import { Producer, stringSerializers } from "@platformatic/kafka";
import type { ConsumedRecord } from "../../support/client-driver.ts";
import { storedBatches } from "../../support/stored-batches.ts";
import { waitForRecords } from "../../support/topic-ends.ts";
import { DEADLINE_MS, byNumber, createTopic, numberOf, upTo } from "./feature.ts";
import type { Feature, Trial } from "./feature.ts";

const RECORDS = 200;
const PARTITIONS = 3;

function assertComplete(records: readonly ConsumedRecord[], count: number): void {
  assert.deepEqual(records.map(({ value }) => numberOf(value)).toSorted(byNumber), upTo(count));
  for (const partition of upTo(PARTITIONS)) {
    const own = records.filter((record) => record.partition === partition);
    assert.deepEqual(
      own.map(({ offset }) => offset),
      upTo(own.length),
      `offsets of partition ${partition}`,
    );
    const numbers = own.map(({ value }) => numberOf(value));
    assert.deepEqual(numbers, numbers.toSorted(byNumber), `order in partition ${partition}`);
  }
}

async function produceEachCodec(trial: Trial): Promise<string> {
  const { t, hub, driver, about } = trial;
  for (const codec of about.codecs) {
    const topic = await createTopic(trial, { suffix: `-${codec}`, partitions: PARTITIONS });
    const connection = { bootstrap: hub.kafkaAddress };
    const acks = codec === "gzip" ? 1 : -1;
    const args = { ...connection, topic, codec, acks, count: RECORDS, prefix: "p", idempotent: false } as const;
    assert.equal(await driver.produce(t, args), RECORDS, `${codec}: all are acknowledged`);
    const stored = await storedBatches(t, { port: hub.kafkaPort, topic, partitions: PARTITIONS });
    assert.deepEqual([...new Set(stored.map((batch) => batch.codec))], [codec], "stored as the client compressed it");
    const read = await driver.consume(t, { ...connection, topic, count: RECORDS });
    assertComplete(read, RECORDS);
    for (const record of read) {
      const i = numberOf(record.value);
      assert.equal(record.key, `p-${i}`);
      assert.equal(record.value, `p-${i}-${"x".repeat(80)}`);
      if (about.without["record-headers"] === undefined) assert.deepEqual(record.headers, { n: String(i) });
    }
  }
  return about.codecs.join(", ");
}

async function produceUnacknowledged(trial: Trial): Promise<void> {
  const { t, hub, admin, driver } = trial;
  const topic = await createTopic(trial, { suffix: "-acks0", partitions: PARTITIONS });
  const args = { topic, codec: "none", acks: 0, count: RECORDS, prefix: "p", idempotent: false } as const;
  await driver.produce(t, { bootstrap: hub.kafkaAddress, ...args });
  await waitForRecords(admin, { topic, count: RECORDS, deadlineMs: DEADLINE_MS });
}

async function readWhatOthersWrote(trial: Trial): Promise<string> {
  const { t, hub, driver, about } = trial;
  const codecs = about.reads ?? about.codecs;
  const topic = await createTopic(trial, { partitions: PARTITIONS });
  const producer = new Producer({
    clientId: "other",
    bootstrapBrokers: [hub.kafkaAddress],
    serializers: stringSerializers,
  });
  const each = 50;
  for (const [index, compression] of codecs.entries()) {
    const messages = upTo(each).map((i) => ({
      topic,
      key: `k${i}`,
      value: `o-${index * each + i}-x`,
      partition: i % PARTITIONS,
    }));
    await producer.send({ messages, compression, acks: -1 });
  }
  await producer.close();
  const count = codecs.length * each;
  assertComplete(await driver.consume(t, { bootstrap: hub.kafkaAddress, topic, count }), count);
  return codecs.join(", ");
}

export const produceFeature: Feature = { key: "produce", title: "produce, every codec it has", run: produceEachCodec };
export const acksNoneFeature: Feature = { key: "produce", title: "produce with acks=0", run: produceUnacknowledged };
export const consumeFeature: Feature = {
  key: "consume",
  title: "consume what another client wrote, every codec it has",
  run: readWhatOthersWrote,
};
