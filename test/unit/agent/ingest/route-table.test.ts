import assert from "node:assert/strict";
import { test } from "node:test";
import { RouteTable, ROUTE_CACHE_TOPICS_MAX } from "../../../../agent/ingest/route-table.ts";
import { compileRoutes } from "../../../../agent/ingest/route.ts";
import { encodeHeaders } from "../../../../shared/batch/batch-builder.ts";
import { positiveHash } from "../../../../shared/batch/partitioner.ts";

const { routes } = compileRoutes([{ match: "s/{site}", topic: "t", key: "{site}", headers: { unit: "c" } }]);

function table(): { table: RouteTable<string>; asked: string[] } {
  const asked: string[] = [];
  const targetOf = (to: { topic: string }): string => {
    asked.push(to.topic);
    return to.topic;
  };
  return { table: new RouteTable(routes, targetOf), asked };
}

test("route table: a topic is resolved once", () => {
  const { table: routed, asked } = table();
  assert.equal(routed.lookup("s/a"), routed.lookup("s/a"));
  assert.deepEqual(asked, ["t"]);
});

test("route table: the key comes as bytes with Kafka's hash", () => {
  const { keyBytes, keyHash } = table().table.lookup("s/berlin");
  assert.equal(keyBytes?.toString(), "berlin");
  assert.equal(keyHash, positiveHash(Buffer.from("berlin")));
});

test("route table: the origin headers carry topic, QoS and retain flag, then come the route's own", () => {
  const headers = table().table.lookup("s/a").headers(2, true);
  const expected = { "mqtt.topic": "s/a", "mqtt.qos": "2", "mqtt.retain": "true", unit: "c" };
  assert.deepEqual(
    headers,
    encodeHeaders(Object.entries(expected).map(([key, value]) => ({ key, value: Buffer.from(value) }))),
  );
});

test("route table: each QoS and retain flag has headers of its own, encoded once", () => {
  const routed = table().table.lookup("s/a");
  const variants = [0, 1, 2].flatMap((qos) => [false, true].map((retain) => routed.headers(qos as 0 | 1 | 2, retain)));
  assert.equal(new Set(variants.map(({ bytes }) => Buffer.from(bytes).toString("hex"))).size, 6);
  assert.equal(routed.headers(1, false), routed.headers(1, false));
});

test("route table: at its limit of topics it is emptied and goes on", () => {
  const { table: routed } = table();
  for (let i = 0; i < ROUTE_CACHE_TOPICS_MAX; i++) routed.lookup(`s/${i}`);
  assert.equal(routed.size, ROUTE_CACHE_TOPICS_MAX);
  routed.lookup("s/more");
  assert.equal(routed.size, 1);
});

test("route table: long topics fill it before their number does", () => {
  const { table: routed } = table();
  const long = "x".repeat(60_000);
  for (let i = 0; i < 100; i++) routed.lookup(`u/${i}/${long}`);
  assert.ok(routed.size < 20, `${routed.size} topics of 60 kB`);
});
