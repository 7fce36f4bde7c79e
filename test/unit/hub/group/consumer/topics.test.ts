import assert from "node:assert/strict";
import { test } from "node:test";
import type { TopicInfo } from "../../../../../hub/engine/engine.ts";
import { TopicPatterns } from "../../../../../hub/group/consumer/topic-patterns.ts";
import { GroupTopics } from "../../../../../hub/group/consumer/topics.ts";

function open() {
  const topics = new Map<string, TopicInfo>();
  const put = (name: string, partitionCount: number, id = 1): void => {
    topics.set(name, { name, id: Buffer.alloc(16, id), partitionCount, config: {} });
  };
  const patterns = new TopicPatterns({ monotonicMs: () => 0, pause: async () => {} });
  return { topics, put, groupTopics: new GroupTopics(topics, patterns) };
}

test("the catalog is another one exactly when a topic comes, grows, goes, or is another topic", () => {
  const { topics, put, groupTopics } = open();
  const seen = new Set([groupTopics.catalog]);
  const changes: readonly (() => void)[] = [
    () => put("t", 1),
    () => put("t", 2),
    () => put("t", 2, 7),
    () => put("u", 2),
    () => {
      topics.delete("t");
      put("v", 1);
    },
    () => topics.clear(),
  ];
  for (const change of changes) {
    change();
    const { catalog } = groupTopics;
    assert.ok(!seen.has(catalog));
    seen.add(catalog);
    assert.equal(groupTopics.catalog, catalog, "nothing has changed");
  }
  assert.equal(groupTopics.catalog.size, 0);
});

test("another configuration is no other catalog", () => {
  const { topics, put, groupTopics } = open();
  put("t", 1);
  const { catalog } = groupTopics;
  const topic = topics.get("t");
  assert.ok(topic);
  topics.set("t", { ...topic, config: { "retention.ms": "1" } });
  assert.equal(groupTopics.catalog, catalog);
  assert.deepEqual(catalog.get("t"), { id: "01".repeat(16), partitionCount: 1 });
});

test("what expressions match is known at once the second time, and not in another world", async () => {
  const { put, groupTopics } = open();
  put("t", 1);
  const first = groupTopics.match(["t.*"]);
  assert.ok(first instanceof Promise);
  const matched = await first;
  assert.deepEqual(groupTopics.world(matched).matching("t.*"), ["t"]);
  assert.ok(!(groupTopics.match(["t.*"]) instanceof Promise));
  put("t2", 1);
  assert.equal(groupTopics.world(matched).matching("t.*"), undefined);
  assert.ok(!(groupTopics.match([]) instanceof Promise), "nothing to match");
});
