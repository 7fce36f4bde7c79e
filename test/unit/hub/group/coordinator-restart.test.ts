import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "../../../support/virtual-timers.ts";
import { commitRequest, Hub, watch } from "./group-hub.ts";

test("restart: a stable group goes on: same generation, same assignments, no rebalance", async (t) => {
  const before = await Hub.open(t);
  const [a = "", b = ""] = await before.stable("a", "b");
  await before.commit(a, 1, 7);
  const hub = await before.restart(t);
  assert.deepEqual([hub.state, hub.committed], ["Stable", 7]);
  assert.deepEqual([hub.heartbeat(a, 1), hub.heartbeat(b, 1)], [null, null]);
  assert.equal((await hub.sync(b, 1)).assignment.toString(), "for b-2");
  assert.deepEqual(await hub.commit(b, 1, 8), [null]);
});

test("restart: every member has a full session to be heard, then it is expelled", async (t) => {
  const before = await Hub.open(t);
  const ids = await before.stable("a", "b");
  const hub = await before.restart(t);
  await hub.time.advance(9_999);
  assert.deepEqual(hub.memberIds, ids);
  await hub.time.advance(1);
  assert.equal(hub.state, "Empty");
});

test("restart: in the middle of a rebalance: the last stable generation is back, and its members join again", async (t) => {
  const before = await Hub.open(t);
  const [a = ""] = await before.stable("a");
  void before.join({ clientId: "b" });
  assert.equal((await before.join({ memberId: a, clientId: "a" })).generation, 2);
  const hub = await before.restart(t);
  assert.deepEqual([hub.state, hub.memberIds], ["Stable", [a]]);
  assert.equal(hub.heartbeat(a, 2), "ILLEGAL_GENERATION");
  assert.equal(hub.heartbeat("b-2", 2), "UNKNOWN_MEMBER_ID");
  assert.equal((await hub.join({ memberId: a, clientId: "a" })).generation, 2);
});

test("restart: between writing an assignment and telling it: the members join again", async (t) => {
  const before = await Hub.open(t);
  const join = before.join({ clientId: "a" });
  await before.time.advance(1_000);
  const { memberId } = await join;
  const release = before.engine.hold();
  const sync = watch(before.sync(memberId, 1, { [memberId]: "for a" }));
  release();
  const hub = await before.restart(t);
  assert.deepEqual([sync.value?.error, hub.state], [null, "Stable"]);
  assert.equal((await hub.sync(memberId, 1)).assignment.toString(), "for a");
});

test("restart: the power goes before an assignment is written: the group was never there, and nobody was told", async (t) => {
  const before = await Hub.open(t);
  const join = before.join({ clientId: "a" });
  await before.time.advance(1_000);
  const { memberId } = await join;
  const release = before.engine.hold();
  const sync = watch(before.sync(memberId, 1, {}));
  const hub = await before.restart(t);
  release();
  await settled();
  assert.deepEqual([sync, hub.state], [{}, "Dead"]);
});

test("restart: offsets of simple consumers make an empty group", async (t) => {
  const before = await Hub.open(t);
  await before.groups.commit(commitRequest({}, 7));
  const hub = await before.restart(t);
  assert.deepEqual([hub.state, hub.committed], ["Empty", 7]);
  assert.deepEqual(hub.groups.list(), [
    { group: "g", type: "classic", protocolType: "", state: "Empty", memberCount: 0 },
  ]);
});

test("restart: a damaged snapshot costs its members a rejoin; the offsets are there", async (t) => {
  const before = await Hub.open(t);
  const [a = ""] = await before.stable("a");
  await before.commit(a, 1, 7);
  before.engine.disk.groups.set("g", Buffer.from("{"));
  const hub = await before.restart(t);
  assert.deepEqual([hub.state, hub.committed], ["Empty", 7]);
  assert.equal((await hub.join({ memberId: a })).error, "UNKNOWN_MEMBER_ID");
});

test("restart: a snapshot of a newer version stops the start", async (t) => {
  const before = await Hub.open(t);
  before.engine.disk.groups.set("g", Buffer.from('{"version":3}'));
  await assert.rejects(before.restart(t), { code: "LOG_VERSION" });
});
