import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { transition } from "../../../../hub/group/coordinator.ts";
import { defaultGroupLimits } from "../../../../hub/group/group-state.ts";
import { completingGroup, GroupPlay, preparingGroup, stableGroup, who } from "./group-play.ts";

test("a group's life: empty, preparing, completing, stable, and back to empty", () => {
  const play = new GroupPlay();
  const phases = [play.state.phase];
  const step = (work: () => void) => {
    work();
    phases.push(play.state.phase);
  };
  step(() => play.join("a"));
  step(() => play.expire("join"));
  step(() => play.sync("a"));
  step(() => play.join("b"));
  step(() => play.rejoin("a"));
  step(() => play.sync("a"));
  step(() => play.leave(who("a"), who("b")));
  const expected = ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"];
  assert.deepEqual(phases, [...expected, ...expected.slice(1), "Empty"]);
  assert.deepEqual([...play.timers.keys()], [], "an empty group has no timers");
});

suite("delete", () => {
  const rows: readonly (readonly [string, () => GroupPlay, string | null, string])[] = [
    ["empty", () => new GroupPlay(), null, "Dead"],
    ["preparing", () => preparingGroup(["a", "b"]), "NON_EMPTY_GROUP", "PreparingRebalance"],
    ["completing", () => completingGroup(["a"]), "NON_EMPTY_GROUP", "CompletingRebalance"],
    ["stable", () => stableGroup(["a"]), "NON_EMPTY_GROUP", "Stable"],
  ];
  for (const [phase, group, error, phaseAfter] of rows) {
    test(`a group that is ${phase} -> ${error ?? "deleted"}`, () => {
      const play = group();
      assert.equal(play.delete(), error);
      assert.equal(play.state.phase, phaseAfter);
      if (error === null) assert.equal(play.persisted.at(-1), null);
    });
  }

  test("a second time -> GROUP_ID_NOT_FOUND", () => {
    const play = new GroupPlay();
    play.delete();
    assert.equal(play.delete(), "GROUP_ID_NOT_FOUND");
  });

  test("pending ids go with the group, and so do their timers", () => {
    const play = new GroupPlay();
    play.join("a", { requireKnownMemberId: true });
    assert.equal(play.delete(), null);
    assert.deepEqual([play.state.pendingMembers.size, play.timers.size], [0, 0]);
  });
});

test("timers that fire when there is nothing left for them to do change nothing", () => {
  const { state } = stableGroup(["a"]);
  for (const timer of [{ kind: "join" }, { kind: "sync" }, { kind: "session", memberId: "gone" }] as const) {
    const next = transition(state, { type: "timer-expired", timer }, defaultGroupLimits);
    assert.deepEqual(next, { state, effects: [] });
  }
});
