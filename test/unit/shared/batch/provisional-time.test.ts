import assert from "node:assert/strict";
import test from "node:test";
import {
  PROVISIONAL_END,
  SESSIONS_MAX,
  SESSION_MS,
  isProvisional,
  provisionalTimestamp,
  resolveTimestamp,
} from "../../../../shared/batch/provisional-time.ts";

test("provisional time: told from a real one by itself", () => {
  assert.equal(new Date(PROVISIONAL_END).toISOString().slice(0, 10), "2004-11-03");
  for (const session of [1, 7, SESSIONS_MAX]) {
    for (const ms of [0, 1.7, SESSION_MS - 1, SESSION_MS + 5]) {
      assert.ok(isProvisional(provisionalTimestamp(session, ms)), `${session} ${ms}`);
    }
  }
  for (const real of [-1, 0, 1000, Date.UTC(2005, 0), Date.UTC(2026, 0), Date.UTC(2200, 0)]) {
    assert.ok(!isProvisional(real), `${real}`);
  }
});

test("provisional time: keeps order within a session, and of sessions", () => {
  const stamps = [
    provisionalTimestamp(1, 5),
    provisionalTimestamp(1, 6),
    provisionalTimestamp(1, 1e12),
    provisionalTimestamp(2, 0),
  ];
  assert.deepEqual(
    stamps,
    stamps.toSorted((a, b) => a - b),
  );
});

test("provisional time: becomes a real one by the offset of its session", () => {
  const sessions = [
    { number: 1, offsetMs: 1_000_000.4, quality: "estimated" },
    { number: 2, offsetMs: Date.UTC(2026, 10, 23), quality: "corrected" },
  ] as const;
  assert.deepEqual(resolveTimestamp(provisionalTimestamp(1, 250), sessions), {
    timestamp: 1_000_250,
    quality: "estimated",
  });
  assert.deepEqual(resolveTimestamp(provisionalTimestamp(2, 60_000), sessions), {
    timestamp: Date.UTC(2026, 10, 23, 0, 1),
    quality: "corrected",
  });
  const right = [{ number: 3, offsetMs: 5000, quality: undefined }];
  assert.deepEqual(resolveTimestamp(provisionalTimestamp(3, 9), right), { timestamp: 5009, quality: undefined });
  const unknown = provisionalTimestamp(3, 9);
  assert.deepEqual(resolveTimestamp(unknown, sessions), { timestamp: unknown, quality: "estimated" });
});
