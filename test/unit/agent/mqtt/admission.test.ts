import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeConnect, judgeSubscription, judgeTopicName } from "../../../../agent/mqtt/admission.ts";
import { mqttLimitDefaults as limits } from "../../../../agent/mqtt/limits.ts";

const connect = { clientId: "sensor", clean: true, keepalive: 60 };

test("CONNECT: keep alive 0 and more than 600 s are refused off loopback, and served on it", () => {
  for (const keepalive of [0, 601]) {
    assert.deepEqual(judgeConnect({ ...connect, keepalive }, limits, false), {
      limit: "keepAliveSecondsMax",
      returnCode: undefined,
    });
    assert.equal(judgeConnect({ ...connect, keepalive }, limits, true), undefined);
  }
  for (const keepalive of [1, 600]) assert.equal(judgeConnect({ ...connect, keepalive }, limits, false), undefined);
});

test("CONNECT: client ids", () => {
  const judge = (clientId: string, clean = true) => judgeConnect({ ...connect, clientId, clean }, limits, true)?.limit;
  assert.equal(judge("x".repeat(64)), undefined);
  assert.equal(judge("x".repeat(65)), "clientIdBytesMax");
  assert.equal(judge("Aa0._:-"), undefined);
  for (const clientId of ["a b", "a/b", "é", "a\n", "+", "\u0000"]) assert.equal(judge(clientId), "clientIdCharacters");
  assert.equal(judge("", true), undefined);
  assert.equal(judge("", false), "emptyClientId");
});

test("CONNECT: a will is held to the rules of a PUBLISH", () => {
  const judge = (topic: string, length = 1) =>
    judgeConnect({ ...connect, will: { topic, payload: { length } } }, limits, true)?.limit;
  assert.equal(judge("gone/sensor", 4096), undefined);
  assert.equal(judge("gone/sensor", 4097), "willBytesMax");
  assert.equal(judge(""), "topicName");
  assert.equal(judge("gone/#"), "topicName");
  assert.equal(judge("$SYS/x"), "systemTopic");
  assert.equal(judge("a/".repeat(16)), "topicLevelsMax");
  assert.equal(judge("x".repeat(513)), "topicBytesMax");
});

test("topic names: bytes are counted, not characters; other topics with $ are nobody's", () => {
  assert.equal(judgeTopicName("é".repeat(256), limits), undefined);
  assert.equal(judgeTopicName("é".repeat(257), limits), "topicBytesMax");
  assert.equal(judgeTopicName("$SYS", limits), "systemTopic");
  assert.equal(judgeTopicName("$SYSTEM", limits), undefined);
  assert.equal(judgeTopicName("a\0", limits), "topicName");
});

test("subscriptions: to everything only where allowed, and as many as the limit says", () => {
  const judge = (topic: string, count = 0, isWideAllowed = false) =>
    judgeSubscription({ topic, count, isWideAllowed }, limits);
  for (const topic of ["#", "+/a", "$SYS/#"]) {
    assert.equal(judge(topic), "wideSubscription");
    assert.equal(judge(topic, 0, true), undefined);
  }
  assert.equal(judge("plant/#", 49), undefined);
  assert.equal(judge("plant/#", 50), "subscriptionsMax");
});
