import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { completingGroup, GroupPlay, preparingGroup, protocols, stableGroup, who } from "./group-play.ts";

suite("rebalance: the first one of an empty group", () => {
  test("waits the initial delay for others to join, then answers all at once", () => {
    const play = new GroupPlay();
    const a = play.join("a");
    assert.equal(play.timers.get("join"), 300);
    const b = play.join("b");
    play.expire("join");
    assert.deepEqual(
      [play.outcome(a), play.outcome(b)],
      ["parked", "parked"],
      "b came in the delay: others may follow",
    );
    play.expire("join");
    assert.deepEqual([play.joined(a).generation, play.joined(b).generation], [1, 1]);
  });

  test("one member alone waits for one delay", () => {
    const play = new GroupPlay();
    const a = play.join("a");
    play.expire("join");
    assert.equal(play.outcome(a), "ok");
  });

  test("waits on while members keep coming, in all no longer than the rebalance timeout", () => {
    const play = new GroupPlay({ initialRebalanceDelayMs: 300 });
    play.join("m0", { rebalanceTimeoutMs: 700 });
    const delays: (number | undefined)[] = [play.timers.get("join")];
    for (let index = 1; play.state.phase === "PreparingRebalance"; index++) {
      play.join(`m${index}`, { rebalanceTimeoutMs: 700 });
      play.expire("join");
      delays.push(play.timers.get("join"));
    }
    assert.deepEqual(delays, [300, 300, 100, undefined]);
  });

  test("does not end early although all that came are parked: the delay decides", () => {
    const play = new GroupPlay();
    play.join("a");
    play.leave(who("b"));
    play.join("b");
    play.leave(who("b"));
    assert.equal(play.state.phase, "PreparingRebalance");
  });

  test("everybody left before its end: the group is empty again", () => {
    const play = new GroupPlay();
    const a = play.join("a");
    play.leave(who("a"));
    play.expire("join");
    assert.equal(play.outcome(a), "UNKNOWN_MEMBER_ID");
    assert.equal(play.state.phase, "Empty");
  });
});

suite("rebalance: prepare", () => {
  test("a newcomer in a stable group: the group waits for the longest rebalance timeout", () => {
    const play = stableGroup(["a", "b"], { fields: { b: { rebalanceTimeoutMs: 90_000 } } });
    play.join("c");
    assert.equal(play.state.phase, "PreparingRebalance");
    assert.equal(play.timers.get("join"), 90_000);
  });

  test("parked syncs hear of the rebalance, have a new session, and the sync timer ends", () => {
    const play = completingGroup(["a", "b"]);
    const sync = play.sync("b");
    play.timers.delete("session b");
    play.join("c");
    assert.equal(play.outcome(sync), "REBALANCE_IN_PROGRESS");
    assert.equal(play.sessionMs("b"), 10_000, "it may have run out, without consequence, while the sync was parked");
    assert.ok(!play.timers.has("sync"));
    assert.equal(play.state.pendingSync.size, 0);
  });

  test("the assignments of the generation before are taken back", () => {
    const play = stableGroup(["a"]);
    play.rejoin("a");
    play.join("b");
    assert.equal(play.state.members.get("a")?.assignment.byteLength, 0);
  });

  test("all others have joined already: the next generation comes at once", () => {
    const play = preparingGroup(["a", "b", "c"]);
    const b = play.rejoin("b");
    play.leave(who("c"));
    assert.equal(play.joined(b).generation, 2);
  });
});

suite("rebalance: complete", () => {
  test("a member that did not join in time is expelled, the others get the next generation", () => {
    const play = preparingGroup(["a", "b"]);
    play.expire("join");
    assert.deepEqual(play.memberIds, ["a"]);
    assert.equal(play.state.generation, 2);
    assert.equal(play.sessionMs("b"), undefined);
  });

  test("a static member that did not join in time stays, and the leader assigns to it", () => {
    const play = stableGroup(["a", "b"], { fields: { b: { instanceId: "two" } } });
    const a = play.rejoin("a");
    play.expire("join");
    assert.deepEqual(play.joined(a).members, [
      { memberId: "a", instanceId: null, metadata: Buffer.from("topics") },
      { memberId: "b", instanceId: "two", metadata: Buffer.from("topics") },
    ]);
    assert.deepEqual([...play.state.pendingSync], ["a"], "b is not expected to sync: it has its session timeout");
  });

  test("only absent static members: the group waits on, without a new generation", () => {
    const play = stableGroup(["a", "b"], { fields: { b: { instanceId: "two" } } });
    play.rejoin("a");
    play.leave(who("a"));
    play.expire("join");
    assert.deepEqual([play.state.phase, play.state.generation], ["PreparingRebalance", 1]);
    assert.equal(play.timers.get("join"), 60_000);
    play.expire({ session: "b" });
    assert.deepEqual([play.state.phase, play.state.generation], ["Empty", 2]);
  });

  test("the leader is absent: the first who joined leads", () => {
    const play = stableGroup(["a", "b", "c"], { fields: { a: { instanceId: "one" } } });
    play.rejoin("c", { protocols: protocols("range=other topics") });
    const b = play.rejoin("b");
    play.expire("join");
    assert.equal(play.joined(b).leader, "b");
    assert.equal(play.joined(b).members.length, 3);
  });

  test("the leader stays leader while it is there", () => {
    const play = stableGroup(["a", "b"]);
    const b = play.rejoin("b", { protocols: protocols("range=other topics") });
    play.rejoin("a");
    assert.equal(play.joined(b).leader, "a");
  });
});

