import assert from "node:assert/strict";
import { test } from "node:test";
import type { AskedPartition } from "../../../../hub/kafka/fetch-session.ts";
import { FetchSessions } from "../../../../hub/kafka/fetch-sessions.ts";
import type { FetchPlan, SessionRequest } from "../../../../hub/kafka/fetch-sessions.ts";
import { kafkaDefaults } from "../../../../hub/kafka/options.ts";
import type { KafkaOptions } from "../../../../hub/kafka/options.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

const partitionsOf = (count: number, from = 0): readonly AskedPartition[] =>
  Array.from({ length: count }, (_, index) => ({
    topicKey: "t",
    topic: "t",
    topicId: Buffer.alloc(16),
    partition: from + index,
    fetchOffset: 0,
    currentLeaderEpoch: -1,
    bytesMax: 1000,
  }));

const noChanges = { usesTopicIds: true, owner: "alice", partitions: [], forgotten: [] };

function setUp(limits: Partial<KafkaOptions> = {}) {
  const clock = new VirtualTimers();
  let last = 0;
  // Ids 1, 2, 3, …
  const sessions = new FetchSessions(clock, { ...kafkaDefaults, ...limits }, () => last++ / (2 ** 31 - 1));
  const begin = (request: Partial<SessionRequest>) =>
    sessions.begin({ ...noChanges, sessionId: 0, sessionEpoch: 0, ...request });
  const finish = (plan: FetchPlan | string) => {
    if (typeof plan === "string") assert.fail(plan);
    const news = plan.asked.map(() => ({ error: null, offsets: { logStartOffset: 0, highWatermark: 3 }, bytes: 0 }));
    return sessions.finish(plan, news);
  };
  /** The id of the session that was opened; 0 for none. */
  const open = (count: number, owner = "alice"): number => {
    const outcome = finish(begin({ partitions: partitionsOf(count), owner }));
    assert.ok(typeof outcome !== "string");
    return outcome.sessionId;
  };
  return { clock, sessions, begin, finish, open };
}

test("a session is opened by epoch 0, gone on with by 1, 2, 3, and ended by -1", () => {
  const { sessions, begin, finish, open } = setUp();
  const sessionId = open(3);
  assert.equal(sessionId, 1);
  for (const sessionEpoch of [1, 2, 3]) {
    const plan = begin({ sessionId, sessionEpoch });
    assert.equal(typeof plan === "string" ? plan : plan.asked.length, 3);
    assert.deepEqual(finish(plan), { sessionId, told: new Set() });
  }
  const last = begin({ sessionId, sessionEpoch: -1, partitions: partitionsOf(2) });
  assert.deepEqual(finish(last), { sessionId: 0, told: undefined });
  assert.equal(sessions.size, 0);
  assert.equal(begin({ sessionId, sessionEpoch: 4 }), "FETCH_SESSION_ID_NOT_FOUND");
});

test("epoch 0 with the id of a session ends that one and opens another", () => {
  const { sessions, begin, finish, open } = setUp();
  const sessionId = open(3);
  const outcome = finish(begin({ sessionId, partitions: partitionsOf(5) }));
  assert.deepEqual(outcome, { sessionId: 2, told: undefined });
  assert.deepEqual([sessions.size, sessions.partitionCount], [1, 5]);
});

test("clients without sessions leave none behind", () => {
  const { sessions, begin, finish } = setUp();
  assert.deepEqual(finish(begin({ sessionEpoch: -1, partitions: partitionsOf(3) })), { sessionId: 0, told: undefined });
  assert.deepEqual(finish(begin({ partitions: [] })), { sessionId: 0, told: undefined }, "nothing to remember");
  assert.equal(sessions.size, 0);
});

test("a wrong epoch, an unknown id, and ids mixed with names are refused, and the session goes on", () => {
  const { begin, finish, open } = setUp();
  const sessionId = open(1);
  assert.equal(begin({ sessionId, sessionEpoch: 2 }), "INVALID_FETCH_SESSION_EPOCH");
  assert.equal(begin({ sessionId: 99, sessionEpoch: 1 }), "FETCH_SESSION_ID_NOT_FOUND");
  assert.equal(begin({ sessionId, sessionEpoch: 1, usesTopicIds: false }), "FETCH_SESSION_TOPIC_ID_ERROR");
  assert.deepEqual(finish(begin({ sessionId, sessionEpoch: 1 })), { sessionId, told: new Set() });
});

