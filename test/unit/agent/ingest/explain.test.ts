import assert from "node:assert/strict";
import { test } from "node:test";
import { explain } from "../../../../agent/ingest/explain.ts";
import { compileRoutes } from "../../../../agent/ingest/route.ts";

const { routes } = compileRoutes([
  { match: "other/#", topic: "other" },
  { match: "s/{site}", topic: "readings", key: "{site}", headers: { unit: "c" }, durability: "os", priority: 3 },
]);

test("explain: everything that a route decides about a topic", () => {
  assert.deepEqual(explain(routes, "s/foobar"), {
    mqttTopic: "s/foobar",
    route: 1,
    match: "s/{site}",
    captures: { site: "foobar" },
    topic: "readings",
    key: "foobar",
    // Kafka: toPositive(murmur2("foobar")) % 4, with murmur2("foobar") = -790332482.
    partition: (-790332482 & 0x7fffffff) % 4,
    headers: { unit: "c" },
    durability: "os",
    acks: "all",
    catchUp: "in-order",
    overflow: "drop-oldest",
    priority: 3,
    partitions: 4,
  });
});

test("explain: a topic that no route takes, and one without a key", () => {
  const unrouted = explain(routes, "elsewhere");
  assert.deepEqual([unrouted.route, unrouted.match, unrouted.topic, unrouted.key], [null, null, "mqtt", "elsewhere"]);
  const keyless = explain(routes, "other/a");
  assert.deepEqual([keyless.route, keyless.key, keyless.partition], [0, null, null]);
});