suite("rebalance: after the next generation was told", () => {
  test("members have their own session from now on, and the group waits for their syncs", () => {
    const play = completingGroup(["a", "b"]);
    assert.deepEqual([play.sessionMs("a"), play.sessionMs("b")], [10_000, 10_000]);
    assert.deepEqual([...play.state.pendingSync], ["a", "b"]);
    assert.equal(play.timers.get("sync"), 60_000);
    assert.ok(!play.timers.has("join"));
  });

  test("nobody is left: empty, in a new and persisted generation", () => {
    const play = stableGroup(["a"]);
    play.leave(who("a"));
    assert.equal(play.state.phase, "Empty");
    const { protocolType } = play.state;
    const empty = { generation: 2, protocolType, protocolName: null, leaderId: null, members: [] };
    assert.deepEqual(play.persisted.at(-1), empty);
    assert.deepEqual([...play.timers.keys()], []);
  });

  test("nobody is left but a pending id: empty, and the id can still be used", () => {
    const play = stableGroup(["a"]);
    play.join("b", { requireKnownMemberId: true });
    play.leave(who("a"));
    assert.equal(play.state.phase, "Empty");
    assert.equal(play.outcome(play.rejoin("b")), "parked");
  });
});

suite("rebalance: choice of the protocol", () => {
  const rows: readonly (readonly [string, readonly string[][], string])[] = [
    [
      "the only one in common",
      [
        ["x", "y"],
        ["y", "z"],
      ],
      "y",
    ],
    [
      "the first choice of most",
      [
        ["x", "y"],
        ["y", "x"],
        ["y", "x"],
      ],
      "y",
    ],
    ["not the favourite of most, if one member lacks it", [["x", "y"], ["x", "y"], ["y"]], "y"],
    [
      "as many votes: the one voted for first",
      [
        ["y", "x"],
        ["x", "y"],
      ],
      "y",
    ],
  ];
  for (const [what, names, chosen] of rows) {
    test(what, () => {
      const ids = names.map((_, index) => `m${index}`);
      const fields = Object.fromEntries(
        ids.map((id, index) => [id, { protocols: protocols(...(names[index] ?? [])) }]),
      );
      assert.equal(completingGroup(ids, { fields }).state.protocolName, chosen);
    });
  }
});

suite("rebalance: sync timer", () => {
  test("before the leader has synced: whoever has not is expelled, and it begins again", () => {
    const play = completingGroup(["a", "b"]);
    const sync = play.sync("b");
    play.expire("sync");
    assert.deepEqual(play.memberIds, ["b"]);
    assert.equal(play.outcome(sync), "REBALANCE_IN_PROGRESS");
    assert.equal(play.state.phase, "PreparingRebalance");
  });

  test("in a stable group: the follower that never fetched its assignment is expelled", () => {
    const play = completingGroup(["a", "b"]);
    play.sync("a", { assign: { a: "for a" } });
    play.expire("sync");
    assert.deepEqual(play.memberIds, ["a"]);
    assert.equal(play.state.phase, "PreparingRebalance");
  });

  test("ends as soon as everybody has synced", () => {
    assert.ok(!stableGroup(["a", "b"]).timers.has("sync"));
  });
});

suite("rebalance: session timer", () => {
  test("stable: the silent member is expelled and the others rebalance", () => {
    const play = stableGroup(["a", "b"]);
    play.expire({ session: "b" });
    assert.deepEqual([play.state.phase, play.memberIds], ["PreparingRebalance", ["a"]]);
  });

  test("assignments awaited: the silent member is expelled and the rebalance starts again", () => {
    const play = completingGroup(["a", "b"]);
    play.expire({ session: "a" });
    assert.deepEqual([play.state.phase, play.memberIds, play.state.leaderId], ["PreparingRebalance", ["b"], "b"]);
  });

  test("rebalance under way: the others need not wait for the silent member", () => {
    const play = preparingGroup(["a", "b"]);
    play.expire({ session: "b" });
    assert.deepEqual([play.state.phase, play.memberIds], ["CompletingRebalance", ["a"]]);
  });

  test("a member with a parked join counts as alive, and has a session again with its answer", () => {
    const play = preparingGroup(["a", "b"]);
    play.expire({ session: "a" });
    assert.deepEqual(play.memberIds, ["a", "b"]);
    play.rejoin("b");
    assert.equal(play.sessionMs("a"), 10_000);
  });

  test("a member with a parked sync counts as alive, and has a session again with its answer", () => {
    const play = completingGroup(["a", "b"]);
    play.sync("b");
    play.expire({ session: "b" });
    assert.deepEqual(play.memberIds, ["a", "b"]);
    play.sync("a");
    assert.equal(play.sessionMs("b"), 10_000);
  });

  test("a newcomer whose first join was parked for too long is expelled, parked or not", () => {
    const play = stableGroup(["a"]);
    const to = play.join("b");
    assert.equal(play.sessionMs("b"), 300_000);
    play.expire({ session: "b" });
    assert.deepEqual([play.outcome(to), play.joined(to).memberId], ["UNKNOWN_MEMBER_ID", ""]);
    assert.deepEqual(play.memberIds, ["a"]);
  });

  test("a static member that is silent for too long loses its instance id", () => {
    const play = stableGroup(["a"], { fields: { a: { instanceId: "one" } } });
    play.expire({ session: "a" });
    assert.equal(play.state.staticMembers.size, 0);
  });

  test("the leader goes: the next in the order of joining leads", () => {
    const play = stableGroup(["a", "b", "c"]);
    play.expire({ session: "a" });
    assert.equal(play.state.leaderId, "b");
  });
});
