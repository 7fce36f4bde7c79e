import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionCounts } from "../../../../agent/mqtt/connection-counts.ts";
import { mqttLimitDefaults } from "../../../../agent/mqtt/limits.ts";

const limits = {
  ...mqttLimitDefaults,
  connectionsMax: 5,
  connectionsPerAddressMax: 3,
  connectsPerAddressPerSecondMax: 2,
};

test("connections: an address opens so many a second, and so many in all", () => {
  const counts = new ConnectionCounts(limits);
  const open = (address: string, nowMs: number) => counts.tryOpen(address, false, nowMs);
  assert.deepEqual([open("a", 0), open("a", 1)], [undefined, undefined]);
  assert.equal(open("a", 999), "connectsPerAddressPerSecondMax");
  assert.equal(open("b", 999), undefined);
  assert.equal(open("a", 1000), undefined);
  assert.equal(open("a", 5000), "connectionsPerAddressMax");
  counts.closed("a");
  assert.equal(open("a", 5000), undefined);
});

test("connections: all addresses together are bounded, loopback included", () => {
  const counts = new ConnectionCounts(limits);
  for (let index = 0; index < 5; index++) assert.equal(counts.tryOpen("127.0.0.1", true, 0), undefined);
  assert.equal(counts.tryOpen("127.0.0.1", true, 0), "connectionsMax");
  assert.equal(counts.tryOpen("b", false, 0), "connectionsMax");
  assert.equal(counts.open, 5);
});
