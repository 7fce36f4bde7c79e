import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultIngestLimits } from "../../../../agent/ingest/ingest-limits.ts";
import { unroutedRoute } from "../../../../agent/ingest/route.ts";
import { TopicLanes } from "../../../../agent/ingest/topic-lanes.ts";
import { WaitingMessages } from "../../../../agent/ingest/waiting-messages.ts";

const topic = new TopicLanes("t", unroutedRoute.policy);
const message = { clientId: "c", topic: "a", qos: 1, retain: false, dup: false, messageId: 1 } as const;

test("waiting messages: they are kept in order with bytes of their own, and are gone when taken", () => {
  const waiting = new WaitingMessages(defaultIngestLimits);
  const payload = Buffer.from("one");
  waiting.add(topic, { ...message, payload }, () => {});
  payload.fill("x");
  waiting.add(topic, { ...message, payload: Buffer.from("two") }, () => {});
  assert.deepEqual([waiting.count, waiting.bytes, waiting.topics], [2, 6, [topic]]);
  assert.deepEqual(
    waiting.take(topic).map((each) => each.message.payload.toString()),
    ["one", "two"],
  );
  assert.deepEqual([waiting.count, waiting.bytes, waiting.topics, waiting.take(topic)], [0, 0, [], []]);
});

test("waiting messages: full by number, by bytes, and by what waits elsewhere", () => {
  const waiting = new WaitingMessages({ ...defaultIngestLimits, waitingBytesMax: 10, waitingMessagesMax: 2 });
  assert.deepEqual([waiting.isFull(10), waiting.isFull(11)], [false, true]);
  waiting.account(4, 1);
  assert.deepEqual([waiting.isFull(6), waiting.isFull(7)], [false, true]);
  waiting.add(topic, { ...message, payload: Buffer.from("x") }, () => {});
  assert.ok(waiting.isFull(0));
});

test("waiting messages: QoS 0 is answered when it begins to wait, and only then", () => {
  const waiting = new WaitingMessages(defaultIngestLimits);
  const answers: number[] = [];
  for (const qos of [0, 1] as const) {
    waiting.add(topic, { ...message, qos, payload: Buffer.from("x") }, () => answers.push(qos));
  }
  assert.deepEqual(answers, [0]);
  for (const { done } of waiting.take(topic)) done();
  assert.deepEqual(answers, [0, 1]);
});
