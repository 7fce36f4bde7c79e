import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "../../../support/virtual-timers.ts";
import { commitRequest, Hub, watch } from "./group-hub.ts";
import { who } from "./group-play.ts";

test("nobody hears of an assignment before it is on disk; heartbeats do not wait for the disk", async (t) => {
  const hub = await Hub.open(t);
  const joins = [hub.join({ clientId: "a" }), hub.join({ clientId: "b" })];
  await hub.time.advance(1_000);
  const [a = "", b = ""] = (await Promise.all(joins)).map(({ memberId }) => memberId);
  const follower = watch(hub.sync(b, 1));
  const release = hub.engine.hold();
  const leader = watch(hub.sync(a, 1, { [b]: "for b" }));
  await settled();
  assert.deepEqual([leader, follower, hub.state], [{}, {}, "CompletingRebalance"]);
  assert.equal(hub.heartbeat(a, 1), null);
  release();
  await settled();
  assert.deepEqual([leader.value?.error, follower.value?.assignment.toString(), hub.state], [null, "for b", "Stable"]);
});

test("the assignment cannot be persisted: nobody is told success; the leader's next try works", async (t) => {
  const hub = await Hub.open(t);
  const joins = [hub.join({ clientId: "a" }), hub.join({ clientId: "b" })];
  await hub.time.advance(1_000);
  const [a = "", b = ""] = (await Promise.all(joins)).map(({ memberId }) => memberId);
  const follower = watch(hub.sync(b, 1));
  hub.engine.isFailing = true;
  assert.equal((await hub.sync(a, 1, { [b]: "for b" })).error, "COORDINATOR_NOT_AVAILABLE");
  assert.deepEqual([follower, hub.state, hub.engine.disk.groups.size], [{}, "CompletingRebalance", 0]);
  hub.engine.isFailing = false;
  assert.equal((await hub.join({ memberId: a, clientId: "a" })).generation, 1, "as clients do: join again");
  assert.equal((await hub.sync(a, 1, { [b]: "for b" })).error, null);
  await settled();
  assert.equal(follower.value?.assignment.toString(), "for b");
});

test("a leave cannot be persisted: the member is still there", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  hub.engine.isFailing = true;
  assert.equal((await hub.groups.leave("g", [who(a)])).error, "COORDINATOR_NOT_AVAILABLE");
  assert.equal(hub.heartbeat(a, 1), null);
});

test("the end of a session cannot be persisted: it is tried again until the disk takes it", async (t) => {
  const hub = await Hub.open(t);
  await hub.stable("a");
  hub.engine.isFailing = true;
  await hub.time.advance(60_000);
  assert.equal(hub.state, "Stable");
  hub.engine.isFailing = false;
  await hub.time.advance(1_000);
  assert.equal(hub.state, "Empty");
});

test("the end of a session is being persisted in vain when the member is heard: it has a full session again", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  const release = hub.engine.hold();
  await hub.time.advance(10_000);
  assert.equal(hub.heartbeat(a, 1), null);
  hub.engine.isFailing = true;
  release();
  await hub.time.advance(9_000);
  hub.engine.isFailing = false;
  assert.equal(hub.heartbeat(a, 1), null);
});

test("a session that ends while the disk is slow: the member is heard in time and stays", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  const release = hub.engine.hold();
  const commit = hub.commit(a, 1, 7);
  await hub.time.advance(10_000);
  assert.equal(hub.heartbeat(a, 1), null, "it was told that it is alive");
  release();
  assert.deepEqual(await commit, [null]);
  await settled();
  assert.deepEqual(hub.memberIds, [a]);
});

test("a rebalance begins when the commits before it are on disk: the next owner starts where the former ended", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  const release = hub.engine.hold();
  const commits = [hub.commit(a, 1, 7), hub.commit(a, 1, 8)];
  const rejoin = watch(hub.join({ memberId: a, clientId: "a" }));
  await settled();
  assert.deepEqual(rejoin, {});
  release("newest-first");
  assert.deepEqual(await Promise.all(commits), [[null], [null]]);
  await settled();
  assert.deepEqual([rejoin.value?.generation, hub.committed], [2, 8]);
});

test("a deletion under way: a commit behind it is refused, not written into the void", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.commit(commitRequest({}, 7));
  const release = hub.engine.hold();
  const deletion = hub.groups.delete("g");
  const commit = hub.groups.commit(commitRequest({}, 8));
  release();
  assert.deepEqual([await deletion, await commit], [null, ["COORDINATOR_NOT_AVAILABLE"]]);
  assert.deepEqual([hub.state, hub.committed, hub.engine.disk.offsets.size], ["Dead", undefined, 0]);
});
