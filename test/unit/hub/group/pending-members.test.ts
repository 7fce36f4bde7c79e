import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { GroupPlay, preparingGroup, stableGroup } from "./group-play.ts";

suite("pending members (KIP-394)", () => {
  const pending = { requireKnownMemberId: true };

  test("coming back with the id ends the pending session: the healthy member is not expelled by it", () => {
    const play = new GroupPlay();
    play.join("a", pending);
    const to = play.rejoin("a", pending);
    assert.equal(play.outcome(to), "parked");
    assert.equal(play.sessionMs("a"), 300_000, "the newcomer's time, not the pending id's session timeout");
    play.expire("join");
    assert.equal(play.outcome(to), "ok");
    assert.equal(play.state.pendingMembers.size, 0);
  });

  test("a rebalance waits for pending members, and goes on when their session ends", () => {
    const play = preparingGroup(["a", "b"]);
    play.join("c", pending);
    const to = play.rejoin("b");
    assert.equal(play.outcome(to), "parked");
    play.expire({ session: "c" });
    assert.equal(play.outcome(to), "ok");
  });

  test("an id that was given up is unknown", () => {
    const play = stableGroup(["a"]);
    play.join("c", pending);
    play.expire({ session: "c" });
    assert.equal(play.outcome(play.rejoin("c", pending)), "UNKNOWN_MEMBER_ID");
  });

  test("a pending id with an instance id is none: static members are never pending", () => {
    const play = stableGroup(["a"]);
    play.join("c", pending);
    assert.equal(play.outcome(play.rejoin("c", { ...pending, instanceId: "one" })), "UNKNOWN_MEMBER_ID");
  });

  test("too many pending ids: the oldest is given up for the newest", () => {
    const play = new GroupPlay({ membersMax: 2 });
    for (const name of ["a", "b", "c"]) play.join(name, pending);
    assert.deepEqual([...play.state.pendingMembers], ["b", "c"]);
    assert.equal(play.sessionMs("a"), undefined);
  });

  test("a pending id that finds the group full is refused, and the rebalance no longer waits for it", () => {
    const play = preparingGroup(["a", "b"], { limits: { membersMax: 3 } });
    play.join("c", pending);
    play.join("d");
    const last = play.rejoin("b");
    assert.equal(play.outcome(last), "parked");
    assert.equal(play.outcome(play.rejoin("c", pending)), "GROUP_MAX_SIZE_REACHED");
    assert.equal(play.outcome(last), "ok");
  });
});
