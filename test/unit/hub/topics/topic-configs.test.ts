import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { checkTopicConfig, produceSettings, topicConfigs } from "../../../../hub/topics/topic-configs.ts";

test("every key's own default passes its check", () => {
  for (const [key, { fallback }] of topicConfigs) checkTopicConfig(key, fallback);
});

const refusals: readonly [key: string, value: string][] = [
  ["unknown", "1"],
  ["retention.ms", ""],
  ["retention.ms", "1e3"],
  ["retention.ms", "-2"],
  ["retention.ms", "99999999999999999999"],
  ["max.message.bytes", "2147483648"],
  ["max.message.bytes", "-1"],
  ["cleanup.policy", "forget"],
  ["cleanup.policy", "delete,forget"],
  ["message.timestamp.type", "createtime"],
  ["preallocate", "yes"],
  ["min.cleanable.dirty.ratio", "1.5"],
];
for (const [key, value] of refusals) {
  test(`${key}=${value} is refused`, () => {
    assert.throws(
      () => checkTopicConfig(key, value),
      (error: unknown) => error instanceof StreamError && error.code === "INVALID_CONFIG",
    );
  });
}

test("produce settings: the topic's value, else the hub's, else Kafka's", () => {
  const hub = { "max.message.bytes": "500", "message.timestamp.type": "LogAppendTime" };
  const settings = produceSettings({ "max.message.bytes": "100" }, hub);
  assert.deepEqual([settings.batchBytesMax, settings.isLogAppendTime], [100, true]);
  assert.equal(produceSettings({}, {}).batchBytesMax, 1_048_588);
});
