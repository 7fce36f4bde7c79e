import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { suite, test } from "node:test";
import { assignUniformly } from "../../../../../hub/group/consumer/uniform-assignor.ts";
import type { AssignableMember } from "../../../../../hub/group/consumer/assignor.ts";
import { contains, countOf, each, type PartitionSet } from "../../../../../hub/group/consumer/partitions.ts";
import { wholeRandom, type Random } from "./whole-random.ts";
import { partitionSet, show } from "./consumer-play.ts";

type Member = { readonly reads: string; readonly had?: string };

function assign(topics: Record<string, number>, members: Record<string, Member>): Record<string, string> {
  const result = assignUniformly({
    topics: new Map(Object.entries(topics).map(([name, partitionCount]) => [`id-${name}`, { partitionCount }])),
    members: Object.entries(members).map(([memberId, { reads, had = "" }]) => {
      const ids = reads.split(" ").map((topic) => `id-${topic}`);
      return { memberId, instanceId: null, subscribed: new Set(ids), target: partitionSet(had) };
    }),
  });
  return Object.fromEntries([...result].map(([memberId, set]) => [memberId, show(set)]));
}

suite("uniform", () => {
  test("a newcomer gets its share, and nothing else moves", () => {
    const dealt = assign(
      { t: 6 },
      { a: { reads: "t", had: "t 0 1 2" }, b: { reads: "t", had: "t 3 4 5" }, c: { reads: "t" } },
    );
    assert.deepEqual(dealt, { a: "t 0 1", b: "t 3 4", c: "t 2 5" });
  });

  test("what somebody had who is gone is spread over the others", () => {
    const dealt = assign({ t: 6 }, { a: { reads: "t", had: "t 0 1" }, b: { reads: "t", had: "t 4 5" } });
    assert.deepEqual(dealt, { a: "t 0 1 2", b: "t 3 4 5" });
  });

  test("nobody gives more than it would keep in the end", () => {
    const had = (text: string): Member => ({ reads: "t", had: `t ${text}` });
    const members = { a: had("0 1 2 3 4"), b: had("5 6 7 8 9"), c: had("10 11 12 13 14"), d: had("15") };
    const counts = Object.values(assign({ t: 16 }, members)).map((text) => text.split(" ").length - 1);
    assert.deepEqual(counts, [4, 4, 4, 4]);
  });

  test("partitions and topics that are gone, or that two claim, are dealt once or not at all", () => {
    const dealt = assign({ t: 2 }, { a: { reads: "t", had: "t 0 1 7" }, b: { reads: "t", had: "t 0 1, gone 3" } });
    assert.deepEqual(dealt, { a: "t 0", b: "t 1" });
  });

  test("who alone reads a topic has all of it, and less of the others", () => {
    const dealt = assign({ t: 2, u: 4 }, { a: { reads: "t u" }, b: { reads: "u" } });
    assert.deepEqual(dealt, { a: "t 0 1, u 2", b: "u 0 1 3" });
  });

  test("no members, no topics", () => {
    assert.deepEqual(assign({ t: 2 }, {}), {});
    assert.deepEqual(assign({}, { a: { reads: "t" } }), { a: "" });
  });
});

type History = { topics: Map<string, { partitionCount: number }>; members: AssignableMember[] };

/** Joins, leaves, other subscriptions, topics that come, grow and go; each step deals out what the last one left. */
function change({ topics, members }: History, random: Random): void {
  const topicIds = ["id-t", "id-u", "id-v"];
  const someTopics = (): Set<string> => new Set(random(3) === 0 ? topicIds.filter(() => random(2) === 0) : topicIds);
  const index = random(Math.max(1, members.length));
  const member = members[index];
  switch (random(5)) {
    case 0:
      topics.set(topicIds[random(3)] ?? "", { partitionCount: 1 + random(20) });
      break;
    case 1:
      topics.delete(topicIds[random(3)] ?? "");
      break;
    case 2:
      members.splice(index, 1);
      break;
    case 3:
      if (member !== undefined) members[index] = { ...member, subscribed: someTopics() };
      break;
    default:
      members.push({ memberId: `m${random(1e9)}`, instanceId: null, subscribed: someTopics(), target: new Map() });
  }
}

