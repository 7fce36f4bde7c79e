import assert from "node:assert/strict";
import test from "node:test";
import { failuresAfter, retryDelayMs, STABLE_CONNECTION_MS } from "../../../../agent/uplink/backoff.ts";

const limits = { retryMinMs: 1000, retryMaxMs: 300_000 };

test("backoff: the bound doubles with every failure up to the maximum", () => {
  const bounds = [0, 1, 2, 5, 8, 9, 50, 5000].map((failures) => retryDelayMs(limits, failures, 1));
  assert.deepEqual(bounds, [1000, 2000, 4000, 32_000, 256_000, 300_000, 300_000, 300_000]);
});

test("backoff: full jitter takes a random part of the bound, down to nothing", () => {
  assert.equal(retryDelayMs(limits, 3, 0), 0);
  assert.equal(retryDelayMs(limits, 3, 0.5), 4000);
});

test("backoff: a connection that did not last is a failure like none at all", () => {
  assert.equal(failuresAfter(4, undefined), 5);
  assert.equal(failuresAfter(4, STABLE_CONNECTION_MS - 1), 5);
  assert.equal(failuresAfter(4, STABLE_CONNECTION_MS), 0);
});
