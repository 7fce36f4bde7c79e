import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockSessions } from "../../../../agent/time/clock-sessions.ts";
import { SESSIONS_MAX } from "../../../../shared/batch/provisional-time.ts";

test("clock sessions: one a boot; processes of one boot share it, until the time is known", () => {
  const sessions = new ClockSessions([]);
  assert.deepEqual(sessions.begin("a", 10), { number: 1, bootId: "a", offsetMs: 10, isKnown: false, wasRight: false });
  assert.deepEqual(sessions.begin("a", 99), { number: 1, bootId: "a", offsetMs: 10, isKnown: false, wasRight: false });
  assert.equal(sessions.openOf("a"), 1);
  assert.deepEqual(sessions.resolve(1, 500, false), {
    number: 1,
    bootId: "a",
    offsetMs: 500,
    isKnown: true,
    wasRight: false,
  });
  assert.equal(sessions.openOf("a"), undefined);
  assert.equal(sessions.begin("b", 20).number, 2);
  assert.deepEqual(sessions.list(), [
    { number: 1, offsetMs: 500, quality: "corrected" },
    { number: 2, offsetMs: 20, quality: "estimated" },
  ]);
  sessions.forget();
  assert.deepEqual(sessions.list(), []);
});

test("clock sessions: what is stored goes on", () => {
  const stored = { number: 7, bootId: "a", offsetMs: 10, isKnown: false, wasRight: false };
  assert.equal(new ClockSessions([stored]).begin("a", 5).number, 7);
  assert.equal(new ClockSessions([stored]).begin("b", 5).number, 8);
  assert.equal(new ClockSessions([{ ...stored, bootId: null }]).begin(undefined, 5).number, 8);
});

test("clock sessions: beyond the limit boots share the last number, which stays a guess", () => {
  const sessions = new ClockSessions([]);
  for (let boot = 1; boot <= SESSIONS_MAX + 3; boot++) {
    assert.equal(sessions.begin(`boot-${boot}`, boot).number, Math.min(boot, SESSIONS_MAX));
  }
  assert.equal(sessions.resolve(SESSIONS_MAX, 1, false), undefined);
  assert.deepEqual(sessions.list().at(-1), { number: SESSIONS_MAX, offsetMs: SESSIONS_MAX + 3, quality: "estimated" });
});

test("clock sessions: of a clock that was right, to the first process of the boot and to the last, nothing has to be said", () => {
  const rows = [
    { begun: 5000, wasRight: true, quality: undefined },
    { begun: 5000, wasRight: false, quality: "corrected" },
    // An earlier process had another time.
    { begun: 5000 - 3_600_000, wasRight: true, quality: "corrected" },
  ] as const;
  for (const { begun, wasRight, quality } of rows) {
    const sessions = new ClockSessions([]);
    sessions.begin("a", begun);
    sessions.resolve(1, 5200, wasRight);
    assert.deepEqual(sessions.list(), [{ number: 1, offsetMs: 5200, quality }]);
  }
});