function checkDealt({ topics, members }: History, result: ReadonlyMap<string, PartitionSet>): void {
  const owner = new Map<string, string>();
  for (const { memberId, subscribed } of members) {
    for (const [topicId, partition] of each(result.get(memberId) ?? new Map<string, Set<number>>())) {
      const key = `${topicId} ${partition}`;
      assert.ok(!owner.has(key), `${key} is dealt once`);
      owner.set(key, memberId);
      assert.ok(subscribed.has(topicId) && partition < (topics.get(topicId)?.partitionCount ?? 0));
    }
  }
  for (const [topicId, { partitionCount }] of topics) {
    if (!members.some(({ subscribed }) => subscribed.has(topicId))) continue;
    for (let at = 0; at < partitionCount; at++) assert.ok(owner.has(`${topicId} ${at}`), `${topicId} ${at} is dealt`);
  }
  for (const giver of members) {
    const count = countOf(result.get(giver.memberId) ?? new Map<string, Set<number>>());
    for (const taker of members) {
      const less = countOf(result.get(taker.memberId) ?? new Map<string, Set<number>>());
      if (count - less < 2) continue;
      const movable = [...each(result.get(giver.memberId) ?? new Map())].some(([id]) => taker.subscribed.has(id));
      assert.ok(!movable, `${giver.memberId} has ${count} and ${taker.memberId} could take one to its ${less}`);
    }
  }
}

/** With equal subscriptions: as many stay as can, if the counts are to be within one of each other. */
function checkLittleMoves({ topics, members }: History, result: ReadonlyMap<string, PartitionSet>): void {
  const exists = ([id, at]: readonly [string, number]): boolean => at < (topics.get(id)?.partitionCount ?? 0);
  const had = members.map(({ target }) => [...each(target)].filter(exists).length).toSorted((a, b) => b - a);
  const total = [...topics.values()].reduce((sum, { partitionCount }) => sum + partitionCount, 0);
  const quota = (index: number): number =>
    Math.floor(total / members.length) + (index < total % members.length ? 1 : 0);
  const keepable = had.reduce((sum, count, index) => sum + Math.min(count, quota(index)), 0);
  const kept = members.reduce((sum, { memberId, target }) => {
    const now = result.get(memberId) ?? new Map<string, Set<number>>();
    return sum + [...each(target)].filter((place) => contains(now, ...place)).length;
  }, 0);
  assert.equal(kept, keepable);
}

test("whatever comes and goes: all is dealt once, to subscribers, level, and as little moves as can", (t) => {
  const seed = process.env["ASSIGNOR_SEED"] === undefined ? randomInt(2 ** 31) : Number(process.env["ASSIGNOR_SEED"]);
  t.diagnostic(`ASSIGNOR_SEED=${seed}`);
  const random = wholeRandom(seed);
  const history: History = { topics: new Map([["id-t", { partitionCount: 7 }]]), members: [] };
  for (let step = 0; step < 400; step++) {
    change(history, random);
    const result = assignUniformly(history);
    checkDealt(history, result);
    const isEqual = history.members.every(({ subscribed }) => subscribed.size === 3);
    if (isEqual && history.members.length > 0) checkLittleMoves(history, result);
    history.members = history.members.map((member) => ({
      ...member,
      target: result.get(member.memberId) ?? new Map<string, Set<number>>(),
    }));
  }
});

test("200 members and 10 000 partitions are dealt, and dealt again when one leaves, in well under a second", () => {
  const topics = new Map(Array.from({ length: 100 }, (_, index) => [`id-${index}`, { partitionCount: 100 }]));
  const subscribed = new Set(topics.keys());
  const members = Array.from({ length: 200 }, (_, index) => ({
    memberId: `m${index}`,
    instanceId: null,
    subscribed,
    target: new Map<string, Set<number>>() as PartitionSet,
  }));
  const first = assignUniformly({ topics, members });
  const left = members.slice(1).map((member) => ({ ...member, target: first.get(member.memberId) ?? new Map() }));
  const second = assignUniformly({ topics, members: left });
  const counts = new Set([...second.values()].map(countOf));
  assert.deepEqual(counts, new Set([51, 50]));
});
