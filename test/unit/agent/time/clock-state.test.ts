import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { AHEAD_MS, ClockState, JUMP_MS, RESTORED_MS } from "../../../../agent/time/clock-state.ts";
import type { ClockStart, SavedClock } from "../../../../agent/time/clock-state.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const BUILT_AT_MS = Date.UTC(2025, 0, 1);
/** What time it really is when the gateway boots. */
const NOW_MS = Date.UTC(2026, 10, 23, 8);

/** A gateway that was off for a day, with a system clock that shows `wallMs` a minute after the boot. */
function boot(
  wallMs: number,
  { saved, ...over }: Partial<Omit<ClockStart, "saved">> & { saved?: SavedClock | null } = {},
) {
  const lastKnown: SavedClock = { savedAtMs: NOW_MS - DAY_MS, offsetMs: NOW_MS - 9 * DAY_MS, bootId: "before" };
  const state = new ClockState({
    reading: { wallMs, bootMs: MINUTE_MS },
    bootId: "now",
    saved: saved === null ? undefined : (saved ?? lastKnown),
    builtAtMs: BUILT_AT_MS,
    isSynchronized: false,
    ...over,
  });
  return { state, timeAt: (bootMs: number) => state.offsetMs + bootMs };
}

/** The time was known in this boot, and the clock is right. */
const known = () => boot(NOW_MS, { saved: { savedAtMs: NOW_MS - 1000, offsetMs: NOW_MS - MINUTE_MS, bootId: "now" } });

