import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupQueue } from "../../../../hub/group/group-queue.ts";
import { settled } from "../../../support/virtual-timers.ts";

type Access = "exclusive" | "shared";

function open() {
  const events: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new GroupQueue(() => events.push("idle"));
  const run = (access: Access, name: string) =>
    queue.run(access, () => {
      events.push(`${name} begins`);
      const { promise, resolve } = Promise.withResolvers<void>();
      ends.set(name, () => {
        events.push(`${name} ends`);
        resolve();
      });
      return promise;
    });
  const end = async (name: string) => {
    ends.get(name)?.();
    await settled();
  };
  return { queue, events, run, end };
}

test("work without waiting runs at once, before run returns", () => {
  const { queue, events } = open();
  queue.run("exclusive", () => void events.push("done"));
  assert.deepEqual(events, ["done", "idle"]);
  assert.ok(queue.isIdle);
});

test("exclusive work runs one at a time, in order", async () => {
  const { events, run, end } = open();
  run("exclusive", "a");
  run("exclusive", "b");
  assert.deepEqual(events, ["a begins"]);
  await end("a");
  await end("b");
  assert.deepEqual(events, ["a begins", "a ends", "b begins", "b ends", "idle"]);
});

test("shared work runs together, but neither overtakes exclusive work nor is overtaken by it", async () => {
  const { queue, events, run, end } = open();
  run("shared", "commit 1");
  run("shared", "commit 2");
  run("exclusive", "join");
  run("shared", "commit 3");
  assert.deepEqual(events, ["commit 1 begins", "commit 2 begins"]);
  assert.equal(queue.length, 2);
  await end("commit 2");
  assert.equal(queue.length, 2, "the join waits for both");
  await end("commit 1");
  assert.equal(events.at(-1), "join begins");
  await end("join");
  assert.equal(events.at(-1), "commit 3 begins");
});

test("work that asks for more work waits its turn", () => {
  const { queue, events } = open();
  queue.run("exclusive", () => {
    queue.run("exclusive", () => void events.push("second"));
    events.push("first");
  });
  assert.deepEqual(events, ["first", "second", "idle"]);
});

test("work that throws leaves the queue usable", () => {
  const { queue, events } = open();
  assert.throws(() =>
    queue.run("exclusive", () => {
      throw new Error("a programmer's error");
    }),
  );
  queue.run("exclusive", () => void events.push("next"));
  assert.deepEqual(events, ["next", "idle"]);
});
