import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { silentLogger } from "../../../../shared/logger.ts";
import { GroupCoordinator, type GroupCoordinatorOptions } from "../../../../hub/group/coordinator-runner.ts";
import type { CommitRequest, JoinRequest, SyncRequest } from "../../../../hub/group/groups.ts";
import { settled, VirtualTimers } from "../../../support/virtual-timers.ts";
import { FakeGroupEngine, type GroupDisk } from "./group-engine.ts";
import { joinRequest, protocols, who } from "./group-play.ts";

class Hub {
  readonly time = new VirtualTimers();
  readonly engine: FakeGroupEngine;
  groups!: GroupCoordinator;

  static async open(t: TestContext, given: { disk?: GroupDisk; options?: Partial<GroupCoordinatorOptions> } = {}) {
    const hub = new Hub(new FakeGroupEngine(given.disk));
    const { engine, time } = hub;
    let lastId = 0;
    const newId = () => String(++lastId);
    const parts = { engine, clock: time, timers: time, logger: silentLogger(), options: given.options ?? {}, newId };
    hub.groups = await GroupCoordinator.open(parts);
    t.after(() => (engine.isCrashed ? undefined : hub.groups.close()));
    return hub;
  }

  private constructor(engine: FakeGroupEngine) {
    this.engine = engine;
  }

  /** The machine loses power; another hub starts over its disk. */
  async restart(t: TestContext, options: Partial<GroupCoordinatorOptions> = {}): Promise<Hub> {
    this.engine.crash();
    return Hub.open(t, { disk: this.engine.disk, options });
  }

  join(fields: Partial<JoinRequest> = {}) {
    return this.groups.join(joinRequest(fields));
  }

  sync(memberId: string, generation: number, assign: Record<string, string> = {}) {
    return this.groups.sync(syncRequest(memberId, generation, assign));
  }

  heartbeat(memberId: string, generation: number) {
    return this.groups.heartbeat({ group: "g", memberId, generation, instanceId: null });
  }

  commit(memberId: string, generation: number, offset: number) {
    return this.groups.commit(commitRequest({ memberId, generation }, offset));
  }

  get committed(): number | undefined {
    return this.groups.committed("g").get("readings")?.get(0)?.offset;
  }

  get state(): string {
    return this.groups.describe("g").state;
  }

  get memberIds(): readonly string[] {
    return this.groups.describe("g").members.map(({ memberId }) => memberId);
  }

  /** Members "a-1", "b-2", … in generation 1, each with its assignment. */
  async stable(...clientIds: string[]): Promise<readonly string[]> {
    const joins = clientIds.map((clientId) => this.join({ clientId }));
    await this.time.advance(1_000);
    const ids = (await Promise.all(joins)).map(({ memberId }) => memberId);
    const assign = Object.fromEntries(ids.map((id) => [id, `for ${id}`]));
    await Promise.all(ids.map((id) => this.sync(id, 1, assign)));
    return ids;
  }
}

function syncRequest(memberId: string, generation: number, assign: Record<string, string>): SyncRequest {
  const assignments = Object.entries(assign).map(([id, text]) => ({ memberId: id, assignment: Buffer.from(text) }));
  return { group: "g", generation, memberId, instanceId: null, protocolType: null, protocolName: null, assignments };
}

function commitRequest(fields: Partial<CommitRequest>, offset: number): CommitRequest {
  const offsets = [{ topic: "readings", partition: 0, offset, leaderEpoch: -1, metadata: null }];
  return { group: "g", generation: -1, memberId: "", instanceId: null, offsets, ...fields };
}

/** What a promise has come to so far. */
function watch<Value>(promise: Promise<Value>): { value?: Value } {
  const watched: { value?: Value } = {};
  void promise.then((value) => (watched.value = value));
  return watched;
}

