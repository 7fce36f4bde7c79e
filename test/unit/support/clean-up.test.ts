import assert from "node:assert/strict";
import { test } from "node:test";
import { onCleanUp } from "../../support/clean-up.ts";

/** A test of which only the hooks are there. */
function fakeTest() {
  const hooks: (() => unknown)[] = [];
  return { hooks, after: (hook: () => unknown) => void hooks.push(hook) };
}

test("clean-up: last started, first ended, one after the other", async () => {
  const t = fakeTest();
  const ended: string[] = [];
  onCleanUp(t, () => ended.push("hub"));
  onCleanUp(t, async () => {
    await Promise.resolve();
    ended.push("consumer");
  });
  assert.equal(t.hooks.length, 1);
  await t.hooks[0]?.();
  assert.deepEqual(ended, ["consumer", "hub"]);
});

test("clean-up: one that fails keeps no other from running, and is told", async () => {
  const t = fakeTest();
  let isEnded = false;
  onCleanUp(t, () => (isEnded = true));
  onCleanUp(t, () => Promise.reject(new Error("stuck")));
  await assert.rejects(async () => t.hooks[0]?.(), AggregateError);
  assert.equal(isEnded, true);
});
