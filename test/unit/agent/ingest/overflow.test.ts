import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { OverflowState, StoredPartition } from "../../../../agent/ingest/overflow.ts";
import { decideOverflow, overflowPolicies } from "../../../../agent/ingest/overflow.ts";

function stored(partition: string, over: Partial<StoredPartition<string>> = {}): StoredPartition<string> {
  return { partition, bytes: 500, logStartOffset: 0, logEndOffset: 100, policy: "drop-oldest", priority: 0, ...over };
}

function decide(over: Partial<OverflowState<string>>) {
  return decideOverflow({ capBytes: 1000, usedBytes: 1000, incomingPriority: 0, partitions: [], ...over });
}

test("overflow: below 95 % of the cap nothing happens", () => {
  assert.deepEqual(decide({ usedBytes: 950, partitions: [stored("a")] }), {
    trims: [],
    admittedPriorityMin: -Infinity,
  });
});

test("overflow: above 95 % the oldest records go until 90 % are left, and everyone is admitted", () => {
  const { trims, admittedPriorityMin } = decide({ usedBytes: 960, partitions: [stored("a", { logStartOffset: 40 })] });
  // 60 of 500 bytes are 7.2 of the 60 records.
  assert.deepEqual(trims, [{ partition: "a", before: 48, bytes: 60 }]);
  assert.equal(admittedPriorityMin, -Infinity);
});

test("overflow: lower priority first, then the larger", () => {
  const { trims } = decide({
    usedBytes: 1500,
    incomingPriority: 9,
    partitions: [
      stored("important", { priority: 9 }),
      stored("small", { bytes: 100 }),
      stored("large", { bytes: 300 }),
    ],
  });
  assert.deepEqual(
    trims.map(({ partition, bytes }) => [partition, bytes]),
    [
      ["large", 300],
      ["small", 100],
      ["important", 200],
    ],
  );
});

test("overflow: what is more important than the incoming is left alone, and the incoming is turned away at the cap", () => {
  const partitions = [stored("important", { priority: 5 })];
  assert.deepEqual(decide({ incomingPriority: 0, partitions }), { trims: [], admittedPriorityMin: 5 });
  assert.deepEqual(decide({ usedBytes: 999, incomingPriority: 0, partitions }).admittedPriorityMin, -Infinity);
});

test("overflow: only drop-oldest topics give way; without any, nobody is admitted at the cap", () => {
  const partitions = [stored("a", { policy: "drop-newest" }), stored("b", { policy: "block" })];
  assert.deepEqual(decide({ partitions }), { trims: [], admittedPriorityMin: Infinity });
});

test("overflow: an empty partition gives nothing", () => {
  const partitions = [stored("a", { bytes: 0, logStartOffset: 100 }), stored("b", { logStartOffset: 100 })];
  assert.deepEqual(decide({ partitions }), { trims: [], admittedPriorityMin: Infinity });
});

test("overflow: any state -> trims stay within their partitions and free what is over, or all there is", () => {
  const partition = fc.record({
    partition: fc.string(),
    bytes: fc.nat(1000),
    logStartOffset: fc.nat(1000),
    logEndOffset: fc.integer({ min: 1000, max: 5000 }),
    policy: fc.constantFrom(...overflowPolicies),
    priority: fc.integer({ min: -2, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(partition, { maxLength: 8 }), fc.nat(8000), fc.nat(2), (partitions, usedBytes, priority) => {
      const { trims } = decide({ capBytes: 2000, usedBytes, incomingPriority: priority, partitions });
      const giving = partitions.filter(
        (each) => each.policy === "drop-oldest" && each.priority <= priority && each.logEndOffset > each.logStartOffset,
      );
      const freed = trims.reduce((sum, trim) => sum + trim.bytes, 0);
      const available = giving.reduce((sum, each) => sum + each.bytes, 0);
      if (usedBytes <= 1900) assert.equal(trims.length, 0);
      else assert.ok(Math.abs(freed - Math.min(usedBytes - 1800, available)) < 1e-6);
      for (const trim of trims) {
        const of = giving.find((each) => each.partition === trim.partition && trim.before <= each.logEndOffset);
        assert.ok(of !== undefined && trim.before > of.logStartOffset);
      }
    }),
  );
});
