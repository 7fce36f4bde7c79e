import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { DeadlineTimers } from "../../../../hub/group/deadline-timers.ts";
import type { GroupTimer } from "../../../../hub/group/group-state.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

const session: GroupTimer = { kind: "session", memberId: "a" };

function open(): { time: VirtualTimers; timers: DeadlineTimers<GroupTimer>; due: string[] } {
  const time = new VirtualTimers();
  const due: string[] = [];
  const timers = new DeadlineTimers<GroupTimer>({ clock: time, timers: time }, (timer) => {
    due.push(`${timer.kind} at ${time.monotonicMs()}`);
  });
  return { time, timers, due };
}

test("a timer is due when its delay has passed, once", async () => {
  const { time, timers, due } = open();
  timers.start(session, 10_000);
  timers.start({ kind: "join" }, 300);
  await time.advance(60_000);
  assert.deepEqual(due, ["join at 300", "session at 10000"]);
});

test("started again, it is due later; a thousand heartbeats cost no system timer each", async () => {
  const { time, timers, due } = open();
  for (let beat = 0; beat < 1000; beat++) {
    timers.start(session, 10_000);
    await time.advance(100);
  }
  assert.ok(time.startedCount <= 11, `${time.startedCount} system timers in 100 s of a 10 s session`);
  assert.equal(time.runningCount, 1);
  await time.advance(60_000);
  assert.deepEqual(due, ["session at 109900"]);
});

test("started again with a shorter delay, it is due earlier", async () => {
  const { time, timers, due } = open();
  timers.start(session, 300_000);
  timers.start(session, 10_000);
  await time.advance(400_000);
  assert.deepEqual(due, ["session at 10000"]);
});

test("cancelled, it is never due", async () => {
  const { time, timers, due } = open();
  timers.start(session, 10_000);
  timers.cancel(session);
  timers.start({ kind: "sync" }, 10_000);
  timers.cancelAll();
  await time.advance(20_000);
  assert.deepEqual([due, time.runningCount, timers.has(session)], [[], 0, false]);
});

suite("takeDue", () => {
  test("is true once for a timer that is due", async () => {
    const { time, timers } = open();
    timers.start(session, 10);
    assert.ok(!timers.takeDue(session), "it still runs");
    await time.advance(10);
    assert.ok(timers.takeDue(session));
    assert.ok(!timers.takeDue(session));
  });

  test("is false when the timer was started again after it was due: the member was heard in the meantime", async () => {
    const { time, timers, due } = open();
    timers.start(session, 10);
    await time.advance(10);
    timers.start(session, 10);
    assert.ok(!timers.takeDue(session));
    await time.advance(10);
    assert.equal(due.length, 2);
  });

  test("is false when the timer was cancelled after it was due", async () => {
    const { time, timers } = open();
    timers.start(session, 10);
    await time.advance(10);
    timers.cancel(session);
    assert.ok(!timers.takeDue(session));
  });
});

test("a process that stood still gives its members time to be heard", async () => {
  const { time, timers, due } = open();
  timers.start(session, 10_000);
  time.stall(60_000);
  await time.advance(0);
  assert.deepEqual(due, []);
  await time.advance(3_000);
  assert.deepEqual(due, ["session at 63000"]);
});
