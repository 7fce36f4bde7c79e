import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Route, RouteConfig } from "../../../../agent/ingest/route.ts";
import { compileRoutes, policyOf, resolveRoute, unroutedRoute } from "../../../../agent/ingest/route.ts";

function routes(...configs: RouteConfig[]): readonly Route[] {
  const compiled = compileRoutes(configs);
  assert.deepEqual(compiled.problems, []);
  return compiled.routes;
}

function problems(...configs: RouteConfig[]): string {
  return compileRoutes(configs).problems.join("\n");
}

test("route: topic, key and headers are filled in from the MQTT topic", () => {
  const to = resolveRoute(
    routes({
      match: "sensors/{site}/{device}/temp",
      topic: "readings.{site}",
      key: "{site}/{device}",
      headers: { unit: "celsius", source: "{topic}" },
    }),
    "sensors/berlin/d1/temp",
  );
  assert.equal(to.topic, "readings.berlin");
  assert.equal(to.key, "berlin/d1");
  assert.deepEqual(to.headers, [
    { name: "unit", value: "celsius" },
    { name: "source", value: "sensors/berlin/d1/temp" },
  ]);
});

test("route: the first that matches wins", () => {
  const both = routes({ match: "a/#", topic: "first" }, { match: "a/b", topic: "second" });
  assert.equal(resolveRoute(both, "a/b").topic, "first");
});

test("route: no key template -> no key", () => {
  assert.equal(resolveRoute(routes({ match: "#", topic: "all" }), "a").key, undefined);
});

test("route: what no route takes goes to mqtt, keyed by its topic, and also what begins with $", () => {
  for (const topic of ["a/b", "$other/x"]) {
    const to = resolveRoute(routes({ match: "+", topic: "one" }), topic);
    assert.equal(to.route, unroutedRoute);
    assert.equal(to.topic, "mqtt");
    assert.equal(to.key, topic);
  }
});

const names: readonly (readonly [site: string, topic: string])[] = [
  ["Köln", "K_ln"],
  ["a b+c", "a_b_c"],
  ["🏭", "_"],
  ["", "_"],
  [".", "_"],
  ["..", "__"],
  ["x".repeat(300), "x".repeat(249)],
];

for (const [site, topic] of names) {
  test(`route: the level "${site.slice(0, 12)}" as a topic name -> "${topic.slice(0, 12)}"`, () => {
    assert.equal(resolveRoute(routes({ match: "s/{site}", topic: "{site}" }), `s/${site}`).topic, topic);
  });
}

test("route: whatever devices publish, the topic name is one that Kafka allows", () => {
  const all = routes({ match: "a/{x}", topic: "{x}" }, { match: "{x}/{y}/#", topic: "t.{y}{x}" });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), (topic) => {
      const name = resolveRoute(all, topic).topic;
      assert.match(name, /^[A-Za-z0-9._-]{1,249}$/);
      assert.ok(name !== "." && name !== "..");
    }),
  );
});

const mistakes: readonly (readonly [config: RouteConfig, problem: RegExp])[] = [
  [{ match: "a/#/b", topic: "t" }, /^routes\[0\]\.match: .*# must be the last level/],
  [{ match: "a", topic: "" }, /^routes\[0\]\.topic: must not be empty/],
  [{ match: "a", topic: "a/b c" }, /^routes\[0\]\.topic: .*\/ {3}is not allowed in a topic name/],
  [{ match: "a", topic: ".." }, /^routes\[0\]\.topic: must not be "\.\."/],
  [{ match: "a", topic: "x".repeat(250) }, /^routes\[0\]\.topic: is longer than 249/],
  [{ match: "a/{b}", topic: "{c}" }, /^routes\[0\]\.topic: .*\{c\} is not in the topic filter/],
  [{ match: "a/{b}", topic: "t", key: "{c}" }, /^routes\[0\]\.key: .*\{c\} is not/],
  [{ match: "a/{b}", topic: "t", headers: { h: "{c}" } }, /^routes\[0\]\.headers\.h: .*\{c\} is not/],
  [{ match: "a", topic: "t", headers: { "mqtt.topic": "x" } }, /names that begin with mqtt\. are taken/],
  [{ match: "a", topic: "t", partitions: 0 }, /^routes\[0\]\.partitions: 0 is not/],
  [{ match: "a", topic: "t", partitions: 257 }, /whole number from 1 to 256/],
  [{ match: "a", topic: "t", priority: 1.5 }, /^routes\[0\]\.priority: 1\.5 is not/],
];

for (const [config, problem] of mistakes) {
  test(`route: ${JSON.stringify(config).slice(0, 70)} is refused: ${problem.source}`, () => {
    assert.match(problems(config), problem);
  });
}

test("route: the mistakes of all routes are named at once", () => {
  const found = problems({ match: "#/a", topic: "t" }, { match: "a", topic: "b", partitions: 0, priority: 0.5 });
  assert.equal(found.split("\n").length, 3);
});

test("route: two routes to one topic must agree on its policy", () => {
  const found = problems({ match: "a", topic: "t" }, { match: "b", topic: "t", acks: "none", priority: 3 });
  assert.match(found, /routes\[1\] and routes\[0\] both go to "t" but differ in acks, priority/);
  assert.equal(problems({ match: "a", topic: "t" }, { match: "b", topic: "t", durability: "os" }), "");
});

test("policy: the route that names the topic goes before one whose template could give it", () => {
  const all = routes(
    { match: "a/{x}", topic: "t.{x}", overflow: "block" },
    { match: "b", topic: "t.foo", overflow: "drop-newest" },
  );
  assert.equal(policyOf(all, "t.foo").overflow, "drop-newest");
  assert.equal(policyOf(all, "t.bar").overflow, "block");
});

test("policy: a topic that no route of today leads to has the defaults", () => {
  assert.deepEqual(policyOf([], "old"), {
    acks: "all",
    catchUp: "in-order",
    overflow: "drop-oldest",
    priority: 0,
    partitions: 4,
  });
});
