/** Look-up by time. */
import assert from "node:assert/strict";
import { kafkaJs } from "../../support/topic-ends.ts";
import { createTopic, upTo } from "./feature.ts";
import type { Feature, Trial } from "./feature.ts";

/** Recent enough for the default retention. */
const START_MS = Date.now() - 3_600_000;
const STEP_MS = 1000;
/** Partition 2 has nothing as late as what is asked for, partition 3 nothing at all. */
const RECORDS_OF = [40, 80, 10, 0];

async function run(trial: Trial): Promise<void> {
  const { t, hub, driver } = trial;
  const topic = await createTopic(trial, { partitions: RECORDS_OF.length });
  const producer = kafkaJs(hub.kafkaAddress).producer();
  await producer.connect();
  for (const [partition, count] of RECORDS_OF.entries()) {
    const messages = upTo(count).map((i) => ({
      partition,
      value: `s-${i}-x`,
      timestamp: String(START_MS + i * STEP_MS),
    }));
    // Several batches, so that the answer is within one of them.
    for (let from = 0; from < messages.length; from += 16) {
      await producer.send({ topic, messages: messages.slice(from, from + 16) });
    }
  }
  await producer.disconnect();
  const wanted = 23;
  const timestamp = START_MS + (wanted - 1) * STEP_MS + 1;
  const found = await driver.seekTimestamp(t, { bootstrap: hub.kafkaAddress, topic, timestamp });
  const hit = { offset: wanted, first: { offset: wanted, timestamp: START_MS + wanted * STEP_MS } };
  const miss = { offset: null, first: null };
  assert.deepEqual(
    found.toSorted((a, b) => a.partition - b.partition),
    RECORDS_OF.map((count, partition) => ({ partition, ...(count > wanted ? hit : miss) })),
  );
}

export const seekTimestampFeature: Feature = { key: "seek-timestamp", title: "seek by timestamp", run };
