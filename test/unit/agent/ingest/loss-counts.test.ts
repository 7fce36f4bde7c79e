import assert from "node:assert/strict";
import { test } from "node:test";
import { LossCounts } from "../../../../agent/ingest/loss-counts.ts";

test("loss counts: records add up by topic and reason; nothing lost is not listed", () => {
  const losses = new LossCounts();
  losses.add("a", "overflow", 2);
  losses.add("a", "overflow", 3);
  losses.add("a", "overload", 1);
  losses.add("b", "overflow", 0);
  losses.add("b", "overflow", -4);
  assert.deepEqual(losses.list(), [
    { topic: "a", reason: "overflow", records: 5 },
    { topic: "a", reason: "overload", records: 1 },
  ]);
});
