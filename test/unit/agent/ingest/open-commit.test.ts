import assert from "node:assert/strict";
import { test } from "node:test";
import { BuilderPool, OpenCommit } from "../../../../agent/ingest/open-commit.ts";
import { RouteTable } from "../../../../agent/ingest/route-table.ts";
import { unroutedRoute } from "../../../../agent/ingest/route.ts";
import { TopicLanes } from "../../../../agent/ingest/topic-lanes.ts";
import type { Lane } from "../../../../agent/ingest/topic-lanes.ts";
import { BatchBuilder } from "../../../../shared/batch/batch-builder.ts";

function lanes(count: number, priority = 0): Lane[] {
  const topic = new TopicLanes("mqtt", { ...unroutedRoute.policy, priority });
  return Array.from({ length: count }, (_, partition) => ({
    topic,
    partition: { id: partition, topic: "mqtt", partition, logStartOffset: 0, logEndOffset: 0, bytes: 0 },
    builder: undefined,
  }));
}

const routed = new RouteTable([], () => new TopicLanes("mqtt", unroutedRoute.policy)).lookup("a");

function message(payload: string) {
  const what = { clientId: "c", topic: "a", qos: 1, retain: false, dup: false, messageId: 1 } as const;
  return { ...what, payload: Buffer.from(payload) };
}

test("open commit: one batch a partition, its lanes are free again after it is closed", () => {
  const commit = new OpenCommit(1, new BuilderPool());
  const [first, second] = lanes(2) as [Lane, Lane];
  const bytes = [first, second, first].map((lane) => commit.add(lane, routed, message("x"), 1));
  const appends = commit.close();
  assert.deepEqual(
    appends.map(({ partition, records }) => [partition.partition, records.recordCount]),
    [
      [0, 2],
      [1, 1],
    ],
  );
  assert.equal(commit.bytes, bytes[0]! + bytes[1]! + bytes[2]!);
  assert.equal(first.builder, undefined);
});

test("open commit: a batch that is large enough is closed and another begun, in order", () => {
  const commit = new OpenCommit(1, new BuilderPool());
  const [lane] = lanes(1) as [Lane];
  for (const size of [700_000, 700_000, 10]) commit.add(lane, routed, message("x".repeat(size)), 1);
  assert.deepEqual(
    commit.close().map(({ records }) => records.recordCount),
    [2, 1],
  );
});

test("open commit: it takes over everything of another one", () => {
  const pool = new BuilderPool();
  const one = new OpenCommit(1, pool);
  const two = new OpenCommit(2, pool);
  const order: string[] = [];
  one.add(lanes(1)[0]!, routed, message("x"), 1);
  const [{ partition }] = lanes(1) as [Lane];
  one.addUnanswered(partition);
  one.drops.add(partition, "overload");
  one.dones.push(() => order.push("one"));
  const bytes = two.add(lanes(1, 5)[0]!, routed, message("y"), 1);
  two.addUnanswered(partition);
  two.drops.add(partition, "overload", { records: 2 });
  two.dones.push(() => order.push("two"));
  two.packets.push(["c", 1]);
  two.durability = "fsync";
  const before = one.bytes;
  one.absorb(two);
  for (const done of one.dones) done();
  assert.deepEqual(order, ["one", "two"]);
  assert.deepEqual(
    [one.numbers, one.bytes, one.recordCount, one.priority, one.durability, one.packets],
    [[1, 2], before + bytes, 2, 5, "fsync", [["c", 1]]],
  );
  assert.deepEqual([...one.unanswered], [[partition, 2]]);
  assert.deepEqual(
    one.drops.list().map(({ reason, records }) => [reason, records]),
    [["overload", 3]],
  );
  assert.equal(one.close().length, 2);
});

test("open commit: a closed batch keeps its bytes while more are gathered", () => {
  const commit = new OpenCommit(1, new BuilderPool());
  const [lane] = lanes(1) as [Lane];
  commit.add(lane, routed, message("a".repeat(1_100_000)), 1);
  commit.add(lane, routed, message("b".repeat(1_100_000)), 1);
  const texts = commit.close().map(({ records }) => Buffer.from(records.buffer, 0, records.bytes).toString("latin1"));
  assert.equal(texts.length, 2);
  assert.ok(!texts[0]?.includes("bbb") && !texts[1]?.includes("aaa"));
});

test("builder pool: builders go round, but not those that a burst has made large, and not without end", () => {
  const pool = new BuilderPool();
  const [kept, large] = [new BatchBuilder(), new BatchBuilder()];
  pool.give(kept, 256 * 1024);
  pool.give(large, 256 * 1024 + 1);
  assert.equal(pool.take(), kept);
  assert.notEqual(pool.take(), large);
  const builders = Array.from({ length: 17 }, () => new BatchBuilder());
  for (const builder of builders) pool.give(builder, 0);
  const taken = new Set(Array.from({ length: 17 }, () => pool.take()));
  assert.equal(builders.filter((builder) => taken.has(builder)).length, 16);
});
