import assert from "node:assert/strict";
import { test } from "node:test";
import { Unacked } from "../../../../../hub/http/live/unacked.ts";

const at = { topic: "t", partition: 0 };
const other = { topic: "t", partition: 1 };

test("an acknowledgement is also of everything before it, over gaps between offsets", () => {
  const unacked = new Unacked();
  unacked.begin(at);
  unacked.begin(other);
  unacked.give(at, [3, 5, 9]);
  unacked.give(at, [10]);
  unacked.give(other, [0]);
  assert.equal(unacked.count, 5);
  assert.equal(unacked.ack(at, 6), "taken");
  assert.deepEqual([unacked.count, unacked.countOf(at), unacked.countOf(other)], [3, 2, 1]);
  assert.equal(unacked.ack(at, 5), "old");
  assert.equal(unacked.ack(at, 10), "taken");
  assert.equal(unacked.count, 1);
});

test("what was not given cannot be acknowledged, and what was taken away is somebody else's", () => {
  const unacked = new Unacked();
  assert.equal(unacked.ack(at, 0), "unknown");
  unacked.begin(at);
  assert.equal(unacked.ack(at, 0), "ahead");
  unacked.give(at, [0, 1]);
  assert.equal(unacked.ack(at, 2), "ahead");
  unacked.end(at);
  assert.deepEqual([unacked.ack(at, 0), unacked.count], ["unknown", 0]);
  unacked.give(at, [2]);
  assert.equal(unacked.count, 0);
});
