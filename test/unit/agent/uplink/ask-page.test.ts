import assert from "node:assert/strict";
import { test } from "node:test";
import { askPage } from "../../../../agent/uplink/ask-page.ts";
import { decodeAgentFrame, decodeHubFrame, encodeFrame } from "../../../../shared/uplink/frame-codec.ts";
import { PRODUCER_EPOCH_MAX, UPLINK_ASK_PARTITIONS_MAX } from "../../../../shared/uplink/frames.ts";

const page = (...counts: readonly number[]): number[] => [
  ...askPage(new Map(counts.map((count, i) => [`t${i}`, count]))).values(),
];

test("ask page: whole topics, as many as go together", () => {
  const half = UPLINK_ASK_PARTITIONS_MAX / 2;
  assert.deepEqual(page(), []);
  assert.deepEqual(page(half, half, 1), [half, half]);
  assert.deepEqual(page(half, half + 1, 1), [half]);
  assert.deepEqual(page(UPLINK_ASK_PARTITIONS_MAX * 2, 1), [UPLINK_ASK_PARTITIONS_MAX * 2]);
});

test("ask page: the largest of them, and the largest topic alone, have answers that fit into a message", () => {
  const nameOf = (i: number): string => String(i).padStart(249, "x");
  const large = Number.MAX_SAFE_INTEGER;
  const position = (topic: string, partition: number) => ({
    ...{ topic, partition, epoch: PRODUCER_EPOCH_MAX, lastSequence: 2 ** 31 - 1, records: large, lost: large },
  });
  const names = Array.from({ length: UPLINK_ASK_PARTITIONS_MAX }, (_, i) => nameOf(i));
  const topics = names.map((name) => ({ name, partitions: 1 }));
  const longest = { agent: "a".repeat(255), instance: "i".repeat(64), version: "1" } as const;
  const hello = { t: "hello", ...longest, producer: 2n ** 63n - 1n, topics } as const;
  assert.deepEqual(decodeAgentFrame(encodeFrame(hello)), hello);
  const positions = names.map((name) => position(name, 0));
  const welcome = { t: "welcome", topics, positions, credit: large, time: large } as const;
  assert.deepEqual(decodeHubFrame(encodeFrame(welcome)), welcome);

  // As many as a hub lets a topic have.
  const partitions = 10_000;
  const alone = {
    t: "announced",
    topics: [{ name: nameOf(0), partitions }],
    positions: Array.from({ length: partitions }, (_, partition) => position(nameOf(0), partition)),
  } as const;
  assert.deepEqual(decodeHubFrame(encodeFrame(alone)), alone);
});
