/** The bridge against a real mosquitto. Fails, and says why, where mosquitto is not installed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bridge } from "../../agent/mqtt/bridge.ts";
import type { BridgeOptions } from "../../agent/mqtt/bridge.ts";
import { systemClock } from "../../shared/clock.ts";
import { StreamError } from "../../shared/errors.ts";
import { silentLogger } from "../../shared/logger.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { FakeIngest } from "../support/fake-ingest.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { connectMqtt } from "../support/mqtt-listener.ts";
import { tempDir } from "../support/temp-dir.ts";

type After = Parameters<typeof connectMqtt>[0];

function startBridge(t: After, url: string, ingest: FakeIngest, options: Partial<BridgeOptions> = {}): Bridge {
  const bridge = new Bridge({
    url,
    topics: ["plant/#"],
    clientId: "tributary-bridge",
    sink: ingest,
    logger: silentLogger(),
    clock: systemClock,
    backOff: { minMs: 20, maxMs: 100 },
    ...options,
  });
  onCleanUp(t, () => bridge.close());
  bridge.start();
  return bridge;
}

/** Publishes until the bridge has it: from then on its subscription is there. */
async function subscribed(t: After, url: string, ingest: FakeIngest) {
  const sensor = await connectMqtt(t, url);
  while (ingest.stored.length === 0) await sensor.publishAsync("plant/probe", "probe", { qos: 1 });
  return sensor;
}

test("bridge: a message is acknowledged after it is stored, and a refused one comes again", async (t) => {
  const mosquitto = await startMosquitto(t, tempDir(t));
  const ingest = new FakeIngest();
  const bridge = startBridge(t, mosquitto.url, ingest);
  const sensor = await subscribed(t, mosquitto.url, ingest);

  ingest.failure = new StreamError("LOG_FULL", "full");
  await sensor.publishAsync("plant/1", "precious", { qos: 1 });
  await ingest.until(() => bridge.stats().refused >= 2);
  ingest.failure = undefined;
  await ingest.until(() => ingest.texts().includes("precious"));
  assert.equal(ingest.texts().filter((text) => text === "precious").length, 1);
});

test("bridge: what comes behind a refused message is not stored before it", async (t) => {
  const mosquitto = await startMosquitto(t, tempDir(t));
  const ingest = new FakeIngest();
  startBridge(t, mosquitto.url, ingest);
  const sensor = await subscribed(t, mosquitto.url, ingest);
  const texts = Array.from({ length: 50 }, (_, index) => `in-order-${index}`);
  ingest.refusedOnce = "in-order-5";
  await Promise.all(texts.map((text) => sensor.publishAsync("plant/1", text, { qos: 1 })));
  await ingest.until(() => texts.every((text) => ingest.texts().includes(text)));
  assert.deepEqual([...new Set(ingest.texts().filter((text) => text.startsWith("in-order-")))], texts);
});

test("bridge: many messages are in flight at once, and none is lost or doubled", async (t) => {
  const mosquitto = await startMosquitto(t, tempDir(t));
  const ingest = new FakeIngest();
  const bridge = startBridge(t, mosquitto.url, ingest);
  const sensor = await subscribed(t, mosquitto.url, ingest);
  const probes = ingest.stored.length;

  ingest.isHeld = true;
  const values = Array.from({ length: 60 }, (_, index) => `value ${index}`);
  await Promise.all(values.map((value) => sensor.publishAsync("plant/1", value, { qos: 1 })));
  // mosquitto sends up to 20 messages without an acknowledgement (max_inflight_messages).
  await ingest.until(() => ingest.heldCount >= 20);
  assert.equal(bridge.stats().acknowledged <= probes, true);
  ingest.letThrough();
  await ingest.until(() => ingest.texts().includes("value 59"));
  assert.deepEqual(
    ingest.texts().filter((text) => text.startsWith("value")),
    values,
  );
});

test("bridge: what the broker got while the bridge was away arrives after its restart", async (t) => {
  const mosquitto = await startMosquitto(t, tempDir(t));
  const ingest = new FakeIngest();
  const first = startBridge(t, mosquitto.url, ingest);
  const sensor = await subscribed(t, mosquitto.url, ingest);
  await first.close();
  await sensor.publishAsync("plant/1", "meanwhile", { qos: 1 });

  startBridge(t, mosquitto.url, ingest);
  await ingest.until(() => ingest.texts().includes("meanwhile"));
});

test("bridge: it connects again after the broker was away, with its session", async (t) => {
  const directory = tempDir(t);
  const ingest = new FakeIngest();
  const first = await startMosquitto(t, directory);
  const bridge = startBridge(t, first.url, ingest);
  await subscribed(t, first.url, ingest);
  await first.stop();

  const second = await startMosquitto(t, directory, { port: first.port });
  const sensor = await connectMqtt(t, second.url);
  while (!ingest.texts().includes("back")) await sensor.publishAsync("plant/1", "back", { qos: 1 });
  assert.equal(bridge.stats().connects, 2);
});

test("bridge: retained messages come once, marked as such", async (t) => {
  const mosquitto = await startMosquitto(t, tempDir(t));
  const sensor = await connectMqtt(t, mosquitto.url);
  await sensor.publishAsync("plant/state", "on", { qos: 1, retain: true });
  const ingest = new FakeIngest();
  startBridge(t, mosquitto.url, ingest);
  await ingest.until(() => ingest.stored.length >= 1);
  assert.deepEqual(
    ingest.stored.map(({ topic, retain, text }) => ({ topic, retain, text })),
    [{ topic: "plant/state", retain: true, text: "on" }],
  );
  await sensor.publishAsync("plant/state", "off", { qos: 1, retain: true });
  await ingest.until(() => ingest.stored.length >= 2);
  assert.equal(ingest.stored[1]?.retain, false);
});

test("bridge: user name and password", async (t) => {
  const user = { name: "edge", password: "secret" };
  const mosquitto = await startMosquitto(t, tempDir(t), { user });
  const ingest = new FakeIngest();
  startBridge(t, mosquitto.url, ingest, { username: user.name, password: user.password });
  const sensor = await connectMqtt(t, mosquitto.url, { username: user.name, password: user.password });
  while (ingest.stored.length === 0) await sensor.publishAsync("plant/1", "x", { qos: 1 });
});
