import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { noPartitions } from "../../../../../hub/group/consumer/partitions.ts";
import { ConsumerPlay, partitionSet, show } from "./consumer-play.ts";

const told = (result: { readonly assignment: Parameters<typeof lists>[0] }) => lists(result.assignment);

function lists(assignment: readonly { topicId: string; partitions: readonly number[] }[] | null): string | null {
  if (assignment === null) return null;
  return show(new Map(assignment.map((topic) => [topic.topicId, new Set(topic.partitions)])));
}

/** Member a alone, with all of t. */
function alone(): ConsumerPlay {
  const play = new ConsumerPlay();
  play.join("a");
  return play;
}

/** Members a and b, two partitions each. */
function pair(): ConsumerPlay {
  const play = alone();
  play.join("b");
  play.settle();
  return play;
}

suite("from join to assignment", () => {
  test("the first member has everything with its first answer", () => {
    const play = new ConsumerPlay();
    const { error, memberId, epoch, heartbeatIntervalMs, assignment } = play.join("a");
    assert.deepEqual([error, memberId, epoch, heartbeatIntervalMs], [null, "a", 1, 5000]);
    assert.equal(lists(assignment), "t 0 1 2 3");
    assert.deepEqual([play.phase, play.timers.get("session a")], ["Stable", 45_000]);
  });

  test("a client of version 0 is given its id", () => {
    assert.equal(new ConsumerPlay().join("").memberId, "new");
  });

  test("a second member: revoke, acknowledge, assign, and no partition is anybody's twice", () => {
    const play = alone();
    const joined = play.join("b");
    assert.deepEqual([joined.epoch, told(joined), play.look("b")], [2, "", "unreleased 2: "]);
    assert.equal(play.phase, "Reconciling");
    const revoke = play.heartbeat({ memberId: "a", epoch: 1 });
    assert.deepEqual([revoke.epoch, told(revoke)], [1, "t 0 1"]);
    assert.equal(play.look("a"), "unrevoked 1: t 0 1 - t 2 3");
    assert.equal(told(play.heartbeat({ memberId: "b", epoch: 2 })), null, "nothing is free yet");
    const acknowledged = play.heartbeat({ memberId: "a", epoch: 1, owned: partitionSet("t 0 1") });
    assert.deepEqual([acknowledged.epoch, play.look("a")], [2, "stable 2: t 0 1"]);
    assert.equal(told(play.heartbeat({ memberId: "b", epoch: 2 })), "t 2 3");
    assert.deepEqual([play.look("b"), play.phase], ["stable 2: t 2 3", "Stable"]);
  });

  test("a heartbeat that changes nothing persists nothing, and tells nothing", () => {
    const play = pair();
    const before = play.persisted.length;
    const { assignment, epoch } = play.heartbeat({ memberId: "a", epoch: 2 });
    assert.deepEqual([assignment, epoch, play.persisted.length], [null, 2, before]);
  });

  test("a full request is answered with the whole assignment", () => {
    const play = pair();
    const full = { rebalanceTimeoutMs: 60_000, subscribedNames: ["t"] };
    assert.equal(told(play.beat("a", full)), "t 0 1");
  });

  test("a group id that nobody has taken starts where a classic group of the name ended", () => {
    const play = new ConsumerPlay();
    play.state = { ...play.state, epoch: 7, assignmentEpoch: 7 };
    assert.equal(play.join("a").epoch, 8);
  });
});

