import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { routeMessage } from "../../../../bin/commands/route.ts";
import { runCommandLine } from "../../../../bin/program.ts";
import { compileRoutes } from "../../../../agent/ingest/route.ts";
import { fakeContext } from "../../../support/command.ts";

const demoConfig = fileURLToPath(new URL("../../../../bin/demo/agent.yaml", import.meta.url));

const message = (mqttTopic: string) => ({ mqttTopic, qos: "1", retain: false });

test("a message is shown with its route, key, partition and headers", () => {
  const { routes } = compileRoutes([
    { match: "plant/#", topic: "plant" },
    {
      match: "sensors/{site}/{device}/temp",
      topic: "readings",
      key: "{site}/{device}",
      headers: { site: "{site}" },
      partitions: 8,
    },
  ]);
  assert.deepEqual(routeMessage(routes, message("sensors/hall-a/d1/temp")), {
    mqttTopic: "sensors/hall-a/d1/temp",
    routeIndex: 1,
    match: "sensors/{site}/{device}/temp",
    captures: { site: "hall-a", device: "d1" },
    topic: "readings",
    key: "hall-a/d1",
    // What the default partitioner of KafkaJS says of this key and 8 partitions.
    partition: 5,
    partitionCount: 8,
    headers: { "mqtt.topic": "sensors/hall-a/d1/temp", "mqtt.qos": "1", "mqtt.retain": "false", site: "hall-a" },
    acks: "all",
    durability: "fsync",
    overflow: "drop-oldest",
    priority: 0,
  });
});

test("a route without a key takes the partitions in turn", () => {
  const { routes } = compileRoutes([{ match: "plant/#", topic: "plant" }]);
  const { key, partition, partitionCount } = routeMessage(routes, message("plant/a"));
  assert.deepEqual({ key, partition, partitionCount }, { key: null, partition: null, partitionCount: 4 });
});

test("what no route takes goes to the topic mqtt, keyed by its MQTT topic", () => {
  const { routeIndex, match, topic, key } = routeMessage([], message("a/b"));
  assert.deepEqual({ routeIndex, match, topic, key }, { routeIndex: null, match: null, topic: "mqtt", key: "a/b" });
});

test("the command reads the routes of a configuration file", async () => {
  const { context, out, err } = fakeContext();
  const args = ["route", "test", "sensors/yard/door-1/door", "--config", demoConfig, "--retain", "--qos", "2"];
  assert.equal(await runCommandLine(args, context), 0, err());
  assert.match(out(), /^topic +doors$/m);
  assert.match(out(), /^key +yard\/door-1$/m);
  assert.match(out(), /mqtt\.qos=2 {2}mqtt\.retain=true {2}site=yard/);
});
