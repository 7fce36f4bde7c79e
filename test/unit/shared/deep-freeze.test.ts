import assert from "node:assert/strict";
import test from "node:test";
import { deepFreeze } from "../../../shared/deep-freeze.ts";

test("deep freeze: nothing of it can be changed", () => {
  const value = deepFreeze({ list: [{ name: "a" }], nothing: null, number: 1 });
  assert.throws(() => ((value as { number: number }).number = 2), TypeError);
  assert.throws(() => value.list.push({ name: "b" }), TypeError);
  assert.throws(() => ((value.list[0] as { name: string }).name = "c"), TypeError);
});
