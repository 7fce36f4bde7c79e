import assert from "node:assert/strict";
import { test } from "node:test";
import { compileRoutes, resolveRoute } from "../../../../agent/ingest/route.ts";
import { TOPICS_MAX, TopicDirectory } from "../../../../agent/ingest/topic-lanes.ts";
import type { TopicLanes } from "../../../../agent/ingest/topic-lanes.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { ManualLog } from "./manual-log.ts";

const { routes } = compileRoutes([{ match: "s/{x}", topic: "t.{x}", partitions: 2, overflow: "block" }]);

function directory(log: ManualLog, partitionCountOf: (topic: string) => number | undefined = () => undefined) {
  const made: [topic: TopicLanes, error: StreamError | undefined][] = [];
  const topics = new TopicDirectory({
    log: log.asLog,
    routes,
    partitionCountOf,
    onMade: (topic, error) => made.push([topic, error]),
  });
  const lanesOf = (mqttTopic: string): TopicLanes => topics.lanesOf(resolveRoute(routes, mqttTopic));
  return { topics, lanesOf, made, turn: () => new Promise((resolve) => setImmediate(resolve)) };
}

test("topic lanes: a topic of the log has a lane a partition at once; every look-up gives the same one", async () => {
  const log = new ManualLog();
  await log.createTopic({ name: "t.a", partitionCount: 3 });
  const { lanesOf } = directory(log);
  assert.equal(lanesOf("s/a").lanes.length, 3);
  assert.equal(lanesOf("s/a"), lanesOf("s/a"));
  assert.equal(lanesOf("s/a").policy.overflow, "block");
});

test("topic lanes: a key's hash picks the lane, without one they take turns", async () => {
  const log = new ManualLog();
  await log.createTopic({ name: "t.a", partitionCount: 3 });
  const topic = directory(log).lanesOf("s/a");
  const index = (keyHash: number | undefined): number => topic.lane(keyHash).partition.partition;
  assert.deepEqual([index(7), index(7)], [1, 1]);
  assert.deepEqual([index(undefined), index(undefined), index(undefined), index(undefined)], [0, 1, 2, 0]);
});

test("topic lanes: a new topic is made once, with the hub's count before the route's", async () => {
  const log = new ManualLog();
  const { topics, lanesOf, made, turn } = directory(log, (topic) => (topic === "t.b" ? 7 : undefined));
  for (const name of ["s/a", "s/b"]) {
    topics.make(lanesOf(name));
    topics.make(lanesOf(name));
  }
  await turn();
  assert.deepEqual(
    made.map(([topic, error]) => [topic.name, topic.lanes.length, error]),
    [
      ["t.a", 2, undefined],
      ["t.b", 7, undefined],
    ],
  );
});

test("topic lanes: a topic that could not be made can be tried again", async () => {
  const log = new ManualLog();
  const { topics, lanesOf, made, turn } = directory(log);
  log.createFailure = new StreamError("LOG_FULL", "disk");
  topics.make(lanesOf("s/a"));
  await turn();
  assert.equal(made[0]?.[1]?.code, "LOG_FULL");
  log.createFailure = undefined;
  topics.make(lanesOf("s/a"));
  await turn();
  assert.equal(lanesOf("s/a").lanes.length, 2);
});

test("topic lanes: a topic that is being made gets its lanes only together with the news", async () => {
  const log = new ManualLog();
  const { topics, lanesOf, turn } = directory(log);
  const topic = lanesOf("s/a");
  log.createGate = turn().then(() => undefined);
  topics.make(topic);
  // Somebody else made it, and a commit on it is announced before our own request has ended.
  log.topics.set("t.a", { name: "t.a", id: Buffer.alloc(16), partitions: [], config: {} });
  await log.createPartitions("t.a", 2);
  topics.refresh([log.partition("t.a", 0)]);
  assert.equal(topic.lanes.length, 0);
  await turn();
  await turn();
  assert.equal(topic.lanes.length, 2);
});

test("topic lanes: beyond the limit of topics, new names lead to mqtt, known ones do not", async () => {
  const log = new ManualLog();
  await log.createTopic({ name: "t.known", partitionCount: 1 });
  for (let i = 1; i < TOPICS_MAX; i++) await log.createTopic({ name: `x${i}`, partitionCount: 1 });
  const { lanesOf } = directory(log);
  assert.equal(lanesOf("s/new").name, "mqtt");
  assert.equal(lanesOf("s/known").name, "t.known");
});
