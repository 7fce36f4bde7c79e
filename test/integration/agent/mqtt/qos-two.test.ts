/** QoS 2 on the way in, with connections cut at every step of the handshake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { IPublishPacket } from "mqtt-packet";
import { StreamError } from "../../../../shared/errors.ts";
import { FakeIngest } from "../../../support/fake-ingest.ts";
import { connectMqtt, inbox, startMqtt } from "../../../support/mqtt-listener.ts";
import { connectRaw } from "../../../support/raw-mqtt.ts";
import { tempDir } from "../../../support/temp-dir.ts";

function publish(messageId: number, payload: string, dup = false): IPublishPacket {
  return { cmd: "publish", topic: "a", payload, qos: 2, messageId, dup, retain: false };
}

test("QoS 2: PUBLISH sent again before PUBREL is answered and neither stored nor delivered again", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const subscriber = await connectMqtt(t, mqtt.tcpUrl);
  const received = inbox(subscriber);
  await subscriber.subscribeAsync("a", { qos: 0 });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  for (const dup of [false, true, true]) {
    raw.send(publish(5, "once", dup));
    assert.equal((await raw.next())?.cmd, "pubrec");
  }
  raw.send({ cmd: "pubrel", messageId: 5 });
  assert.equal((await raw.next())?.cmd, "pubcomp");
  raw.send(publish(5, "next"));
  assert.equal((await raw.next())?.cmd, "pubrec");

  await received.until(2);
  assert.deepEqual(received.texts(), ["once", "next"]);
  assert.deepEqual(mqtt.ingest.texts(), ["once", "next"]);
});

test("QoS 2: a connection cut before PUBREC, then PUBLISH with DUP in the next one, stores and delivers once", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const subscriber = await connectMqtt(t, mqtt.tcpUrl);
  const received = inbox(subscriber);
  await subscriber.subscribeAsync("a", { qos: 0 });
  mqtt.ingest.isHeld = true;
  const first = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: false });
  first.send(publish(5, "once"));
  await mqtt.ingest.until(() => mqtt.ingest.heldCount === 1);
  first.socket.destroy();
  const second = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: false });
  second.send(publish(5, "once", true));
  await mqtt.ingest.until(() => mqtt.ingest.heldCount === 2);
  mqtt.ingest.letThrough();

  assert.equal((await second.next())?.cmd, "pubrec");
  second.send({ cmd: "pubrel", messageId: 5 });
  assert.equal((await second.next())?.cmd, "pubcomp");
  await subscriber.publishAsync("a", "end", { qos: 1 });
  await received.until(2);
  assert.deepEqual(received.texts(), ["once", "end"]);
  assert.deepEqual(mqtt.ingest.texts(), ["once", "end"]);
});

test("QoS 2: after a restart a stored identifier is a repeated one until it is released", async (t) => {
  const directory = tempDir(t);
  const ingest = new FakeIngest();
  const first = await startMqtt(t, { directory, ingest });
  const before = await connectRaw(t, first.bound.mqtt.port, "sensor", { clean: false });
  before.send(publish(5, "once"));
  assert.equal((await before.next())?.cmd, "pubrec");
  before.socket.destroy();
  await first.close();

  const second = await startMqtt(t, { directory, ingest });
  const subscriber = await connectMqtt(t, second.tcpUrl);
  const received = inbox(subscriber);
  await subscriber.subscribeAsync("a", { qos: 0 });
  const after = await connectRaw(t, second.bound.mqtt.port, "sensor", { clean: false });
  after.send(publish(5, "once", true));
  assert.equal((await after.next())?.cmd, "pubrec");
  after.send({ cmd: "pubrel", messageId: 5 });
  assert.equal((await after.next())?.cmd, "pubcomp");
  after.send(publish(5, "new"));
  assert.equal((await after.next())?.cmd, "pubrec");
  await received.until(1);
  assert.deepEqual(received.texts(), ["new"]);
  assert.deepEqual(ingest.texts(), ["once", "new"]);
});

test("QoS 2: PUBCOMP does not leave when the release is not durable", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: false });
  raw.send(publish(5, "once"));
  assert.equal((await raw.next())?.cmd, "pubrec");
  mqtt.ingest.releaseFailure = new StreamError("LOG_FULL", "full");
  raw.send({ cmd: "pubrel", messageId: 5 });
  assert.equal(await raw.next(), undefined);

  mqtt.ingest.releaseFailure = undefined;
  const again = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: false });
  again.send({ cmd: "pubrel", messageId: 5 });
  assert.equal((await again.next())?.cmd, "pubcomp");
  assert.deepEqual([...mqtt.ingest.ids()], []);
});

test("QoS 2: PUBREL for an unknown identifier gets PUBCOMP and costs no commit", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  raw.send({ cmd: "pubrel", messageId: 9 });
  assert.equal((await raw.next())?.cmd, "pubcomp");
  assert.equal(mqtt.ingest.releases, 0);
});

test("QoS 2: a clean session forgets the identifiers before its first PUBLISH, with a message still on its way", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const older = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: false });
  older.send(publish(1, "stored"));
  assert.equal((await older.next())?.cmd, "pubrec");
  mqtt.ingest.isHeld = true;
  older.send(publish(2, "on its way"));
  await mqtt.ingest.until(() => mqtt.ingest.heldCount === 1);

  const connecting = connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: true });
  await older.closed;
  mqtt.ingest.letThrough();
  const newer = await connecting;
  for (const messageId of [1, 2]) {
    newer.send(publish(messageId, `new ${messageId}`));
    assert.equal((await newer.next())?.cmd, "pubrec");
  }
  assert.deepEqual(mqtt.ingest.texts(), ["stored", "on its way", "new 1", "new 2"]);
});

test("QoS 2: a persistent session after a clean one starts with its own identifiers", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const clean = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: true });
  clean.send(publish(1, "clean"));
  assert.equal((await clean.next())?.cmd, "pubrec");
  const persistent = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { clean: false });
  persistent.send(publish(1, "persistent"));
  assert.equal((await persistent.next())?.cmd, "pubrec");
  persistent.send(publish(1, "persistent", true));
  assert.equal((await persistent.next())?.cmd, "pubrec");
  assert.deepEqual(mqtt.ingest.texts(), ["clean", "persistent"]);
});

test("QoS 2: whatever the step at which the connection is cut, each message is stored once", async (t) => {
  const seed = Number(process.env["TRIBUTARY_TEST_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`TRIBUTARY_TEST_SEED=${seed}`);
  const random = randomFrom(seed);
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const port = mqtt.bound.mqtt.port;
  const expected: string[] = [];
  for (let index = 1; index <= 60; index++) {
    const text = `value ${index}`;
    expected.push(text);
    let step: "publish" | "pubrel" | "done" = "publish";
    for (let isAgain = false; step !== "done"; isAgain = true) {
      const raw = await connectRaw(t, port, "sensor", { clean: false });
      if (step === "publish") {
        raw.send(publish(1 + (index % 3), text, isAgain));
        if (random() < 0.4) {
          raw.socket.end();
          await raw.closed;
          continue;
        }
        assert.equal((await raw.next())?.cmd, "pubrec");
        step = "pubrel";
      }
      if (random() < 0.3) {
        raw.socket.destroy();
        continue;
      }
      raw.send({ cmd: "pubrel", messageId: 1 + (index % 3) });
      if (random() < 0.3) {
        raw.socket.end();
        await raw.closed;
        continue;
      }
      assert.equal((await raw.next())?.cmd, "pubcomp");
      step = "done";
      raw.socket.destroy();
    }
  }
  assert.deepEqual(mqtt.ingest.texts(), expected);
});

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
