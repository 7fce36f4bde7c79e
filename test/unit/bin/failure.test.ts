import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../shared/errors.ts";
import type { Paint } from "../../../bin/context.ts";
import { UsageError, describeFailure, exitCodeFor } from "../../../bin/failure.ts";

const same = (text: string): string => text;
const plain: Paint = { strong: same, faint: same, good: same, warning: same, bad: same };

test("supervisors can tell wrong configuration, missing resources and other failures apart", () => {
  assert.equal(exitCodeFor(new StreamError("CONFIG_INVALID", "x")), 78);
  assert.equal(exitCodeFor(new StreamError("LISTENER_NOT_PROTECTED", "x")), 78);
  assert.equal(exitCodeFor(new StreamError("PORT_IN_USE", "x")), 69);
  assert.equal(exitCodeFor(new StreamError("LOG_DIRECTORY", "x")), 69);
  assert.equal(exitCodeFor(new StreamError("LOG_LOCKED", "x")), 69);
  assert.equal(exitCodeFor(new StreamError("HUB_UNREACHABLE", "x")), 69);
  assert.equal(exitCodeFor(new UsageError("x")), 64);
  assert.equal(exitCodeFor(new StreamError("LOG_IO", "x")), 1);
  assert.equal(exitCodeFor(new Error("x")), 1);
  assert.equal(exitCodeFor("x"), 1);
});

test("a failure is told with its code and what to do about it", () => {
  const text = describeFailure(
    new StreamError("PORT_IN_USE", "127.0.0.1:1883 is taken", { hint: "Use another." }),
    plain,
  );
  assert.equal(text, "error: PORT_IN_USE: 127.0.0.1:1883 is taken\nhint:  Use another.");
});

test("every mistake of a configuration is listed", () => {
  const error = new StreamError("CONFIG_INVALID", "2 mistakes", { details: { problems: ["a: wrong", "b: missing"] } });
  const lines = describeFailure(error, plain).split("\n");
  assert.deepEqual(lines.slice(0, 3), ["error: CONFIG_INVALID: 2 mistakes", "  - a: wrong", "  - b: missing"]);
});

test("mistakes that the message already names are not told twice", () => {
  const error = new StreamError("CONFIG_INVALID", "a: wrong", { details: { problems: ["a: wrong"] } });
  assert.equal(describeFailure(error, plain).split("a: wrong").length, 2);
});

test("an unexpected error keeps its stack, a usage error has none", () => {
  assert.match(describeFailure(new TypeError("boom"), plain), /UNEXPECTED: boom\n[\s\S]*failure\.test/);
  assert.equal(describeFailure(new UsageError("give a topic"), plain), "error: give a topic");
});
