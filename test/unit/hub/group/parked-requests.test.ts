import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { failedJoin, failedSync } from "../../../../hub/group/parked-requests.ts";
import { completingGroup, GroupPlay, preparingGroup, protocols, type JoinFields } from "./group-play.ts";

test("a refused join carries no generation, leader or members", () => {
  assert.deepEqual(failedJoin("MEMBER_ID_REQUIRED", "a"), {
    error: "MEMBER_ID_REQUIRED",
    generation: -1,
    protocolType: null,
    protocolName: null,
    leader: "",
    memberId: "a",
    skipAssignment: false,
    members: [],
  });
  assert.equal(failedSync("REBALANCE_IN_PROGRESS").assignment.byteLength, 0);
});

test("the leader learns the members' metadata of the chosen protocol, the others nothing", () => {
  const play = new GroupPlay();
  const a = play.join("a", { protocols: protocols("x=ax", "y=ay") });
  const b = play.join("b", { protocols: protocols("y=by"), instanceId: "two" });
  play.expire("join");
  play.expire("join");
  assert.deepEqual(play.joined(a), {
    error: null,
    generation: 1,
    protocolType: "consumer",
    protocolName: "y",
    leader: "a",
    memberId: "a",
    skipAssignment: false,
    members: [
      { memberId: "a", instanceId: null, metadata: Buffer.from("ay") },
      { memberId: "b", instanceId: "two", metadata: Buffer.from("by") },
    ],
  });
  assert.deepEqual([play.joined(b).leader, play.joined(b).memberId, play.joined(b).members], ["a", "b", []]);
});

test("whoever is answered has a session again, even if it ran out while the request was parked", () => {
  const joining = preparingGroup(["a", "b"]);
  joining.expire({ session: "a" });
  joining.rejoin("b");
  const syncing = completingGroup(["a", "b"]);
  syncing.sync("b");
  syncing.expire({ session: "b" });
  syncing.sync("a");
  assert.deepEqual([joining.sessionMs("a"), syncing.sessionMs("b")], [10_000, 10_000]);
});

const one: JoinFields = { instanceId: "one" };
const twoStatics = { fields: { a: one, b: { instanceId: "two" } } };

suite("a second request of the same member or instance", () => {
  test("a second join of a parked member: the first is answered, the second parked", () => {
    const play = preparingGroup(["a", "b"]);
    const first = play.rejoin("a");
    const second = play.rejoin("a");
    assert.equal(play.outcome(first), "REBALANCE_IN_PROGRESS");
    assert.equal(play.outcome(second), "parked");
    play.rejoin("b");
    assert.equal(play.outcome(second), "ok");
  });

  test("a static member comes back while its former process has a join parked: that one is fenced", () => {
    const play = preparingGroup(["a", "b", "c"], twoStatics);
    const former = play.rejoin("b", { instanceId: "two" });
    play.join("b2", { instanceId: "two" });
    assert.equal(play.outcome(former), "FENCED_INSTANCE_ID");
  });

  test("a static member comes back while its former process has a sync parked: that one is fenced", () => {
    const play = completingGroup(["a", "b"], twoStatics);
    const former = play.sync("b", { instanceId: "two" });
    play.join("b2", { instanceId: "two" });
    assert.equal(play.outcome(former), "FENCED_INSTANCE_ID");
  });

  test("a returned static member may sync under its new id although nobody had synced under the old one", () => {
    const play = completingGroup(["a", "b"], twoStatics);
    play.sync("a", { instanceId: "one", assign: { a: "for a", b: "for b" } });
    play.join("b2", { instanceId: "two" });
    assert.deepEqual([...play.state.pendingSync], ["b2"]);
    assert.equal(play.synced(play.sync("b2", { instanceId: "two" })).assignment.toString(), "for b");
    assert.ok(!play.timers.has("sync"));
  });

  test("a returned static newcomer keeps the newcomer's time: it cannot heartbeat while parked", () => {
    const play = new GroupPlay();
    play.join("a", one);
    play.join("a2", one);
    assert.equal(play.sessionMs("a2"), 300_000);
  });
});