suite("a group at work", () => {
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
    assert.deepEqual(hub.groups.list(), [{ group: "g", protocolType: "consumer", state: "Empty" }]);
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
    const ids = [{ clientId: "c" }, { clientId: "c", instanceId: "i" }, { clientId: "c".repeat(32_767) }].map(
      (fields) => hub.join(fields),
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
});

suite("persist, then memory, then the answer", () => {
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
    assert.deepEqual(
      [leader.value?.error, follower.value?.assignment.toString(), hub.state],
      [null, "for b", "Stable"],
    );
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
});

suite("restart", () => {
  test("a stable group goes on: same generation, same assignments, no rebalance", async (t) => {
    const before = await Hub.open(t);
    const [a = "", b = ""] = await before.stable("a", "b");
    await before.commit(a, 1, 7);
    const hub = await before.restart(t);
    assert.deepEqual([hub.state, hub.committed], ["Stable", 7]);
    assert.deepEqual([hub.heartbeat(a, 1), hub.heartbeat(b, 1)], [null, null]);
    assert.equal((await hub.sync(b, 1)).assignment.toString(), "for b-2");
    assert.deepEqual(await hub.commit(b, 1, 8), [null]);
  });

  test("every member has a full session to be heard, then it is expelled", async (t) => {
    const before = await Hub.open(t);
    const ids = await before.stable("a", "b");
    const hub = await before.restart(t);
    await hub.time.advance(9_999);
    assert.deepEqual(hub.memberIds, ids);
    await hub.time.advance(1);
    assert.equal(hub.state, "Empty");
  });

  test("in the middle of a rebalance: the last stable generation is back, and its members join again", async (t) => {
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

  test("between writing an assignment and telling it: the members join again", async (t) => {
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

  test("the power goes before an assignment is written: the group was never there, and nobody was told", async (t) => {
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

  test("offsets of simple consumers make an empty group", async (t) => {
    const before = await Hub.open(t);
    await before.groups.commit(commitRequest({}, 7));
    const hub = await before.restart(t);
    assert.deepEqual([hub.state, hub.committed], ["Empty", 7]);
    assert.deepEqual(hub.groups.list(), [{ group: "g", protocolType: "", state: "Empty" }]);
  });

  test("a damaged snapshot costs its members a rejoin; the offsets are there", async (t) => {
    const before = await Hub.open(t);
    const [a = ""] = await before.stable("a");
    await before.commit(a, 1, 7);
    before.engine.disk.groups.set("g", Buffer.from("{"));
    const hub = await before.restart(t);
    assert.deepEqual([hub.state, hub.committed], ["Empty", 7]);
    assert.equal((await hub.join({ memberId: a })).error, "UNKNOWN_MEMBER_ID");
  });

  test("a snapshot of a newer version stops the start", async (t) => {
    const before = await Hub.open(t);
    before.engine.disk.groups.set("g", Buffer.from('{"version":2}'));
    await assert.rejects(before.restart(t), { code: "LOG_VERSION" });
  });
});

suite("limits", () => {
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
});

suite("deletion", () => {
  /** Version 1, topics ["readings"]. */
  const subscription = Buffer.from("000100000001000872656164696e6773ffffffff00000000", "hex");
  const positions = [
    { topic: "readings", partition: 0 },
    { topic: "alarms", partition: 0 },
    { topic: "nothing", partition: 0 },
  ];

  test("of a group takes its offsets, also on disk; with members it is refused", async (t) => {
    const hub = await Hub.open(t);
    const [a = ""] = await hub.stable("a");
    await hub.commit(a, 1, 7);
    assert.equal(await hub.groups.delete("g"), "NON_EMPTY_GROUP");
    await hub.groups.leave("g", [who(a)]);
    assert.equal(await hub.groups.delete("g"), null);
    assert.deepEqual([hub.state, hub.committed, hub.engine.disk.groups.size], ["Dead", undefined, 0]);
    assert.equal((await hub.restart(t)).state, "Dead");
  });

  test("of a group that the disk refuses changes nothing", async (t) => {
    const hub = await Hub.open(t);
    await hub.groups.commit(commitRequest({}, 7));
    hub.engine.isFailing = true;
    assert.equal(await hub.groups.delete("g"), "COORDINATOR_NOT_AVAILABLE");
    assert.deepEqual([hub.state, hub.committed], ["Empty", 7]);
  });

  test("of a group in which an id is pending: the id is unknown afterwards, and the client starts anew", async (t) => {
    const hub = await Hub.open(t);
    const { memberId } = await hub.join({ requireKnownMemberId: true });
    assert.equal(await hub.groups.delete("g"), null);
    assert.equal((await hub.join({ memberId })).error, "UNKNOWN_MEMBER_ID");
  });

  test("of offsets of an empty group; unknown topics are told", async (t) => {
    const hub = await Hub.open(t);
    await hub.groups.commit(commitRequest({}, 7));
    const deleted = await hub.groups.deleteOffsets("g", positions);
    assert.deepEqual(deleted, { error: null, partitions: [null, null, "UNKNOWN_TOPIC_OR_PARTITION"] });
    assert.equal(hub.committed, undefined);
  });

  test("of offsets of a topic that members read is refused, of another one not", async (t) => {
    const hub = await Hub.open(t);
    void hub.join({ protocols: [{ name: "range", metadata: subscription }] });
    await hub.time.advance(1_000);
    const { error, partitions } = await hub.groups.deleteOffsets("g", positions);
    assert.deepEqual([error, partitions], [null, ["GROUP_SUBSCRIBED_TO_TOPIC", null, "UNKNOWN_TOPIC_OR_PARTITION"]]);
  });

  test("of offsets of members that do not say what they read is refused", async (t) => {
    const hub = await Hub.open(t);
    void hub.join({ protocolType: "connect", protocols: protocols("x") });
    assert.equal((await hub.groups.deleteOffsets("g", positions)).error, "NON_EMPTY_GROUP");
  });

  test("of offsets that the disk refuses changes nothing", async (t) => {
    const hub = await Hub.open(t);
    await hub.groups.commit(commitRequest({}, 7));
    hub.engine.isFailing = true;
    assert.equal((await hub.groups.deleteOffsets("g", positions)).error, "COORDINATOR_NOT_AVAILABLE");
    assert.equal(hub.committed, 7);
  });

  test("of a topic takes its offsets in every group, those under way too", async (t) => {
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
});

suite("close", () => {
  test("answers what is parked, lets the disk finish, refuses what comes, leaves no timer", async (t) => {
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

  test("twice is once", async (t) => {
    const hub = await Hub.open(t);
    await hub.groups.close();
    await hub.groups.close();
    assert.equal(hub.time.runningCount, 0);
  });
});
