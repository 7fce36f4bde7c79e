import assert from "node:assert/strict";
import { test } from "node:test";
import { retentionStart } from "../../../../shared/log/retention.ts";

/** Four batches of 100 bytes and 10 records each; timestamps 1000, 2000, 3000, 4000. */
const head = [1, 2, 3, 4].map((i) => ({ lastOffset: i * 10 - 1, bytes: 100, maxTimestamp: i * 1000 }));

test("retention: each policy over four batches", () => {
  const rows: readonly [string, { bytesMax: number | undefined; before: number | undefined }, number | undefined][] = [
    ["no limit", { bytesMax: undefined, before: undefined }, undefined],
    ["all fits", { bytesMax: 400, before: undefined }, undefined],
    ["one too many", { bytesMax: 300, before: undefined }, 10],
    ["a batch goes only when the rest still reaches the limit", { bytesMax: 250, before: undefined }, 10],
    ["nothing is old", { bytesMax: undefined, before: 1000 }, undefined],
    ["two are old", { bytesMax: undefined, before: 2001 }, 20],
    ["all are old", { bytesMax: undefined, before: 9999 }, 40],
    ["size and age", { bytesMax: 100, before: 2001 }, 30],
  ];
  for (const [what, policy, start] of rows) assert.equal(retentionStart(policy, 400, head), start, what);
});
