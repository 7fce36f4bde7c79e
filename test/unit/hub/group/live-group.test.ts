/** Groups of the newer protocol over a fake disk and virtual time, and how a group becomes one of the other kind. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { ConsumerHeartbeatRequest } from "../../../../hub/group/groups.ts";
import { noPartitions } from "../../../../hub/group/consumer/partitions.ts";
import { settled } from "../../../support/virtual-timers.ts";
import { heartbeatRequest, joinRequest } from "./consumer/consumer-play.ts";
import { commitRequest, Hub, watch } from "./group-hub.ts";

const topics = { subscribedNames: ["readings"] };

function join(hub: Hub, memberId: string, fields: Partial<ConsumerHeartbeatRequest> = {}) {
  return hub.groups.consumerHeartbeat(joinRequest(memberId, { ...topics, ...fields }));
}

function beat(hub: Hub, memberId: string, epoch: number, fields: Partial<ConsumerHeartbeatRequest> = {}) {
  return hub.groups.consumerHeartbeat(heartbeatRequest({ memberId, epoch, ...fields }));
}

function partitionsOf(result: Awaited<ReturnType<typeof beat>>): readonly number[] | undefined {
  return result.assignment?.flatMap(({ partitions }) => partitions);
}

async function open(t: TestContext, ...memberIds: string[]): Promise<Hub> {
  const hub = await Hub.open(t);
  for (const memberId of memberIds) await join(hub, memberId);
  return hub;
}

const listed = (hub: Hub): string[] => hub.groups.list().map(({ type, state }) => `${type} ${state}`);

suite("the disk", () => {
  test("a member hears of its epoch only when it is on disk", async (t) => {
    const hub = await open(t);
    const release = hub.engine.hold();
    const joined = watch(join(hub, "a"));
    await settled();
    assert.deepEqual([joined.value, hub.groups.describeConsumer("g")], [undefined, undefined]);
    release();
    await settled();
    assert.deepEqual([joined.value?.epoch, hub.groups.describeConsumer("g")?.state], [1, "Stable"]);
  });

  test("heartbeats that change nothing do not touch it, and do not wait for it", async (t) => {
    const hub = await open(t, "a");
    const before = hub.engine.writeCount;
    const release = hub.engine.hold();
    const waiting = watch(join(hub, "b"));
    assert.equal((await beat(hub, "a", 1)).error, null);
    assert.equal((await beat(hub, "a", 7)).error, "FENCED_MEMBER_EPOCH");
    assert.deepEqual([hub.engine.writeCount - before, waiting.value], [1, undefined], "only the join writes");
    release();
  });

  test("when it refuses, the member is told to try again, and nothing has happened", async (t) => {
    const hub = await open(t, "a");
    hub.engine.isFailing = true;
    assert.equal((await join(hub, "b")).error, "COORDINATOR_NOT_AVAILABLE");
    assert.deepEqual([(await beat(hub, "a", 1)).epoch, hub.groups.describeConsumer("g")?.members.length], [1, 1]);
    hub.engine.isFailing = false;
    assert.equal((await join(hub, "b")).epoch, 2);
  });

  test("a member whose heartbeat waits for it does not lose its session", async (t) => {
    const hub = await open(t, "a");
    await hub.time.advance(44_000);
    const release = hub.engine.hold();
    const resubscribed = watch(beat(hub, "a", 1, { subscribedNames: ["alarms"] }));
    await hub.time.advance(44_000);
    release();
    await settled();
    assert.equal(resubscribed.value?.error, null);
    assert.equal(hub.groups.describeConsumer("g")?.members.length, 1);
  });

  test("a session that ends while it refuses is ended when it does not any more", async (t) => {
    const hub = await open(t, "a");
    hub.engine.isFailing = true;
    await hub.time.advance(45_000);
    assert.equal(hub.groups.describeConsumer("g")?.members.length, 1);
    hub.engine.isFailing = false;
    await hub.time.advance(1_000);
    assert.deepEqual(listed(hub), ["consumer Empty"]);
  });

  test("requests that wait for it are bounded", async (t) => {
    const hub = await Hub.open(t, { options: { requestsWaitingMax: 1 } });
    await join(hub, "a");
    const release = hub.engine.hold();
    const waiting = [watch(join(hub, "b")), watch(join(hub, "c"))];
    assert.equal((await join(hub, "d")).error, "COORDINATOR_NOT_AVAILABLE");
    release();
    await settled();
    assert.deepEqual(
      waiting.map(({ value }) => value?.error),
      [null, null],
    );
  });
});

suite("restart", () => {
  test("members keep their epochs and partitions, and the disk is not touched", async (t) => {
    const before = await open(t, "a");
    const hub = await before.restart(t);
    assert.deepEqual(listed(hub), ["consumer Stable"]);
    const { error, epoch, assignment } = await beat(hub, "a", 1);
    assert.deepEqual([error, epoch, assignment, hub.engine.writeCount], [null, 1, null, 0]);
  });

  test("sessions start anew, and then end", async (t) => {
    const before = await open(t, "a");
    const hub = await before.restart(t);
    await hub.time.advance(44_999);
    assert.deepEqual(listed(hub), ["consumer Stable"]);
    await hub.time.advance(1);
    assert.deepEqual(listed(hub), ["consumer Empty"]);
  });

  test("the power goes before a join is written: the member was never there", async (t) => {
    const before = await open(t, "a");
    const release = before.engine.hold();
    const joined = watch(join(before, "b"));
    const hub = await before.restart(t);
    release();
    await settled();
    assert.equal(joined.value, undefined);
    assert.deepEqual([(await beat(hub, "a", 1)).epoch, (await join(hub, "b")).epoch], [1, 2]);
  });

  test("a damaged snapshot costs its members a rejoin", async (t) => {
    const before = await open(t, "a");
    before.engine.disk.groups.set("g", Buffer.from('{"version":2,"type":"consumer"}'));
    const hub = await before.restart(t);
    assert.equal((await beat(hub, "a", 1)).error, "UNKNOWN_MEMBER_ID");
    assert.equal((await join(hub, "a")).error, null);
  });
});

suite("time", () => {
  test("a member that is not heard loses its partitions to those that are", async (t) => {
    const hub = await open(t, "a", "b");
    for (let second = 0; second < 50; second += 5) {
      await hub.time.advance(5_000);
      const member = hub.groups.describeConsumer("g")?.members.find(({ memberId }) => memberId === "a");
      await beat(hub, "a", member?.epoch ?? 0, { owned: noPartitions });
    }
    assert.equal(hub.groups.describeConsumer("g")?.members.length, 1);
    const { epoch = 0 } = hub.groups.describeConsumer("g")?.members[0] ?? {};
    const full = { ...topics, rebalanceTimeoutMs: 1000, owned: noPartitions };
    assert.deepEqual(partitionsOf(await beat(hub, "a", epoch, full)), [0, 1, 2, 3]);
  });

  test("a member that does not give up its partitions in time is out", async (t) => {
    const hub = await Hub.open(t);
    await join(hub, "a", { rebalanceTimeoutMs: 20_000 });
    await join(hub, "b");
    assert.deepEqual(partitionsOf(await beat(hub, "a", 1)), [0, 1]);
    await hub.time.advance(19_999);
    await beat(hub, "a", 1);
    await beat(hub, "b", 2);
    assert.equal((await beat(hub, "a", 1)).error, null);
    await hub.time.advance(1);
    assert.equal((await beat(hub, "a", 1)).error, "UNKNOWN_MEMBER_ID");
    assert.deepEqual(partitionsOf(await beat(hub, "b", 2)), [0, 1, 2, 3]);
  });

  test("session and heartbeat interval are the hub's to set", async (t) => {
    const options = { consumerSessionTimeoutMs: 9_000, consumerHeartbeatIntervalMs: 2_000 };
    const hub = await Hub.open(t, { options });
    assert.equal((await join(hub, "a")).heartbeatIntervalMs, 2_000);
    await hub.time.advance(9_000);
    assert.deepEqual(listed(hub), ["consumer Empty"]);
  });
});

suite("two kinds of groups", () => {
  test("an empty classic group becomes one of the newer protocol: offsets stay, numbers go on", async (t) => {
    const hub = await Hub.open(t);
    const [memberId = ""] = await hub.stable("c");
    await hub.commit(memberId, 1, 7);
    assert.equal((await join(hub, "a")).error, "GROUP_ID_NOT_FOUND", "while it has members it does not");
    await hub.groups.leave("g", [{ memberId, instanceId: null }]);
    assert.equal((await beat(hub, "a", 1)).error, "UNKNOWN_MEMBER_ID", "only who joins converts a group");
    const { epoch } = await join(hub, "a");
    assert.deepEqual([epoch, hub.committed, listed(hub)], [3, 7, ["consumer Stable"]]);
    assert.equal(hub.groups.describe("g").state, "Dead", "it is no classic group");
  });

  test("and back again", async (t) => {
    const hub = await open(t, "a");
    await hub.groups.commit(commitRequest({ memberId: "a", generation: 1 }, 7));
    assert.equal((await hub.join({ clientId: "c" })).error, "INCONSISTENT_GROUP_PROTOCOL");
    await beat(hub, "a", -1);
    const joining = hub.join({ clientId: "c" });
    await hub.time.advance(1_000);
    const { error, generation } = await joining;
    assert.deepEqual([error, generation, hub.committed], [null, 3, 7]);
    assert.equal(hub.groups.describeConsumer("g"), undefined);
    assert.equal(hub.time.runningCount, 3, "sweep, the member's session, the sync timer; none of the former kind");
  });

  test("a group that was converted comes back from disk as what it became", async (t) => {
    const before = await Hub.open(t);
    const [memberId = ""] = await before.stable("c");
    await before.groups.leave("g", [{ memberId, instanceId: null }]);
    await join(before, "a");
    const hub = await before.restart(t);
    assert.equal((await beat(hub, "a", 3)).error, null);
  });

  test("requests of the classic protocol do not know members of the newer one", async (t) => {
    const hub = await open(t, "a");
    assert.equal(hub.heartbeat("a", 1), "UNKNOWN_MEMBER_ID");
    assert.equal((await hub.sync("a", 1)).error, "UNKNOWN_MEMBER_ID");
    const left = await hub.groups.leave("g", [{ memberId: "a", instanceId: null }]);
    assert.deepEqual(left.members, [{ memberId: "a", instanceId: null, error: "UNKNOWN_MEMBER_ID" }]);
  });

  test("an administrator may send a static member away", async (t) => {
    const hub = await Hub.open(t);
    await join(hub, "a", { instanceId: "one" });
    const left = await hub.groups.leave("g", [{ memberId: "", instanceId: "one" }]);
    assert.deepEqual([left.members[0]?.error, listed(hub)], [null, ["consumer Empty"]]);
  });
});

suite("offsets", () => {
  test("a commit in a former epoch is taken for partitions that the member has kept, and only for those", async (t) => {
    const hub = await open(t, "a");
    await join(hub, "b");
    await beat(hub, "a", 1);
    const owned = new Map([[hub.engine.topics.get("readings")?.id.toString("hex") ?? "", new Set([0, 1])]]);
    assert.equal((await beat(hub, "a", 1, { owned })).epoch, 2);
    const at = (partition: number) => ({ topic: "readings", partition, offset: 5, leaderEpoch: -1, metadata: null });
    const offsets = [at(0), at(3), at(99)];
    const results = await hub.groups.commit({ ...commitRequest({ memberId: "a", generation: 1 }, 5), offsets });
    assert.deepEqual(results, [null, "STALE_MEMBER_EPOCH", "STALE_MEMBER_EPOCH"]);
    assert.deepEqual([...(hub.groups.committed("g").get("readings")?.keys() ?? [])], [0]);
    assert.deepEqual(await hub.groups.commit({ ...commitRequest({ memberId: "a", generation: 2 }, 5), offsets }), [
      null,
      null,
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
  });

  test("members fetch in their epoch; an unknown group and a classic one ask nothing", async (t) => {
    const hub = await open(t, "a");
    const fetch = (group: string, memberEpoch: number) =>
      hub.groups.checkOffsetFetch(group, { memberId: "a", memberEpoch });
    assert.deepEqual([fetch("g", 1), fetch("g", 2), fetch("other", 9)], [null, "STALE_MEMBER_EPOCH", null]);
  });

  test("of topics that members read are not deleted", async (t) => {
    const hub = await open(t, "a");
    const at = [
      { topic: "readings", partition: 0 },
      { topic: "alarms", partition: 0 },
    ];
    const { error, partitions } = await hub.groups.deleteOffsets("g", at);
    assert.deepEqual([error, partitions], [null, ["GROUP_SUBSCRIBED_TO_TOPIC", null]]);
  });
});

suite("topics", () => {
  test("one that grows is seen with the next heartbeat", async (t) => {
    const hub = await open(t, "a");
    const topic = hub.engine.topics.get("readings");
    assert.ok(topic);
    hub.engine.topics.set("readings", { ...topic, partitionCount: 6 });
    assert.deepEqual(partitionsOf(await beat(hub, "a", 1)), [0, 1, 2, 3, 4, 5]);
  });

  test("an expression finds those that come later; after a restart nothing moves", async (t) => {
    const before = await Hub.open(t);
    const regex = { subscribedNames: null, subscribedRegex: "r.*" };
    assert.deepEqual(partitionsOf(await join(before, "a", regex)), [0, 1, 2, 3]);
    before.engine.addTopic("reports", 2);
    assert.equal(partitionsOf(await beat(before, "a", 1))?.length, 6);
    const { disk } = before.engine;
    const reports = before.engine.topics.get("reports");
    assert.ok(reports);
    before.engine.crash();
    const hub = await Hub.open(t, { disk });
    hub.engine.topics.set("reports", reports);
    assert.deepEqual([(await beat(hub, "a", 2)).epoch, hub.engine.writeCount], [2, 0]);
  });

  test("an expression that is not valid is refused before there is a group for it", async (t) => {
    const hub = await Hub.open(t);
    const { error, message } = await join(hub, "a", { subscribedNames: null, subscribedRegex: "(" });
    assert.equal(error, "INVALID_REGULAR_EXPRESSION");
    assert.match(message ?? "", /missing closing/);
    assert.deepEqual(hub.groups.list(), []);
  });
});

suite("groups", () => {
  test("a refused heartbeat leaves none behind", async (t) => {
    const hub = await Hub.open(t, { options: { membersMax: 0 } });
    assert.equal((await join(hub, "a")).error, "GROUP_MAX_SIZE_REACHED");
    assert.equal((await beat(hub, "a", 1)).error, "UNKNOWN_MEMBER_ID");
    assert.equal((await join(hub, "a", { group: "" })).error, "INVALID_GROUP_ID");
    await settled();
    assert.deepEqual(hub.groups.list(), []);
  });

  test("there are as many as there may be; an idle one makes room for the next", async (t) => {
    const hub = await Hub.open(t, { options: { groupsMax: 1 } });
    await join(hub, "a");
    assert.equal((await join(hub, "b", { group: "h" })).error, "GROUP_MAX_SIZE_REACHED");
    await beat(hub, "a", -1);
    assert.equal((await join(hub, "b", { group: "h" })).error, "COORDINATOR_NOT_AVAILABLE");
    await settled();
    assert.equal((await join(hub, "b", { group: "h" })).error, null);
  });

  test("an empty one without offsets is forgotten in the end, on disk too", async (t) => {
    const hub = await open(t, "a");
    await beat(hub, "a", -1);
    await hub.time.advance(1_200_000);
    assert.deepEqual([hub.groups.list(), hub.engine.disk.groups.size], [[], 0]);
  });

  test("only an empty one is deleted", async (t) => {
    const hub = await open(t, "a");
    assert.equal(await hub.groups.delete("g"), "NON_EMPTY_GROUP");
    await beat(hub, "a", -1);
    assert.deepEqual([await hub.groups.delete("g"), hub.groups.list()], [null, []]);
  });

  test("a hub that stops answers those that wait", async (t) => {
    const hub = await open(t, "a");
    const release = hub.engine.hold();
    const waiting = watch(join(hub, "b"));
    const closed = hub.groups.close();
    assert.equal((await beat(hub, "a", 1)).error, "COORDINATOR_NOT_AVAILABLE");
    release();
    await closed;
    assert.deepEqual([waiting.value?.error, hub.time.runningCount], [null, 0]);
  });
});
