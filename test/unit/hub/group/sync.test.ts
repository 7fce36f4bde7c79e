import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { completingGroup, GroupPlay, preparingGroup, stableGroup } from "./group-play.ts";

const one = { fields: { a: { instanceId: "one" } } };

suite("sync: by phase", () => {
  test("empty group -> UNKNOWN_MEMBER_ID", () => {
    const play = new GroupPlay();
    assert.equal(play.outcome(play.sync("a")), "UNKNOWN_MEMBER_ID");
  });

  test("rebalance under way -> REBALANCE_IN_PROGRESS", () => {
    const play = preparingGroup(["a", "b"]);
    assert.equal(play.outcome(play.sync("b")), "REBALANCE_IN_PROGRESS");
  });

  test("dead group -> COORDINATOR_NOT_AVAILABLE", () => {
    const play = new GroupPlay();
    play.delete();
    assert.equal(play.outcome(play.sync("a")), "COORDINATOR_NOT_AVAILABLE");
  });

  test("assignments awaited, follower: is parked until the leader has synced", () => {
    const play = completingGroup(["a", "b"]);
    const b = play.sync("b");
    assert.equal(play.outcome(b), "parked");
    const a = play.sync("a", { assign: { a: "for a", b: "for b", gone: "for nobody" } });
    assert.equal(play.state.phase, "Stable");
    assert.deepEqual([play.synced(a).assignment.toString(), play.synced(b).assignment.toString()], ["for a", "for b"]);
    assert.deepEqual([play.synced(b).protocolType, play.synced(b).protocolName], ["consumer", "range"]);
  });

  test("the assignment is persisted with everything the members need after a restart", () => {
    const play = stableGroup(["a", "b"], { fields: { b: { instanceId: "two", sessionTimeoutMs: 20_000 } } });
    const saved = play.persisted.at(-1);
    assert.deepEqual([saved?.generation, saved?.leaderId, saved?.protocolName], [1, "a", "range"]);
    const [, b] = saved?.members ?? [];
    assert.deepEqual([b?.memberId, b?.instanceId, b?.sessionTimeoutMs], ["b", "two", 20_000]);
    assert.equal(b?.assignment.toString(), "for b");
    assert.deepEqual(b?.protocols, [{ name: "range", metadata: Buffer.from("topics") }]);
  });

  test("a member that the leader does not mention owns nothing", () => {
    const play = completingGroup(["a", "b"]);
    const b = play.sync("b");
    play.sync("a", { assign: { a: "for a" } });
    assert.equal(play.synced(b).assignment.byteLength, 0);
  });

  test("stable: a late follower, and one that lost its answer, get the assignment", () => {
    const play = completingGroup(["a", "b"]);
    play.sync("a", { assign: { b: "for b" } });
    play.timers.delete("session b");
    assert.equal(play.synced(play.sync("b")).assignment.toString(), "for b");
    assert.equal(play.synced(play.sync("b")).assignment.toString(), "for b");
    assert.equal(play.sessionMs("b"), 10_000);
  });

  test("what a follower claims to assign is not taken", () => {
    const play = completingGroup(["a", "b"]);
    play.sync("b", { assign: { b: "everything" } });
    assert.equal(play.state.phase, "CompletingRebalance");
  });
});

suite("sync: checks, in this order", () => {
  const rows: readonly (readonly [string, Parameters<GroupPlay["sync"]>, string])[] = [
    ["an unknown instance", ["a", { instanceId: "other" }], "UNKNOWN_MEMBER_ID"],
    ["an instance that another id holds", ["older a", { instanceId: "one" }], "FENCED_INSTANCE_ID"],
    ["an unknown member", ["stranger", { generation: 7 }], "UNKNOWN_MEMBER_ID"],
    ["an older generation", ["a", { generation: 0 }], "ILLEGAL_GENERATION"],
    ["another protocol type (v5)", ["a", { protocolType: "connect" }], "INCONSISTENT_GROUP_PROTOCOL"],
    ["another protocol (v5)", ["a", { protocolName: "sticky" }], "INCONSISTENT_GROUP_PROTOCOL"],
  ];
  const groups = { stable: stableGroup, "assignments awaited": completingGroup, "rebalance under way": preparingGroup };
  for (const [phase, group] of Object.entries(groups)) {
    for (const [what, sync, error] of rows) {
      test(`${phase}, ${what} -> ${error}`, () => {
        const play = group(["a", "b"], one);
        assert.equal(play.outcome(play.sync(...sync)), error);
      });
    }
  }

  test("too large an assignment -> MESSAGE_TOO_LARGE", () => {
    const play = completingGroup(["a"], { limits: { assignmentBytesMax: 4 } });
    assert.equal(play.outcome(play.sync("a", { assign: { a: "12345" } })), "MESSAGE_TOO_LARGE");
    assert.equal(play.outcome(play.sync("a", { assign: { a: "1234" } })), "ok");
  });
});

test("sync: a second one of a parked follower: the first is answered, the second parked", () => {
  const play = completingGroup(["a", "b"]);
  const first = play.sync("b");
  const second = play.sync("b");
  assert.deepEqual([play.outcome(first), play.outcome(second)], ["REBALANCE_IN_PROGRESS", "parked"]);
  play.sync("a", { assign: { b: "for b" } });
  assert.equal(play.synced(second).assignment.toString(), "for b");
});
