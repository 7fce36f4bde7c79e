import assert from "node:assert/strict";
import { test } from "node:test";
import { commitRequest, Hub } from "./group-hub.ts";
import { protocols, who } from "./group-play.ts";

/** Version 1, topics ["readings"]. */
const subscription = Buffer.from("000100000001000872656164696e6773ffffffff00000000", "hex");
const positions = [
  { topic: "readings", partition: 0 },
  { topic: "alarms", partition: 0 },
  { topic: "nothing", partition: 0 },
];

test("deletion of a group takes its offsets, also on disk; with members it is refused", async (t) => {
  const hub = await Hub.open(t);
  const [a = ""] = await hub.stable("a");
  await hub.commit(a, 1, 7);
  assert.equal(await hub.groups.delete("g"), "NON_EMPTY_GROUP");
  await hub.groups.leave("g", [who(a)]);
  assert.equal(await hub.groups.delete("g"), null);
  assert.deepEqual([hub.state, hub.committed, hub.engine.disk.groups.size], ["Dead", undefined, 0]);
  assert.equal((await hub.restart(t)).state, "Dead");
});

test("deletion of a group that the disk refuses changes nothing", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.commit(commitRequest({}, 7));
  hub.engine.isFailing = true;
  assert.equal(await hub.groups.delete("g"), "COORDINATOR_NOT_AVAILABLE");
  assert.deepEqual([hub.state, hub.committed], ["Empty", 7]);
});

test("deletion of a group in which an id is pending: the id is unknown afterwards, and the client starts anew", async (t) => {
  const hub = await Hub.open(t);
  const { memberId } = await hub.join({ requireKnownMemberId: true });
  assert.equal(await hub.groups.delete("g"), null);
  assert.equal((await hub.join({ memberId })).error, "UNKNOWN_MEMBER_ID");
});

test("deletion of offsets of an empty group; unknown topics are told", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.commit(commitRequest({}, 7));
  const deleted = await hub.groups.deleteOffsets("g", positions);
  assert.deepEqual(deleted, { error: null, partitions: [null, null, "UNKNOWN_TOPIC_OR_PARTITION"] });
  assert.equal(hub.committed, undefined);
});

test("a group whose last offset was deleted can still be deleted itself, and goes with a later sweep by itself", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.commit(commitRequest({}, 7));
  await hub.groups.deleteOffsets("g", positions);
  assert.equal(hub.state, "Empty");
  assert.equal(await hub.groups.delete("g"), null);

  await hub.groups.commit(commitRequest({}, 7));
  await hub.groups.deleteOffsets("g", positions);
  await hub.time.advance(1_200_000);
  assert.equal(hub.state, "Dead");
});

test("deletion of offsets of a topic that members read is refused, of another one not", async (t) => {
  const hub = await Hub.open(t);
  void hub.join({ protocols: [{ name: "range", metadata: subscription }] });
  await hub.time.advance(1_000);
  const { error, partitions } = await hub.groups.deleteOffsets("g", positions);
  assert.deepEqual([error, partitions], [null, ["GROUP_SUBSCRIBED_TO_TOPIC", null, "UNKNOWN_TOPIC_OR_PARTITION"]]);
});

test("deletion of offsets of members that do not say what they read is refused", async (t) => {
  const hub = await Hub.open(t);
  void hub.join({ protocolType: "connect", protocols: protocols("x") });
  assert.equal((await hub.groups.deleteOffsets("g", positions)).error, "NON_EMPTY_GROUP");
});

test("deletion of offsets that the disk refuses changes nothing", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.commit(commitRequest({}, 7));
  hub.engine.isFailing = true;
  assert.equal((await hub.groups.deleteOffsets("g", positions)).error, "COORDINATOR_NOT_AVAILABLE");
  assert.equal(hub.committed, 7);
});

test("deletion of a topic takes its offsets in every group, those under way too", async (t) => {
  const hub = await Hub.open(t);
  await hub.groups.commit(commitRequest({ group: "h" }, 7));
  const release = hub.engine.hold();
  const commit = hub.groups.commit(commitRequest({}, 7));
  hub.engine.topics.delete("readings");
  const forgotten = hub.groups.forgetTopic("readings");
  release();
  await Promise.all([commit, forgotten]);
  assert.deepEqual([hub.groups.committed("g").size, hub.groups.committed("h").size], [0, 0]);
  assert.deepEqual(
    [...hub.engine.disk.offsets.values()].map(({ size }) => size),
    [0, 0],
  );
});
