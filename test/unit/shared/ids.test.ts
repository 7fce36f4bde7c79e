import assert from "node:assert/strict";
import { test } from "node:test";
import { sequenceAfter } from "../../../shared/ids.ts";

test("a sequence counts up and wraps from 2147483647 to 0 (KIP-98)", () => {
  assert.equal(sequenceAfter(0, 5), 5);
  assert.equal(sequenceAfter(2_147_483_647, 1), 0);
  assert.equal(sequenceAfter(2_147_483_640, 10), 2);
});
