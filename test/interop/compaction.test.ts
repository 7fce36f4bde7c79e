/** A compacted topic as Kafka clients see it: what they may write, and that they read on over the gaps. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { CompressionTypes } from "kafkajs";
import { TestChild } from "../support/child-process.ts";
import { onCleanUp } from "../support/clean-up.ts";
import type { After } from "../support/clean-up.ts";
import { startHub } from "../support/programs.ts";
import { kafkaJs, openAdmin } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 30_000;
const topic = "state";
const KEYS = 5;
const BATCHES = 40;
const LAST_OFFSET = BATCHES * KEYS;

/** Forty batches, each with a value of every key, a tombstone at the end of each, and a last batch that stays as it is. */
async function startCompacted(t: After) {
  const hub = await startHub(t, { config: { topics: { compactionCheckMs: 1000 } } });
  const admin = await openAdmin(t, hub.kafkaAddress);
  const configEntries = [
    { name: "cleanup.policy", value: "compact" },
    { name: "min.cleanable.dirty.ratio", value: "0" },
  ];
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] });
  const producer = kafkaJs(hub.kafkaAddress).producer({ retry: { retries: 0 } });
  onCleanUp(t, () => producer.disconnect());
  await producer.connect();
  for (let batch = 0; batch < BATCHES; batch++) {
    const messages = Array.from({ length: KEYS }, (_, i) => ({
      key: `k${i}`,
      value: i === KEYS - 1 ? null : `${batch}`,
      // In the first half of the batches only one key stays unrivalled.
      ...(batch === 3 && i === 2 ? { key: "once" } : {}),
    }));
    const compression = batch % 2 === 0 ? CompressionTypes.None : CompressionTypes.GZIP;
    await producer.send({ topic, messages, compression });
  }
  await producer.send({ topic, messages: [{ key: "end", value: "1" }] });
  return { hub, admin, producer };
}

/** offset key value */
async function readWithKcat(t: After, address: string, from: number): Promise<string[]> {
  const lines: string[] = [];
  const args = ["-b", address, "-q", "-e", "-C", "-t", topic, "-o", String(from), "-f", "%o %k %S\\n"];
  const child = await TestChild.start(t, { command: "kcat", args, onLine: (line) => lines.push(line) });
  const { code } = await child.exitWithin(DEADLINE_MS);
  assert.equal(code, 0, child.describe());
  return lines;
}

async function readWithKafkaJs(t: After, address: string, from: number): Promise<number[]> {
  const consumer = kafkaJs(address).consumer({ groupId: `from-${from}` });
  onCleanUp(t, () => consumer.disconnect());
  const offsets: number[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      if (Number(message.offset) >= from) offsets.push(Number(message.offset));
    },
  });
  consumer.seek({ topic, partition: 0, offset: String(from) });
  await waitUntil(() => offsets.at(-1) === LAST_OFFSET, {
    what: `KafkaJS to reach the end from ${from}`,
    deadlineMs: DEADLINE_MS,
    describe: () => `it has read ${offsets.join(" ")}`,
  });
  await consumer.stop();
  return offsets;
}

suite("interop: compaction", () => {
  test("librdkafka and KafkaJS read a compacted topic from any offset, within the gaps too, and miss nothing", async (t) => {
    const { hub } = await startCompacted(t);
    const last = (BATCHES - 1) * KEYS;
    const expected = [
      "17 once 1",
      ...[0, 1, 2, 3].map((i) => `${last + i} k${i} ${String(BATCHES - 1).length}`),
      `${last + 4} k4 -1`,
      `${LAST_OFFSET} end 1`,
    ];
    let left: string[] = [];
    await waitUntil(
      async () => {
        left = await readWithKcat(t, hub.kafkaAddress, 0);
        return left.length === expected.length;
      },
      { what: "the topic to be compacted", deadlineMs: DEADLINE_MS, describe: () => left.join(", ") },
    );
    assert.deepEqual(left, expected);

    for (const from of [1, 16, 17, 18, 19, 20, 100, last - 1, last + 4, LAST_OFFSET]) {
      const rest = expected.filter((line) => Number(line.split(" ", 1)[0]) >= from);
      assert.deepEqual(await readWithKcat(t, hub.kafkaAddress, from), rest, `kcat from ${from}`);
    }
    for (const from of [0, 18, 100]) {
      const rest = expected.map((line) => Number(line.split(" ", 1)[0])).filter((offset) => offset >= from);
      assert.deepEqual(await readWithKafkaJs(t, hub.kafkaAddress, from), rest, `KafkaJS from ${from}`);
    }
  });

  test("a record without a key is refused, and its whole batch with it", async (t) => {
    const { admin, producer } = await startCompacted(t);
    const before = await admin.fetchTopicOffsets(topic);
    const refused = producer.send({ topic, messages: [{ key: "a", value: "1" }, { value: "2" }] });
    // KafkaJS does not know code 87; what it says of it is "unknown".
    await assert.rejects(refused);
    assert.deepEqual(await admin.fetchTopicOffsets(topic), before);
  });
});
