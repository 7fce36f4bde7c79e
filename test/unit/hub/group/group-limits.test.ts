import assert from "node:assert/strict";
import { test } from "node:test";
import { commitRequest, Hub } from "./group-hub.ts";
import { who } from "./group-play.ts";

test("as many groups as allowed: another one is refused, those there go on", async (t) => {
  const hub = await Hub.open(t, { options: { groupsMax: 2 } });
  for (const group of ["g", "h"]) assert.deepEqual(await hub.groups.commit(commitRequest({ group }, 7)), [null]);
  assert.equal((await hub.join({ group: "i" })).error, "GROUP_MAX_SIZE_REACHED");
  assert.deepEqual(await hub.groups.commit(commitRequest({ group: "i" }, 7)), ["GROUP_MAX_SIZE_REACHED"]);
  assert.deepEqual(await hub.groups.commit(commitRequest({}, 8)), [null]);
});

test("as many groups as allowed, one of them abandoned: it makes room, and the client's next try works", async (t) => {
  const hub = await Hub.open(t, { options: { groupsMax: 1 } });
  const [a = ""] = await hub.stable("a");
  await hub.groups.leave("g", [who(a)]);
  assert.equal((await hub.join({ group: "h" })).error, "COORDINATOR_NOT_AVAILABLE");
  void hub.join({ group: "h" });
  assert.deepEqual(
    hub.groups.list().map(({ group }) => group),
    ["h"],
  );
});

test("groups found on disk are served even where they are more than allowed", async (t) => {
  const before = await Hub.open(t);
  for (const group of ["g", "h"]) await before.groups.commit(commitRequest({ group }, 7));
  const hub = await before.restart(t, { groupsMax: 1 });
  assert.equal(hub.groups.list().length, 2);
});

test("refused requests leave no groups behind", async (t) => {
  const hub = await Hub.open(t);
  for (let index = 0; index < 100; index++) {
    await hub.join({ group: `join ${index}`, protocols: [] });
    const offsets = [{ topic: "nothing", partition: 0, offset: 1, leaderEpoch: -1, metadata: null }];
    await hub.groups.commit({ ...commitRequest({ group: `commit ${index}` }, 1), offsets });
  }
  assert.deepEqual([hub.groups.list(), hub.time.runningCount], [[], 1]);
});

test("a client that asks for an id and never comes back leaves no group behind", async (t) => {
  const hub = await Hub.open(t);
  assert.equal((await hub.join({ requireKnownMemberId: true })).error, "MEMBER_ID_REQUIRED");
  assert.equal(hub.state, "Empty");
  await hub.time.advance(10_000);
  assert.deepEqual([hub.groups.list(), hub.engine.writeCount], [[], 0]);
});

test("an abandoned group without offsets is forgotten after a while, one with offsets never", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  await hub.groups.leave("g", [who(a)]);
  await hub.groups.commit(commitRequest({ group: "h" }, 7));
  assert.equal(hub.state, "Empty");
  await hub.time.advance(1_200_000);
  assert.deepEqual(
    hub.groups.list().map(({ group }) => group),
    ["h"],
  );
  assert.equal(hub.engine.disk.groups.size, 0);
  await hub.time.advance(30 * 24 * 3_600_000);
  assert.deepEqual(
    hub.groups.list().map(({ group }) => group),
    ["h"],
  );
});

test("requests that wait for a slow disk are bounded; heartbeats are not among them", async (t) => {
  const hub = await Hub.open(t, { options: { requestsWaitingMax: 3 } });
  const [a = ""] = await hub.stable("a");
  const release = hub.engine.hold();
  const leave = hub.groups.leave("g", [who(a)]);
  const waiting = [1, 2, 3].map((offset) => hub.commit(a, 1, offset));
  assert.deepEqual(await hub.commit(a, 1, 4), ["COORDINATOR_NOT_AVAILABLE"]);
  assert.equal((await hub.sync(a, 1)).error, "COORDINATOR_NOT_AVAILABLE");
  assert.equal(hub.heartbeat(a, 1), null);
  release();
  assert.equal((await leave).error, null);
  assert.deepEqual(await Promise.all(waiting), [["UNKNOWN_MEMBER_ID"], ["UNKNOWN_MEMBER_ID"], ["UNKNOWN_MEMBER_ID"]]);
});
