import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalFilters } from "../../../../agent/mqtt/local-filters.ts";

const rows: readonly { filter: string; heard: readonly string[]; unheard: readonly string[] }[] = [
  { filter: "a/b", heard: ["a/b"], unheard: ["a", "a/b/c", "a/c", "/a/b", "A/b"] },
  { filter: "a/+", heard: ["a/b", "a/"], unheard: ["a", "a/b/c", "b/a"] },
  { filter: "a/+/c", heard: ["a/b/c", "a//c"], unheard: ["a/c", "a/b/c/d", "a/b"] },
  { filter: "a/#", heard: ["a", "a/b", "a/b/c"], unheard: ["ab", "b/a"] },
  { filter: "#", heard: ["a", "/", "a/b"], unheard: [] },
  { filter: "+", heard: ["a"], unheard: ["a/b", "/"] },
];

for (const { filter, heard, unheard } of rows) {
  test(`local filters: who hears ${filter}`, () => {
    const filters = new LocalFilters();
    filters.add("other");
    filters.add(filter);
    for (const topic of heard) assert.ok(filters.matches(topic), topic);
    for (const topic of unheard) assert.ok(!filters.matches(topic), topic);
  });
}

test("local filters: one of several that come and go counts until the last one of it is gone", () => {
  const filters = new LocalFilters();
  assert.ok(!filters.matches("a"));
  filters.add("a");
  filters.add("a");
  assert.ok(filters.matches("a"));
  filters.remove("a");
  filters.remove("never there");
  assert.ok(filters.matches("a"));
  filters.remove("a");
  assert.ok(!filters.matches("a"));
});

test("local filters: a filter that comes is heard by topics that were asked for before", () => {
  const filters = new LocalFilters();
  filters.add("b");
  for (let index = 0; index < 5000; index++) assert.ok(!filters.matches(`a/${index}`));
  filters.add("a/+");
  for (let index = 0; index < 5000; index++) assert.ok(filters.matches(`a/${index}`));
});
