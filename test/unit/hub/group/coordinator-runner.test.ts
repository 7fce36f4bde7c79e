import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "../../../support/virtual-timers.ts";
import { commitRequest, Hub, syncRequest, watch } from "./group-hub.ts";
import { joinRequest, who } from "./group-play.ts";

test("members join, sync, heartbeat, commit and leave", async (t) => {
  const hub = await Hub.open(t);
  const [a = "", b = ""] = await hub.stable("a", "b");
  assert.equal(hub.state, "Stable");
  assert.equal(hub.groups.describe("g").members[1]?.assignment.toString(), "for b-2");
  assert.equal(hub.heartbeat(a, 1), null);
  assert.deepEqual(await hub.commit(a, 1, 7), [null]);
  assert.equal(hub.committed, 7);
  await hub.groups.leave("g", [who(a), who(b)]);
  assert.equal(hub.state, "Empty");
  assert.deepEqual(hub.groups.list(), [
    { group: "g", type: "classic", protocolType: "consumer", state: "Empty", memberCount: 0 },
  ]);
});

test("a member that is no longer heard is expelled after its session timeout; one that is heard stays", async (t) => {
  const hub = await Hub.open(t);
  const [a = "", b = ""] = await hub.stable("a", "b");
  for (let seconds = 0; seconds < 9; seconds += 3) {
    await hub.time.advance(3_000);
    assert.equal(hub.heartbeat(a, 1), null);
  }
  await hub.time.advance(1_000);
  assert.equal(hub.heartbeat(a, 1), "REBALANCE_IN_PROGRESS");
  assert.equal(hub.heartbeat(b, 1), "UNKNOWN_MEMBER_ID");
});

test("a commit keeps its member alive as a heartbeat does", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  await hub.time.advance(9_000);
  await hub.commit(a, 1, 7);
  await hub.time.advance(9_000);
  assert.equal(hub.heartbeat(a, 1), null);
});

test("a member's id begins with its instance or client id, cut where it would not fit the wire", async (t) => {
  const hub = await Hub.open(t);
  const ids = [{ clientId: "c" }, { clientId: "c", instanceId: "i" }, { clientId: "c".repeat(32_767) }].map((fields) =>
    hub.join(fields),
  );
  await hub.time.advance(1_000);
  const memberIds = (await Promise.all(ids)).map(({ memberId }) => memberId);
  assert.deepEqual(memberIds, ["c-1", "i-2", `${"c".repeat(255)}-3`]);
});

test("a group that nobody knows", async (t) => {
  const { groups } = await Hub.open(t);
  assert.equal((await groups.join(joinRequest({ memberId: "a" }))).error, "UNKNOWN_MEMBER_ID");
  assert.equal((await groups.sync(syncRequest("a", 1, {}))).error, "UNKNOWN_MEMBER_ID");
  assert.equal(groups.heartbeat({ group: "g", generation: 1, ...who("a") }), "UNKNOWN_MEMBER_ID");
  const left = await groups.leave("g", [who("a")]);
  assert.deepEqual(left, { error: null, members: [{ ...who("a"), error: "UNKNOWN_MEMBER_ID" }] });
  assert.deepEqual(await groups.commit(commitRequest({ memberId: "a", generation: 1 }, 7)), ["GROUP_ID_NOT_FOUND"]);
  assert.equal(groups.committed("g").size, 0);
  assert.equal(groups.describe("g").state, "Dead");
  assert.equal(await groups.delete("g"), "GROUP_ID_NOT_FOUND");
  assert.equal((await groups.deleteOffsets("g", [])).error, "GROUP_ID_NOT_FOUND");
  assert.deepEqual(groups.list(), []);
});

test("a group without a name -> INVALID_GROUP_ID", async (t) => {
  const { groups } = await Hub.open(t);
  assert.equal((await groups.join(joinRequest({ group: "" }))).error, "INVALID_GROUP_ID");
  assert.equal((await groups.leave("", [who("a")])).error, "INVALID_GROUP_ID");
  assert.deepEqual(await groups.commit(commitRequest({ group: "" }, 7)), ["INVALID_GROUP_ID"]);
});

test("close answers what is parked, lets the disk finish, refuses what comes, leaves no timer", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  const release = hub.engine.hold();
  const commit = watch(hub.commit(a, 1, 7));
  const parked = hub.join({ clientId: "b" });
  const closed = watch(hub.groups.close().then(() => true));
  await settled();
  assert.deepEqual([commit, closed], [{}, {}]);
  release();
  assert.equal((await parked).error, "COORDINATOR_NOT_AVAILABLE");
  await settled();
  assert.deepEqual([commit.value, closed.value, hub.time.runningCount], [[null], true, 0]);
  assert.equal((await hub.join()).error, "COORDINATOR_NOT_AVAILABLE");
  assert.equal(hub.heartbeat(a, 1), "COORDINATOR_NOT_AVAILABLE");
  assert.deepEqual(await hub.commit(a, 1, 8), ["COORDINATOR_NOT_AVAILABLE"]);
});

test("close twice is once", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.close();
  await hub.groups.close();
  assert.equal(hub.time.runningCount, 0);
});