test("somebody else's session does not exist: it can be neither used nor ended", () => {
  const { sessions, begin, finish, open } = setUp();
  const sessionId = open(3);
  const owner = "mallory";
  assert.equal(begin({ sessionId, sessionEpoch: 1, owner }), "FETCH_SESSION_ID_NOT_FOUND");
  assert.equal(begin({ sessionId, sessionEpoch: 2, owner }), "FETCH_SESSION_ID_NOT_FOUND", "nor is its epoch told");
  finish(begin({ sessionId, sessionEpoch: 0, owner, partitions: partitionsOf(1) }));
  finish(begin({ sessionId, sessionEpoch: -1, owner, partitions: partitionsOf(1) }));
  assert.equal(sessions.partitionCount, 4);
  assert.deepEqual(finish(begin({ sessionId, sessionEpoch: 1 })), { sessionId, told: new Set() });
});

test("a fetch that waited while another went on with its session, or ended it, has lost it", () => {
  const { begin, finish, open } = setUp();
  const sessionId = open(1);
  const waiting = begin({ sessionId, sessionEpoch: 1 });
  const next = begin({ sessionId, sessionEpoch: 2 });
  assert.equal(finish(waiting), "INVALID_FETCH_SESSION_EPOCH");
  begin({ sessionId, sessionEpoch: -1 });
  assert.equal(finish(next), "FETCH_SESSION_ID_NOT_FOUND");
});

test("a session whose last partition is forgotten ends", () => {
  const { sessions, begin, finish, open } = setUp();
  const sessionId = open(2);
  const outcome = finish(begin({ sessionId, sessionEpoch: 1, forgotten: partitionsOf(2) }));
  assert.deepEqual(outcome, { sessionId: 0, told: undefined });
  assert.deepEqual([sessions.size, sessions.partitionCount], [0, 0]);
});

test("fetchSessionsMax: a new session takes the place of the idlest one, or is not opened", async () => {
  const { clock, sessions, begin, finish, open } = setUp({ fetchSessionsMax: 2, fetchSessionIdleMs: 1000 });
  const [first, second] = [open(3), open(3)];
  assert.equal(open(3), 0, "both are in use");
  await clock.advance(600);
  finish(begin({ sessionId: first, sessionEpoch: 1 }));
  await clock.advance(600);
  assert.ok(open(1) > 0);
  assert.equal(sessions.size, 2);
  assert.equal(begin({ sessionId: second, sessionEpoch: 1 }), "FETCH_SESSION_ID_NOT_FOUND");
  finish(begin({ sessionId: first, sessionEpoch: 2 }));
});

test("fetchSessionsMax: a larger session takes the place of a smaller one that has had its time", async () => {
  const { clock, begin, finish, open } = setUp({ fetchSessionsMax: 2, fetchSessionIdleMs: 1000 });
  const [small, large] = [open(2), open(5)];
  assert.equal(open(9), 0, "both are new");
  await clock.advance(900);
  for (const sessionId of [small, large]) finish(begin({ sessionId, sessionEpoch: 1 }));
  await clock.advance(900);
  assert.equal(open(2), 0, "not larger");
  const larger = open(3);
  assert.ok(larger > 0);
  assert.equal(begin({ sessionId: small, sessionEpoch: 2 }), "FETCH_SESSION_ID_NOT_FOUND");
  finish(begin({ sessionId: large, sessionEpoch: 2 }));
});

test("fetchSessionPartitionsMax: sessions that would hold more together are not opened, or end", () => {
  const { sessions, begin, open } = setUp({ fetchSessionPartitionsMax: 10 });
  assert.equal(open(11), 0);
  const sessionId = open(6);
  assert.equal(open(5), 0);
  assert.ok(open(4) > 0);
  assert.equal(sessions.partitionCount, 10);
  const same = begin({ sessionId, sessionEpoch: 1, partitions: partitionsOf(6) });
  assert.equal(typeof same === "string" ? same : same.asked.length, 6, "the same partitions take no room");
  const grown = begin({ sessionId, sessionEpoch: 2, partitions: partitionsOf(1, 6) });
  assert.equal(grown, "FETCH_SESSION_ID_NOT_FOUND");
  assert.equal(sessions.partitionCount, 4);
});
