import assert from "node:assert/strict";
import test from "node:test";
import { StreamError } from "../../../shared/errors.ts";
import { fromFailure, toFailure } from "../../../shared/thread-failure.ts";

test("thread failure: an error is the same in the other thread", () => {
  const error = new StreamError("LOG_FULL", "no room", { hint: "make some", details: { bytes: 7 } });
  const there = fromFailure(structuredClone(toFailure(error)));
  assert.ok(there instanceof StreamError);
  assert.deepEqual(
    [there.code, there.message, there.hint, there.details],
    [error.code, error.message, error.hint, error.details],
  );
});