suite("lost answers", () => {
  test("a join is sent again: the same member, the same assignment", () => {
    const play = alone();
    const { epoch, assignment } = play.join("a");
    assert.deepEqual([epoch, lists(assignment), play.state.members.size], [1, "t 0 1 2 3", 1]);
  });

  test("the answer with a new epoch is lost: the former epoch is taken, with what the member may own", () => {
    const play = pair();
    play.leave("b");
    assert.equal(play.heartbeat({ memberId: "a", epoch: 2 }).epoch, 3);
    const retry = { memberId: "a", epoch: 2, rebalanceTimeoutMs: 60_000, subscribedNames: ["t"] };
    const again = play.heartbeat({ ...retry, owned: partitionSet("t 0 1") });
    assert.deepEqual([again.error, again.epoch, told(again)], [null, 3, "t 0 1 2 3"]);
  });

  for (const [what, owned] of [
    ["without saying what it owns", null],
    ["with partitions that are not its own", partitionSet("t 0 3")],
  ] as const) {
    test(`a member of the former epoch ${what} is fenced`, () => {
      const play = pair();
      play.join("c");
      play.settle();
      const { epoch } = play.member("a");
      assert.equal(play.heartbeat({ memberId: "a", epoch: epoch - 1, owned }).error, "FENCED_MEMBER_EPOCH");
    });
  }

  test("a fenced member joins again under its id and has its partitions back", () => {
    const play = pair();
    assert.equal(play.heartbeat({ memberId: "a", epoch: 9 }).error, "FENCED_MEMBER_EPOCH");
    const { epoch, assignment } = play.join("a");
    assert.deepEqual([epoch, lists(assignment)], [2, "t 0 1"]);
  });

  test("the answer that asks to revoke is lost: it is asked again", () => {
    const play = alone();
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1 });
    const full = { rebalanceTimeoutMs: 60_000, subscribedNames: ["t"], owned: partitionSet("t 0 1 2 3") };
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 1, ...full })), "t 0 1");
    assert.equal(play.look("a"), "unrevoked 1: t 0 1 - t 2 3");
  });
});

suite("who is refused", () => {
  test("a stranger, and whoever is ahead of or behind its epoch", () => {
    const play = pair();
    assert.equal(play.heartbeat({ memberId: "x", epoch: 2 }).error, "UNKNOWN_MEMBER_ID");
    assert.equal(play.heartbeat({ memberId: "a", epoch: 3 }).error, "FENCED_MEMBER_EPOCH");
    assert.equal(play.leave("x").error, "UNKNOWN_MEMBER_ID");
  });

  test("one more than the group may have; a member that joins again is none", () => {
    const play = new ConsumerPlay({ t: 4 }, { membersMax: 1 });
    play.join("a");
    assert.equal(play.join("b").error, "GROUP_MAX_SIZE_REACHED");
    assert.equal(play.join("a").error, null);
  });

  test("a refusal changes nothing, and starts no session", () => {
    const play = pair();
    const { state } = play;
    play.timers.clear();
    play.heartbeat({ memberId: "a", epoch: 9, subscribedNames: ["other"] });
    assert.equal(play.state, state);
    assert.deepEqual([...play.timers], []);
  });
});

suite("leaving", () => {
  test("what a member owned is free at once, and the others have it with their next heartbeat", () => {
    const play = pair();
    const { error, epoch } = play.leave("b");
    assert.deepEqual([error, epoch, play.phase, play.timers.has("session b")], [null, -1, "Assigning", false]);
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 2 })), "t 0 1 2 3");
    assert.equal(play.phase, "Stable");
  });

  test("a session that ends is a member that leaves", () => {
    const play = pair();
    play.expire("session", "b");
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 2 })), "t 0 1 2 3");
    assert.equal(play.heartbeat({ memberId: "b", epoch: 2 }).error, "UNKNOWN_MEMBER_ID");
  });

  test("the last one leaves an empty group that goes on counting", () => {
    const play = alone();
    play.leave("a");
    assert.deepEqual([play.phase, play.state.topics.size, play.timers.size], ["Empty", 0, 0]);
    assert.equal(play.join("a").epoch, 3);
  });

  test("a member that does not revoke in time is out", () => {
    const play = alone();
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1 });
    assert.equal(play.timers.get("revocation a"), 60_000);
    play.expire("revocation", "a");
    play.settle();
    assert.deepEqual([play.state.members.size, play.look("b")], [1, "stable 3: t 0 1 2 3"]);
  });

  test("revoking in time ends that timer; to be asked for more starts it again", () => {
    const play = alone();
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1 });
    play.beat("a", { owned: partitionSet("t 0 1") });
    assert.equal(play.timers.has("revocation a"), false);
    assert.equal(play.look("a"), "stable 2: t 0 1");
  });

  test("the rebalance timeout is cut to the hub's own limit", () => {
    const play = new ConsumerPlay();
    play.join("a", { rebalanceTimeoutMs: 2 ** 31 - 1 });
    assert.equal(play.member("a").rebalanceTimeoutMs, 600_000);
  });
});

