import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReaderMessage, windowOf } from "../../../../../hub/http/live/live-messages.ts";

const parse = (message: unknown) => parseReaderMessage(JSON.stringify(message));

test("free readers, members of groups, acknowledgements", () => {
  for (const message of [
    { type: "subscribe", topic: "t" },
    { type: "subscribe", topic: "t", from: "earliest", key: "a", mqttTopic: "a/#", format: "text" },
    { type: "subscribe", topic: "t", cursor: "0:1" },
    { type: "subscribe", group: "g", topics: ["a", "b"], from: "earliest", window: 5, clientId: "me" },
    { type: "ack", topic: "t", partition: 0, offset: 41 },
  ]) {
    assert.deepEqual(parse(message), message);
  }
  assert.equal(windowOf({ type: "subscribe", group: "g", topics: ["a"] }), 1000);
});

test("everything else is refused in words", () => {
  const refusals: readonly [unknown, RegExp][] = [
    [null, /the type subscribe or ack/],
    [[], /the type subscribe or ack/],
    [{ type: "unsubscribe" }, /the type subscribe or ack/],
    [{ type: "subscribe" }, /the message must have required/],
    [{ type: "subscribe", topic: "a b" }, /the message\/topic/],
    [{ type: "subscribe", topic: "t", window: 5 }, /not known: window/],
    [{ type: "subscribe", group: "g", topics: [] }, /the message\/topics/],
    [{ type: "subscribe", group: "g", topics: ["t"], window: 0 }, /the message\/window/],
    [{ type: "ack", topic: "t", partition: 0, offset: -1 }, /the message\/offset/],
    [{ type: "ack", topic: "t", partition: 0, offset: 1e17 }, /the message\/offset/],
  ];
  for (const [message, expected] of refusals) assert.throws(() => parse(message), expected);
  assert.throws(() => parseReaderMessage("{"), /not JSON/);
});
