import assert from "node:assert/strict";
import { test } from "node:test";
import { failedJoin, failedSync } from "../../../../hub/group/parked-requests.ts";
import { completingGroup, GroupPlay, preparingGroup, protocols } from "./group-play.ts";

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
