import assert from "node:assert/strict";
import { test } from "node:test";
import { backOffMs } from "../../../../agent/mqtt/bridge.ts";

test("back-off: doubles from the minimum to the maximum, with up to half of it left to chance", () => {
  const limits = { minMs: 1000, maxMs: 60_000 };
  const longest = [0, 1, 2, 5, 6, 7, 1000].map((attempt) => backOffMs(attempt, limits, 1));
  assert.deepEqual(longest, [1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
  assert.equal(backOffMs(0, limits, 0), 500);
  assert.equal(backOffMs(9, limits, 0), 30_000);
});
