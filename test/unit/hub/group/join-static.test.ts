import assert from "node:assert/strict";
import { completingGroup, preparingGroup, protocols, stableGroup, type JoinFields } from "./group-play.ts";
import { testJoins, type JoinRow } from "./join-rows.ts";

const one: JoinFields = { instanceId: "one" };
const twoStatics = { fields: { a: one, b: { instanceId: "two" } } };

const staticReturns: readonly JoinRow[] = [
  {
    row: "static follower, stable, v9: takes its place again, no rebalance",
    given: () => stableGroup(["a", "b"], twoStatics),
    join: { instanceId: "two", supportsSkippingAssignment: true, as: "b2" },
    answer: "ok",
    phase: "Stable",
    also(play, answer) {
      assert.deepEqual([answer?.memberId, answer?.generation, answer?.leader], ["b2", 1, "a"]);
      assert.deepEqual([answer?.skipAssignment, answer?.members], [false, []]);
      assert.deepEqual(play.memberIds, ["a", "b2"]);
      assert.equal(play.state.members.get("b2")?.assignment.toString(), "for b");
      assert.equal(play.sessionMs("b"), undefined);
      assert.equal(play.sessionMs("b2"), 10_000);
      assert.deepEqual(
        play.persisted.at(-1)?.members.map(({ memberId }) => memberId),
        ["a", "b2"],
      );
    },
  },
  {
    row: "static leader, stable, v9: leads on, sees the members, and does not assign (KIP-814)",
    given: () => stableGroup(["a", "b"], twoStatics),
    join: { ...one, supportsSkippingAssignment: true, as: "a2" },
    answer: "ok",
    phase: "Stable",
    also(play, answer) {
      assert.deepEqual([answer?.leader, answer?.skipAssignment], ["a2", true]);
      assert.deepEqual(
        answer?.members.map(({ memberId }) => memberId),
        ["a2", "b"],
      );
      assert.equal(play.persisted.at(-1)?.leaderId, "a2");
    },
  },
  {
    row: "static leader, stable, before v9: is told its former id leads, so that it acts as a follower",
    given: () => stableGroup(["a", "b"], twoStatics),
    join: { ...one, as: "a2" },
    answer: "ok",
    phase: "Stable",
    also: (_play, answer) =>
      assert.deepEqual([answer?.leader, answer?.skipAssignment, answer?.members], ["a", false, []]),
  },
  {
    row: "static, stable, and another protocol would be chosen: a rebalance",
    given: () => stableGroup(["a"], { fields: { a: one } }),
    join: { ...one, protocols: protocols("sticky"), as: "a2" },
    answer: "ok",
    phase: "CompletingRebalance",
    also(play, answer) {
      assert.deepEqual([answer?.generation, answer?.protocolName, answer?.leader], [2, "sticky", "a2"]);
      assert.deepEqual(
        play.persisted.at(-1)?.members.map(({ memberId }) => memberId),
        ["a2"],
        "known after a crash",
      );
      assert.equal(play.persisted.at(-1)?.generation, 1, "the last stable generation");
    },
  },
  {
    row: "static, assignments awaited: a rebalance, for the leader may have assigned to the former id",
    given: () => completingGroup(["a", "b"], twoStatics),
    join: { instanceId: "two", as: "b2" },
    answer: "parked",
    phase: "PreparingRebalance",
    also: (play) => assert.deepEqual(play.memberIds, ["a", "b2"]),
  },
  {
    row: "static, rebalance under way, the last to join: the next generation",
    given: () => preparingGroup(["a", "b"], twoStatics),
    join: { instanceId: "two", as: "b2" },
    answer: "ok",
    phase: "CompletingRebalance",
  },
  {
    row: "static, rebalance under way, others missing: is parked",
    given: () => preparingGroup(["a", "b", "c"], twoStatics),
    join: { instanceId: "two", as: "b2" },
    answer: "parked",
    phase: "PreparingRebalance",
  },
];

testJoins("join: return of a static member (KIP-345)", staticReturns);
