import assert from "node:assert/strict";
import { test } from "node:test";
import { Latencies } from "../../../../bench/measure/latencies.ts";

test("percentile: nearest rank", () => {
  const latencies = new Latencies();
  for (let us = 100; us >= 1; us--) latencies.add(us);
  assert.deepEqual(
    [0, 0.5, 0.99, 1].map((share) => latencies.percentile(share)),
    [1, 50, 99, 100],
  );
});

test("percentile: of nothing there is none", () => {
  assert.ok(Number.isNaN(new Latencies().percentile(0.5)));
});