suite("static members", () => {
  const one = { instanceId: "one" };
  const statics = (): ConsumerPlay => {
    const play = new ConsumerPlay();
    play.join("a", one);
    play.join("b");
    play.settle();
    return play;
  };

  test("away for a moment: nobody gets its partitions, and its next process has them at once", () => {
    const play = statics();
    const before = play.state.epoch;
    assert.equal(play.leave("a", { ...one, epoch: -2 }).epoch, -2);
    assert.equal(told(play.beat("b")), null);
    const { epoch, assignment } = play.join("a2", one);
    assert.deepEqual([epoch, lists(assignment), play.state.epoch], [before, "t 0 1", before]);
    assert.deepEqual([...play.state.members.keys()].toSorted(), ["a2", "b"]);
    assert.equal(play.heartbeat({ memberId: "a", epoch: before, ...one }).error, "FENCED_INSTANCE_ID");
    assert.equal(play.timers.has("session a"), false);
  });

  test("away for longer than its session: its partitions go to the others", () => {
    const play = statics();
    play.leave("a", { ...one, epoch: -2 });
    play.expire("session", "a");
    assert.equal(told(play.beat("b")), "t 0 1 2 3");
  });

  test("away in the middle of revoking: what it had to give up is free", () => {
    const play = new ConsumerPlay();
    play.join("a", one);
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1, ...one });
    play.leave("a", { ...one, epoch: -2 });
    assert.equal(play.timers.has("revocation a"), false);
    assert.equal(told(play.beat("b")), "t 2 3");
  });

  test("an instance id that a living member has is refused, whoever else asks for it", () => {
    const play = statics();
    assert.equal(play.join("c", one).error, "UNRELEASED_INSTANCE_ID");
    assert.equal(play.heartbeat({ memberId: "x", epoch: 2, ...one }).error, "FENCED_INSTANCE_ID");
    assert.equal(play.heartbeat({ memberId: "x", epoch: 2, instanceId: "two" }).error, "UNKNOWN_MEMBER_ID");
    assert.equal(play.join("b", { instanceId: "three" }).error, "UNKNOWN_MEMBER_ID", "b is no static member");
  });

  test("with -1 it leaves for good", () => {
    const play = statics();
    play.leave("a", one);
    assert.deepEqual([play.state.members.size, play.state.staticMembers.size], [1, 0]);
  });

  test("an administrator sends it away by its instance id", () => {
    const play = statics();
    assert.deepEqual(play.remove("one", "two"), [null, "UNKNOWN_MEMBER_ID"]);
    assert.equal(told(play.beat("b")), "t 0 1 2 3");
  });

  test("a process that comes back without having left, under its own id, is the member it was", () => {
    const play = statics();
    assert.equal(lists(play.join("a", one).assignment), "t 0 1");
  });
});

