import assert from "node:assert/strict";
import { test } from "node:test";
import { recordFilter } from "../../../../../hub/http/api/record-filter.ts";

const record = (key: string | null, mqttTopic?: string) => ({
  offset: 0,
  timestamp: 0,
  key: key === null ? null : Buffer.from(key),
  value: null,
  headers: mqttTopic === undefined ? [] : [{ key: "mqtt.topic", value: Buffer.from(mqttTopic) }],
});

test("by key, by MQTT topic, by both", () => {
  assert.equal(recordFilter({}), undefined);
  const byKey = recordFilter({ key: "ä" })!;
  assert.deepEqual([record("ä"), record("a"), record(null)].map(byKey), [true, false, false]);
  const byTopic = recordFilter({ mqttTopic: "plant/+/temp" })!;
  const topics = [record("a", "plant/1/temp"), record("a", "plant/1/2/temp"), record("a")];
  assert.deepEqual(topics.map(byTopic), [true, false, false]);
  const byBoth = recordFilter({ key: "a", mqttTopic: "#" })!;
  assert.deepEqual([record("a", "x"), record("b", "x"), record("a")].map(byBoth), [true, false, false]);
});

test("a filter that is none is refused", () => {
  assert.throws(() => recordFilter({ mqttTopic: "a/#/b" }), /INVALID_REQUEST: mqttTopic is no MQTT topic filter/);
});
