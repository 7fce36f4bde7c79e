import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { completingGroup, GroupPlay, preparingGroup, stableGroup, who } from "./group-play.ts";

const one = { fields: { a: { instanceId: "one" } } };

function errors(play: GroupPlay, ...members: Parameters<GroupPlay["leave"]>): readonly (string | null)[] {
  const { error, members: left } = play.leave(...members);
  return error === null ? left.map((member) => member.error) : [error];
}

suite("leave: a member", () => {
  test("empty group -> UNKNOWN_MEMBER_ID", () => {
    assert.deepEqual(errors(new GroupPlay(), who("a")), ["UNKNOWN_MEMBER_ID"]);
  });

  test("dead group -> COORDINATOR_NOT_AVAILABLE", () => {
    const play = new GroupPlay();
    play.delete();
    assert.deepEqual(errors(play, who("a")), ["COORDINATOR_NOT_AVAILABLE"]);
  });

  test("stable: the others rebalance", () => {
    const play = stableGroup(["a", "b"]);
    assert.deepEqual(errors(play, who("b")), [null]);
    assert.deepEqual([play.state.phase, play.memberIds], ["PreparingRebalance", ["a"]]);
  });

  test("stable, the last one: the group is empty", () => {
    const play = stableGroup(["a"]);
    assert.deepEqual(errors(play, who("a")), [null]);
    assert.equal(play.state.phase, "Empty");
  });

  test("assignments awaited: the rebalance starts again, and what the member had parked is answered", () => {
    const play = completingGroup(["a", "b"]);
    const sync = play.sync("b");
    assert.deepEqual(errors(play, who("b")), [null]);
    assert.equal(play.outcome(sync), "UNKNOWN_MEMBER_ID");
    assert.equal(play.state.phase, "PreparingRebalance");
  });

  test("rebalance under way: the others no longer wait for it", () => {
    const play = preparingGroup(["a", "b"]);
    assert.deepEqual(errors(play, who("b")), [null]);
    assert.deepEqual([play.state.phase, play.memberIds], ["CompletingRebalance", ["a"]]);
  });

  test("a stranger -> UNKNOWN_MEMBER_ID, and the group is not disturbed", () => {
    const play = stableGroup(["a"]);
    assert.deepEqual(errors(play, who("b"), who("")), ["UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"]);
    assert.equal(play.state.phase, "Stable");
  });

  test("several at once: one rebalance", () => {
    const play = stableGroup(["a", "b", "c"]);
    assert.deepEqual(errors(play, who("b"), who("stranger"), who("c")), [null, "UNKNOWN_MEMBER_ID", null]);
    assert.deepEqual([play.state.phase, play.memberIds], ["PreparingRebalance", ["a"]]);
  });

  test("all at once: the group is empty after one generation", () => {
    const play = stableGroup(["a", "b"]);
    assert.deepEqual(errors(play, who("a"), who("b")), [null, null]);
    assert.deepEqual([play.state.phase, play.state.generation], ["Empty", 2]);
  });
});

suite("leave: a static member", () => {
  const rows: readonly (readonly [string, ReturnType<typeof who>, string | null])[] = [
    ["by its instance id alone, as administrators do", who("", "one"), null],
    ["by both ids", who("a", "one"), null],
    ["an unknown instance", who("", "other"), "UNKNOWN_MEMBER_ID"],
    ["an instance that another id holds", who("older a", "one"), "FENCED_INSTANCE_ID"],
  ];
  for (const [what, member, error] of rows) {
    test(`${what} -> ${error ?? "removed"}`, () => {
      const play = stableGroup(["a"], one);
      assert.deepEqual(errors(play, member), [error]);
      assert.equal(play.state.staticMembers.size, error === null ? 0 : 1);
    });
  }
});

suite("leave: a pending id is dropped, with its timer", () => {
  const groups = { stable: stableGroup, "assignments awaited": completingGroup };
  for (const [phase, group] of Object.entries(groups)) {
    test(`${phase}: the group is not disturbed`, () => {
      const play = group(["a"]);
      const before = play.state.phase;
      play.join("b", { requireKnownMemberId: true });
      assert.deepEqual(errors(play, who("b")), [null]);
      assert.deepEqual([play.state.phase, play.sessionMs("b")], [before, undefined]);
    });
  }

  test("rebalance under way: the others no longer wait for it", () => {
    const play = preparingGroup(["a", "b"]);
    play.join("c", { requireKnownMemberId: true });
    const to = play.rejoin("b");
    assert.deepEqual(errors(play, who("c")), [null]);
    assert.equal(play.outcome(to), "ok");
  });
});
