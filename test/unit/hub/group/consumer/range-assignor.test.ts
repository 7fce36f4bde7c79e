import assert from "node:assert/strict";
import { test } from "node:test";
import { assignRanges } from "../../../../../hub/group/consumer/range-assignor.ts";
import { noPartitions } from "../../../../../hub/group/consumer/partitions.ts";
import { show } from "./consumer-play.ts";

type Given = { readonly topics: Record<string, number>; readonly members: Record<string, string> };

/** Members as "name" or "name/instance", with the topics each reads. */
function assign({ topics, members }: Given): Record<string, string> {
  const result = assignRanges({
    topics: new Map(Object.entries(topics).map(([name, partitionCount]) => [`id-${name}`, { partitionCount }])),
    members: Object.entries(members).map(([name, subscribed]) => {
      const [memberId = "", instanceId = null] = name.split("/");
      const ids = subscribed.split(" ").map((topic) => `id-${topic}`);
      return { memberId, instanceId, subscribed: new Set(ids), target: noPartitions };
    }),
  });
  return Object.fromEntries([...result].map(([memberId, set]) => [memberId, show(set)]));
}

const rows: readonly (readonly [string, Given, Record<string, string>])[] = [
  [
    "neighbours, and the first have more",
    { topics: { t: 5 }, members: { a: "t", b: "t", c: "t" } },
    { a: "t 0 1", b: "t 2 3", c: "t 4" },
  ],
  ["more members than partitions", { topics: { t: 1 }, members: { b: "t", a: "t" } }, { b: "", a: "t 0" }],
  [
    "the same partitions of two topics go to the same member",
    { topics: { t: 3, u: 3 }, members: { a: "t u", b: "t u" } },
    { a: "t 0 1, u 0 1", b: "t 2, u 2" },
  ],
  [
    "each topic among its subscribers",
    { topics: { t: 2, u: 2 }, members: { a: "t", b: "t u" } },
    { a: "t 0", b: "t 1, u 0 1" },
  ],
  [
    "static members first, by instance id: their restarts move nothing",
    { topics: { t: 3 }, members: { a: "t", "z9/one": "t", "b/two": "t" } },
    { a: "t 2", z9: "t 0", b: "t 1" },
  ],
  ["a topic that does not exist", { topics: {}, members: { a: "t" } }, { a: "" }],
];
for (const [what, given, expected] of rows) {
  test(`range: ${what}`, () => assert.deepEqual(assign(given), expected));
}
