import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupPlay, preparingGroup, stableGroup } from "./group-play.ts";

const statics = { fields: { b: { instanceId: "two", sessionTimeoutMs: 20_000 } } };

test("restore: a group with members is stable at once, and each has a full session to be heard", () => {
  const saved = stableGroup(["a", "b"], statics).persisted.at(-1) ?? undefined;
  const play = new GroupPlay({}, saved);
  assert.deepEqual([play.state.phase, play.state.generation, play.state.leaderId], ["Stable", 1, "a"]);
  assert.deepEqual(
    [...play.timers],
    [
      ["session a", 10_000],
      ["session b", 20_000],
    ],
  );
  assert.equal(play.outcome(play.rejoin("b", { instanceId: "two" })), "ok", "no rebalance");
  assert.equal(play.synced(play.sync("b", { instanceId: "two" })).assignment.toString(), "for b");
  assert.equal(play.state.phase, "Stable");
});

test("restore: a group without members is empty and goes on counting its generations", () => {
  const before = stableGroup(["a"]);
  before.leave({ memberId: "a", instanceId: null });
  const play = new GroupPlay({}, before.persisted.at(-1) ?? undefined);
  assert.deepEqual([play.state.phase, play.state.protocolType], ["Empty", "consumer"]);
  const to = play.join("b");
  play.expire("join");
  assert.equal(play.joined(to).generation, 3);
});

test("restore: a group that died in a rebalance is back in its last stable generation", () => {
  const before = preparingGroup(["a", "b"], statics);
  before.join("c");
  const play = new GroupPlay({}, before.persisted.at(-1) ?? undefined);
  assert.deepEqual([play.state.phase, play.state.generation, play.memberIds], ["Stable", 1, ["a", "b"]]);
});

test("restore: a static member that took a new id in the rebalance in which the group died is known by it", () => {
  const before = preparingGroup(["a", "b", "c"], statics);
  before.join("b2", { instanceId: "two" });
  const play = new GroupPlay({}, before.persisted.at(-1) ?? undefined);
  assert.deepEqual([play.state.generation, play.memberIds], [1, ["a", "b2", "c"]]);
  assert.equal(play.state.members.get("b2")?.assignment.toString(), "for b");
});

test("restore: a static member that was expelled and came back as a new one, before the group died, is known by its new id", () => {
  const before = preparingGroup(["a", "b", "c"], statics);
  before.expire({ session: "b" });
  before.join("b2", { instanceId: "two" });
  const play = new GroupPlay({}, before.persisted.at(-1) ?? undefined);
  assert.deepEqual([play.state.generation, play.memberIds], [1, ["a", "b2", "c"]]);
});