suite("topics and subscriptions", () => {
  test("a topic that grows is dealt out anew with the next heartbeat", () => {
    const play = alone();
    play.catalog = new Map([["t", { id: "id-t", partitionCount: 6 }]]);
    const { epoch, assignment } = play.heartbeat({ memberId: "a", epoch: 1 });
    assert.deepEqual([epoch, lists(assignment)], [2, "t 0 1 2 3 4 5"]);
  });

  test("another topic is nobody's affair", () => {
    const play = alone();
    play.catalog = new Map([...play.catalog, ["u", { id: "id-u", partitionCount: 6 }]]);
    assert.deepEqual([play.heartbeat({ memberId: "a", epoch: 1 }).epoch, play.persisted.length], [1, 1]);
  });

  test("a subscribed topic that comes into being is assigned", () => {
    const play = new ConsumerPlay({});
    assert.equal(lists(play.join("a").assignment), "");
    play.catalog = new ConsumerPlay({ t: 1 }).catalog;
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 1 })), "t 0");
  });

  test("a topic that is deleted goes, and one of its name that is new comes", () => {
    const play = alone();
    play.catalog = new Map([["t", { id: "id-again", partitionCount: 1 }]]);
    const revoke = play.heartbeat({ memberId: "a", epoch: 1 });
    assert.deepEqual([revoke.epoch, told(revoke)], [1, ""]);
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 1, owned: noPartitions })), "again 0");
  });

  test("a member that subscribes to other topics gives up the former ones", () => {
    const play = new ConsumerPlay({ t: 2, u: 2 });
    play.join("a");
    const revoke = play.heartbeat({ memberId: "a", epoch: 1, subscribedNames: ["u"] });
    assert.equal(told(revoke), "");
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 1, owned: noPartitions })), "u 0 1");
  });

  test("and when it does so again while it is still revoking, it gives up those too", () => {
    const play = new ConsumerPlay({ t: 4, u: 1 });
    play.join("a", { subscribedNames: ["t", "u"] });
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1 });
    const before = play.member("a");
    assert.equal(before.phase, "unrevoked");
    const owned = partitionSet("t 0 1 2 3, u 0");
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 1, subscribedNames: ["u"], owned })), "u 0");
    assert.equal(play.look("a"), "unrevoked 1: u 0 - t 0 1 2 3");
  });

  test("a regular expression follows the topics that come and go", () => {
    const play = new ConsumerPlay({ "s.a": 1, other: 1 });
    const regex = { subscribedNames: null, subscribedRegex: "s\\..*" };
    assert.equal(lists(play.join("a", regex).assignment), "s.a 0");
    play.catalog = new ConsumerPlay({ "s.a": 1, "s.b": 1, other: 1 }).catalog;
    assert.equal(told(play.heartbeat({ memberId: "a", epoch: 1 })), "s.a 0, s.b 0");
    play.catalog = new ConsumerPlay({ "s.b": 1 }).catalog;
    play.heartbeat({ memberId: "a", epoch: 2 });
    play.settle();
    assert.equal(play.look("a"), "stable 3: s.b 0");
  });

  test("names and an expression together; an empty expression ends it", () => {
    const play = new ConsumerPlay({ t: 1, "s.a": 1 });
    play.join("a", { subscribedRegex: "s.*" });
    assert.equal(play.look("a"), "stable 1: s.a 0, t 0");
    play.heartbeat({ memberId: "a", epoch: 1, subscribedRegex: "" });
    play.settle();
    assert.equal(play.look("a"), "stable 2: t 0");
  });

  test("an expression does not tell of topics that the member may not see", () => {
    const play = new ConsumerPlay({ "s.a": 1, "s.secret": 1 });
    const mayDescribe = (topic: string): boolean => topic !== "s.secret";
    play.join("a", { subscribedNames: null, subscribedRegex: "s.*", mayDescribe });
    assert.equal(play.look("a"), "stable 1: s.a 0");
  });

  test("a member may subscribe to nothing at all", () => {
    const play = new ConsumerPlay();
    assert.equal(lists(play.join("a", { subscribedNames: [] }).assignment), "");
    assert.equal(play.phase, "Stable");
  });

  test("most members choose the assignor", () => {
    const play = new ConsumerPlay({ t: 4 });
    play.join("a", { assignor: "range" });
    assert.equal(play.state.assignor, "range");
    play.join("b", { assignor: "uniform" });
    play.join("c", { assignor: "uniform" });
    assert.equal(play.state.assignor, "uniform");
  });
});

suite("restart and deletion", () => {
  test("members keep their epochs, and each has a full session to be heard", () => {
    const play = pair();
    play.restart();
    assert.deepEqual(
      [...play.timers],
      [
        ["session a", 45_000],
        ["session b", 45_000],
      ],
    );
    const before = play.persisted.length;
    assert.deepEqual([play.beat("a").error, play.beat("b").epoch, play.persisted.length], [null, 2, before]);
  });

  test("in the middle of revoking: it goes on, and its time begins anew", () => {
    const play = alone();
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1 });
    play.restart();
    assert.equal(play.timers.get("revocation a"), 60_000);
    play.settle();
    assert.deepEqual([play.look("a"), play.look("b")], ["stable 2: t 0 1", "stable 2: t 2 3"]);
  });

  test("expressions: found out again, and nothing moves", () => {
    const play = new ConsumerPlay({ "s.a": 1, "s.b": 1 });
    play.join("a", { subscribedNames: null, subscribedRegex: "s.*" });
    play.restart();
    assert.deepEqual([play.beat("a").epoch, play.look("a")], [1, "stable 1: s.a 0, s.b 0"]);
  });

  test("only an empty group is deleted, and then it serves nobody", () => {
    const play = alone();
    assert.equal(play.delete(), "NON_EMPTY_GROUP");
    play.leave("a");
    assert.equal(play.delete(), null);
    assert.equal(play.persisted.at(-1), null);
    assert.equal(play.join("a").error, "COORDINATOR_NOT_AVAILABLE");
    assert.equal(play.delete(), "GROUP_ID_NOT_FOUND");
  });
});
