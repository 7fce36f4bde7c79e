import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanupSettings } from "../../../../hub/engine/cleanup-settings.ts";

function policies(policy: string | undefined): string {
  const { deletes, compacts } = cleanupSettings(policy === undefined ? {} : { "cleanup.policy": policy });
  return `${deletes ? "delete" : ""}/${compacts ? "compact" : ""}`;
}

test("cleanup: the policy is a list, in any order, with or without spaces", () => {
  assert.equal(policies(undefined), "delete/");
  assert.equal(policies("delete"), "delete/");
  assert.equal(policies("compact"), "/compact");
  assert.equal(policies("compact,delete"), "delete/compact");
  assert.equal(policies("delete, compact"), "delete/compact");
  assert.equal(policies(" compact "), "/compact");
  assert.equal(policies(""), "/");
});

test("cleanup: what a topic does not set is as in Kafka", () => {
  assert.deepEqual(cleanupSettings({}).compaction, {
    dirtyRatioMin: 0.5,
    lagMsMin: 0,
    lagMsMax: Number(2n ** 63n - 1n),
    deleteRetentionMs: 86_400_000,
  });
  const own = {
    "min.cleanable.dirty.ratio": "0.1",
    "min.compaction.lag.ms": "5",
    "max.compaction.lag.ms": "6",
    "delete.retention.ms": "0",
  };
  assert.deepEqual(cleanupSettings(own).compaction, {
    dirtyRatioMin: 0.1,
    lagMsMin: 5,
    lagMsMax: 6,
    deleteRetentionMs: 0,
  });
});