suite("clock state", () => {
  test("a clock that was known to be right in this boot is believed", () => {
    const { state, timeAt } = known();
    assert.deepEqual([state.isKnown, state.source, state.isFollowing, state.doubt], [true, "system", true, undefined]);
    assert.equal(timeAt(2 * MINUTE_MS), NOW_MS + MINUTE_MS);
  });

  for (const { name, wallMs, doubt } of [
    { name: "1970", wallMs: MINUTE_MS, doubt: "behind" },
    { name: "before the last known time", wallMs: NOW_MS - DAY_MS - 1, doubt: "behind" },
    {
      name: "the last known time, as if the gateway had not been off",
      wallMs: NOW_MS - DAY_MS + RESTORED_MS - 1,
      doubt: "restored",
    },
    { name: "years ahead", wallMs: NOW_MS - DAY_MS + AHEAD_MS + 1, doubt: "ahead" },
  ] as const) {
    test(`not believed: ${name}`, () => {
      const { state, timeAt } = boot(wallMs);
      assert.deepEqual([state.isKnown, state.doubt, state.isFollowing], [false, doubt, false]);
      // The best guess goes on from the last known time.
      assert.ok(timeAt(MINUTE_MS) >= NOW_MS - DAY_MS && timeAt(MINUTE_MS) < NOW_MS - DAY_MS + RESTORED_MS);
    });
  }

  test("at a boot, what may be right is a guess until somebody confirms it: nobody knows for how long the gateway was off", () => {
    for (const wallMs of [NOW_MS - DAY_MS + RESTORED_MS + MINUTE_MS, NOW_MS, NOW_MS + 10 * DAY_MS]) {
      const { state, timeAt } = boot(wallMs);
      assert.deepEqual([state.isKnown, state.doubt, timeAt(MINUTE_MS)], [false, "unconfirmed", wallMs]);
      state.hear({ hubMs: NOW_MS + MINUTE_MS, askedAtBootMs: 2 * MINUTE_MS, answeredAtBootMs: 2 * MINUTE_MS });
      assert.deepEqual([state.source, timeAt(MINUTE_MS), state.wasRight], ["hub", NOW_MS, wallMs === NOW_MS]);
    }
  });

  test("a first start has only the program's own age to go by: what may be right is a guess until somebody confirms it", () => {
    assert.equal(boot(BUILT_AT_MS - 1, { saved: null }).state.doubt, "behind");
    for (const wallMs of [BUILT_AT_MS + 1, NOW_MS, NOW_MS + 100 * AHEAD_MS]) {
      const { state, timeAt } = boot(wallMs, { saved: null });
      assert.deepEqual([state.isKnown, state.doubt, timeAt(MINUTE_MS)], [false, "unconfirmed", wallMs]);
    }
  });

  test("a first start: the clock is right, off, or set before somebody confirms it", () => {
    const confirm = (setBy: readonly number[]) => {
      const { state, timeAt } = boot(NOW_MS + (setBy[0] ?? 0), { saved: null });
      for (const [minutes, aheadMs] of setBy.entries()) {
        const passedMs = (minutes + 1) * MINUTE_MS;
        state.look({ wallMs: NOW_MS + passedMs + aheadMs, bootMs: MINUTE_MS + passedMs }, false);
        assert.deepEqual([state.doubt, timeAt(MINUTE_MS)], ["unconfirmed", NOW_MS + aheadMs]);
      }
      const bootMs = 10 * MINUTE_MS;
      state.hear({ hubMs: NOW_MS + 9 * MINUTE_MS, askedAtBootMs: bootMs, answeredAtBootMs: bootMs });
      return { wasRight: state.wasRight, aheadMs: timeAt(MINUTE_MS) - NOW_MS };
    };
    assert.deepEqual(confirm([0, 0]), { wasRight: true, aheadMs: 0 });
    assert.deepEqual(confirm([500, 500]), { wasRight: true, aheadMs: 500 });
    assert.deepEqual(confirm([10 * DAY_MS, 10 * DAY_MS]), { wasRight: false, aheadMs: 0 });
    assert.deepEqual(confirm([-DAY_MS, 0, 0]), { wasRight: false, aheadMs: 0 });
    assert.deepEqual(confirm([0, DAY_MS, 0]), { wasRight: false, aheadMs: 0 });
  });

  test("a first start with a clock that cannot be right: who sets it is believed", () => {
    const { state, timeAt } = boot(MINUTE_MS, { saved: null });
    state.look({ wallMs: NOW_MS + MINUTE_MS, bootMs: 2 * MINUTE_MS }, false);
    assert.deepEqual([state.source, state.wasRight, timeAt(MINUTE_MS)], ["system", false, NOW_MS]);
  });

  test("where boots cannot be told apart, a restart is no restored clock", () => {
    const saved = { savedAtMs: NOW_MS, offsetMs: 0, bootId: undefined };
    assert.equal(boot(NOW_MS + 1000, { saved, bootId: undefined }).state.source, "system");
  });

  test("a system that says it is synchronized is believed, but not before the program was built", () => {
    assert.equal(boot(NOW_MS - DAY_MS + 1, { isSynchronized: true }).state.source, "ntp");
    assert.equal(boot(MINUTE_MS, { isSynchronized: true }).state.doubt, "behind");
  });

  test("what an earlier process of the same boot knew holds, whatever the clock was set to since", () => {
    const saved = { savedAtMs: NOW_MS - 1000, offsetMs: NOW_MS - MINUTE_MS, bootId: "now" };
    assert.equal(boot(NOW_MS, { saved }).state.isFollowing, true);
    const { state, timeAt } = boot(NOW_MS + 5000 * DAY_MS, { saved });
    assert.deepEqual([state.isKnown, state.isFollowing, state.systemAheadMs], [true, false, 5000 * DAY_MS]);
    assert.equal(timeAt(MINUTE_MS), NOW_MS);
  });

  test("the hub tells the time, as it was in the middle between question and answer", () => {
    const { state, timeAt } = boot(MINUTE_MS);
    state.hear({ hubMs: NOW_MS, askedAtBootMs: 2 * MINUTE_MS, answeredAtBootMs: 2 * MINUTE_MS + 2000 });
    assert.deepEqual([state.source, state.isFollowing, state.doubt], ["hub", false, undefined]);
    assert.equal(timeAt(2 * MINUTE_MS + 1000), NOW_MS);
  });

  test("what the hub says of a clock that is right to the length of the way changes nothing", () => {
    const { state, timeAt } = known();
    state.hear({ hubMs: NOW_MS + JUMP_MS, askedAtBootMs: MINUTE_MS, answeredAtBootMs: MINUTE_MS });
    assert.deepEqual([state.source, timeAt(MINUTE_MS)], ["system", NOW_MS]);
    state.hear({ hubMs: NOW_MS + JUMP_MS + 1, askedAtBootMs: MINUTE_MS, answeredAtBootMs: MINUTE_MS });
    assert.deepEqual([state.source, timeAt(MINUTE_MS)], ["hub", NOW_MS + JUMP_MS + 1]);
  });

  test("NTP goes before the hub", () => {
    const { state, timeAt } = boot(NOW_MS, { isSynchronized: true });
    state.hear({ hubMs: NOW_MS - DAY_MS, askedAtBootMs: MINUTE_MS, answeredAtBootMs: MINUTE_MS });
    assert.deepEqual([state.source, timeAt(MINUTE_MS)], ["ntp", NOW_MS]);
  });

  test("somebody sets the clock: it is judged again", () => {
    const { state, timeAt } = boot(MINUTE_MS);
    // What a system without a battery had saved.
    state.look({ wallMs: NOW_MS - DAY_MS + 1000, bootMs: 2 * MINUTE_MS }, false);
    assert.equal(state.doubt, "restored");
    state.look({ wallMs: NOW_MS + MINUTE_MS, bootMs: 2 * MINUTE_MS }, false);
    assert.deepEqual([state.source, timeAt(2 * MINUTE_MS)], ["system", NOW_MS + MINUTE_MS]);
  });

  test("a clock that only goes on stays in doubt, until NTP says that it has set it", () => {
    const { state } = boot(NOW_MS - DAY_MS + 1000);
    for (let minutes = 2; minutes < 100; minutes++) {
      state.look({ wallMs: NOW_MS - DAY_MS + 1000 + (minutes - 1) * MINUTE_MS, bootMs: minutes * MINUTE_MS }, false);
    }
    assert.equal(state.doubt, "restored");
    state.look({ wallMs: NOW_MS + 99 * MINUTE_MS, bootMs: 100 * MINUTE_MS }, true);
    assert.equal(state.source, "ntp");
  });

  test("a clock that drifts is followed; one that jumps is not, until it is back", () => {
    const { state, timeAt } = known();
    let driftMs = 0;
    for (let minutes = 1; minutes < 100; minutes++) {
      driftMs += 1000;
      state.look({ wallMs: NOW_MS + (minutes - 1) * MINUTE_MS + driftMs, bootMs: minutes * MINUTE_MS }, false);
    }
    assert.deepEqual([state.isFollowing, timeAt(100 * MINUTE_MS)], [true, NOW_MS + 99 * MINUTE_MS + driftMs]);
    for (const jumpMs of [5000 * DAY_MS, -60 * MINUTE_MS]) {
      const bootMs = 100 * MINUTE_MS;
      state.look({ wallMs: timeAt(bootMs) + jumpMs, bootMs }, false);
      assert.deepEqual([state.isKnown, state.isFollowing, state.systemAheadMs], [true, false, jumpMs]);
      assert.equal(timeAt(bootMs), NOW_MS + 99 * MINUTE_MS + driftMs);
      state.look({ wallMs: timeAt(bootMs), bootMs }, false);
      assert.equal(state.isFollowing, true);
    }
  });

  test("a jump that the hub or NTP confirms is followed", () => {
    for (const who of ["hub", "ntp"] as const) {
      const { state, timeAt } = known();
      state.look({ wallMs: NOW_MS + 60 * MINUTE_MS, bootMs: MINUTE_MS }, who === "ntp");
      if (who === "hub") {
        state.hear({ hubMs: NOW_MS + 60 * MINUTE_MS + 5, askedAtBootMs: MINUTE_MS, answeredAtBootMs: MINUTE_MS });
      }
      assert.deepEqual([state.source, state.isFollowing, timeAt(MINUTE_MS)], [who, true, NOW_MS + 60 * MINUTE_MS]);
    }
  });

  test("the hub's clock is not believed when it cannot be right: unset, or years ahead of what NTP or a hub has said", () => {
    const hear = (state: ClockState, hubMs: number): boolean =>
      state.hear({ hubMs, askedAtBootMs: MINUTE_MS, answeredAtBootMs: MINUTE_MS });
    const { state: believed, timeAt } = known();
    for (const hubMs of [0, MINUTE_MS, BUILT_AT_MS - 1]) {
      assert.equal(hear(believed, hubMs), false, `${hubMs}`);
      assert.deepEqual([believed.source, timeAt(MINUTE_MS)], ["system", NOW_MS]);
    }
    // The clock may be the date of its image, years ago.
    assert.equal(hear(believed, NOW_MS + AHEAD_MS + DAY_MS), true);
    assert.equal(timeAt(MINUTE_MS), NOW_MS + AHEAD_MS + DAY_MS);
    assert.equal(hear(believed, NOW_MS + 3 * AHEAD_MS), false);
    assert.equal(timeAt(MINUTE_MS), NOW_MS + AHEAD_MS + DAY_MS);
    const { state: unknown } = boot(MINUTE_MS);
    assert.equal(hear(unknown, MINUTE_MS), false);
    assert.equal(unknown.isKnown, false);
    // It lay in a drawer for years.
    assert.equal(hear(unknown, NOW_MS + 2 * AHEAD_MS), true);
    assert.deepEqual([unknown.source, unknown.offsetMs], ["hub", NOW_MS + 2 * AHEAD_MS - MINUTE_MS]);
  });

  test("the same boot id with an uptime that has begun anew is another boot", () => {
    const saved = { savedAtMs: NOW_MS - DAY_MS, offsetMs: NOW_MS - 9 * DAY_MS, bootId: "now" };
    const { state, timeAt } = boot(NOW_MS, { saved });
    assert.deepEqual([state.doubt, timeAt(MINUTE_MS)], ["unconfirmed", NOW_MS]);
    assert.equal(boot(MINUTE_MS, { saved }).state.doubt, "behind");
  });
});
