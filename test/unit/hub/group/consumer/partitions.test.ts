import assert from "node:assert/strict";
import { test } from "node:test";
import {
  contains,
  countOf,
  fromLists,
  intersects,
  isSamePartitions,
  isSubset,
  noPartitions,
  OwnedBuilder,
  split,
  toLists,
} from "../../../../../hub/group/consumer/partitions.ts";
import { partitionSet, show } from "./consumer-play.ts";

const owned = new OwnedBuilder();
owned.add("id-t", 0, 5);
owned.add("id-t", 1, 7);
owned.add("id-u", 0, 7);

test("sets are compared by their partitions, whatever the epochs", () => {
  assert.ok(isSamePartitions(owned.owned, partitionSet("t 0 1, u 0")));
  assert.ok(!isSamePartitions(owned.owned, partitionSet("t 0 1, u 1")));
  assert.ok(!isSamePartitions(owned.owned, partitionSet("t 0 1")));
  assert.ok(isSubset(partitionSet("t 1"), owned.owned));
  assert.ok(isSubset(noPartitions, owned.owned));
  assert.ok(!isSubset(partitionSet("t 1 2"), owned.owned));
  assert.ok(intersects(partitionSet("t 1 2"), owned.owned));
  assert.ok(!intersects(partitionSet("t 2, v 0"), owned.owned));
  assert.deepEqual([contains(owned.owned, "id-t", 1), contains(owned.owned, "id-v", 1)], [true, false]);
});

test("split keeps the epochs, and no topic without partitions", () => {
  const { kept, dropped } = split(owned.owned, (topicId, partition) => topicId === "id-t" && partition === 0);
  assert.deepEqual([show(kept), show(dropped), dropped.get("id-u")?.get(0)], ["t 0", "t 1, u 0", 7]);
  assert.equal(split(owned.owned, () => true).dropped.size, 0);
});

test("a builder does not touch what it starts from", () => {
  const more = new OwnedBuilder(owned.owned);
  more.add("id-t", 2, 9);
  assert.deepEqual([countOf(owned.owned), countOf(more.owned)], [3, 4]);
});

test("lists: in order; repetitions count once, and a topic without partitions is none", () => {
  const set = fromLists([
    { topicId: "id-t", partitions: [10, 2, 2] },
    { topicId: "id-t", partitions: [1] },
    { topicId: "id-u", partitions: [] },
  ]);
  assert.deepEqual(toLists(set), [{ topicId: "id-t", partitions: [1, 2, 10] }]);
});
