import assert from "node:assert/strict";
import { AssertionError } from "node:assert";
import { test } from "node:test";
import { invariant, unreachable } from "../../../shared/invariant.ts";

test("an invariant that holds says nothing, one that does not is a programmer's error", () => {
  invariant(true, "holds");
  assert.throws(() => invariant(false, "offsets are dense"), AssertionError);
  assert.throws(() => invariant(undefined, "offsets are dense"), { message: "offsets are dense" });
});

test("what cannot happen says what happened", () => {
  assert.throws(() => unreachable("new member" as never), { message: "unreachable: new member" });
});
