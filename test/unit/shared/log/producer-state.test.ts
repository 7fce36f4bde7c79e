import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, remember } from "../../../../shared/log/producer-state.ts";
import type { ProducerState } from "../../../../shared/log/producer-state.ts";

/** Epoch 4; batches 0-9, 10-19, … 60-69 stored at offsets 100, 110, …; the last five are remembered. */
const state = Array.from({ length: 7 }, (_, i) => i).reduce<ProducerState | undefined>(
  (known, i) => remember(known, { epoch: 4, baseSequence: i * 10, recordCount: 10 }, 100 + i * 10),
  undefined,
);

test("producer state: each case of the table", () => {
  const rows: readonly [string, { epoch: number; baseSequence: number; recordCount: number }, unknown][] = [
    ["the next batch", { epoch: 4, baseSequence: 70, recordCount: 3 }, { type: "accept" }],
    ["the last batch again", { epoch: 4, baseSequence: 60, recordCount: 10 }, { type: "duplicate", baseOffset: 160 }],
    ["the fifth last again", { epoch: 4, baseSequence: 20, recordCount: 10 }, { type: "duplicate", baseOffset: 120 }],
    ["the sixth last again", { epoch: 4, baseSequence: 10, recordCount: 10 }, { type: "out-of-order", expected: 70 }],
    ["a gap", { epoch: 4, baseSequence: 71, recordCount: 1 }, { type: "out-of-order", expected: 70 }],
    ["part of a known batch", { epoch: 4, baseSequence: 60, recordCount: 5 }, { type: "out-of-order", expected: 70 }],
    ["an older epoch", { epoch: 3, baseSequence: 70, recordCount: 1 }, { type: "fenced" }],
    ["a newer epoch from 0", { epoch: 5, baseSequence: 0, recordCount: 1 }, { type: "accept" }],
    [
      "a newer epoch from elsewhere",
      { epoch: 5, baseSequence: 70, recordCount: 1 },
      { type: "out-of-order", expected: 0 },
    ],
  ];
  for (const [what, batch, verdict] of rows) assert.deepEqual(judge(state, batch), verdict, what);
});

test("producer state: an unknown producer may begin anywhere", () => {
  assert.deepEqual(judge(undefined, { epoch: 9, baseSequence: 12345, recordCount: 1 }), { type: "accept" });
});

test("producer state: sequences wrap from 2147483647 to 0", () => {
  const before = remember(undefined, { epoch: 0, baseSequence: 2 ** 31 - 2, recordCount: 4 }, 0);
  assert.equal(before.lastSequence, 1);
  assert.deepEqual(judge(before, { epoch: 0, baseSequence: 2, recordCount: 1 }), { type: "accept" });
  const again = judge(before, { epoch: 0, baseSequence: 2 ** 31 - 2, recordCount: 4 });
  assert.deepEqual(again, { type: "duplicate", baseOffset: 0 });
});

test("producer state: a newer epoch forgets the batches of the older one", () => {
  const next = remember(state, { epoch: 5, baseSequence: 0, recordCount: 10 }, 170);
  assert.equal(next.recent.length, 1);
});
