import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import mqttPacket from "mqtt-packet";
import { WebSocket } from "ws";
import { StreamError } from "../../../../shared/errors.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { connectMqtt, inbox, startMqtt } from "../../../support/mqtt-listener.ts";
import { connectRaw, openRaw } from "../../../support/raw-mqtt.ts";
import { FakeIngest } from "../../../support/fake-ingest.ts";
import { tempDir } from "../../../support/temp-dir.ts";

for (const transport of ["tcpUrl", "webSocketUrl"] as const) {
  test(`${transport}: messages of QoS 0, 1 and 2 reach the sink and subscribers, once each`, async (t) => {
    const mqtt = await startMqtt(t, { directory: tempDir(t) });
    const subscriber = await connectMqtt(t, mqtt[transport], { clientId: "subscriber" });
    const received = inbox(subscriber);
    await subscriber.subscribeAsync("plant/#", { qos: 2 });
    const sensor = await connectMqtt(t, mqtt[transport], { clientId: "sensor" });

    for (const qos of [0, 1, 2] as const) await sensor.publishAsync(`plant/${qos}`, `value ${qos}`, { qos });

    await received.until(3);
    assert.deepEqual(received.texts(), ["value 0", "value 1", "value 2"]);
    assert.deepEqual(
      received.messages.map((message) => message.qos),
      [0, 1, 2],
    );
    const stored = mqtt.ingest.stored.map(({ clientId, topic, qos, text }) => ({ clientId, topic, qos, text }));
    assert.deepEqual(
      stored,
      [0, 1, 2].map((qos) => ({ clientId: "sensor", topic: `plant/${qos}`, qos, text: `value ${qos}` })),
    );
  });
}

test("PUBACK leaves only after the sink has answered", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  mqtt.ingest.isHeld = true;
  raw.send({ cmd: "publish", topic: "a", payload: "1", qos: 1, messageId: 7, dup: false, retain: false });
  raw.send({ cmd: "pingreq" });
  await mqtt.ingest.until(() => mqtt.ingest.heldCount === 1);

  assert.equal((await raw.next())?.cmd, "pingresp");
  mqtt.ingest.letThrough();
  assert.deepEqual(pick(await raw.next()), { cmd: "puback", messageId: 7 });
});

test("a message the sink refuses is not acknowledged, and the connection is closed", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  mqtt.ingest.failure = new StreamError("LOG_FULL", "full");
  for (const qos of [1, 2] as const) {
    const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
    raw.send({ cmd: "publish", topic: "a", payload: "1", qos, messageId: 7, dup: false, retain: false });
    assert.equal(await raw.next(), undefined);
  }
  assert.deepEqual(mqtt.ingest.stored, []);
});

test("what comes behind a refused message is not taken: it would be stored before it", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  for (const qos of [1, 2] as const) {
    const raw = await connectRaw(t, mqtt.bound.mqtt.port, `sensor-${qos}`);
    mqtt.ingest.refusedOnce = `${qos}/5`;
    const packets = Array.from({ length: 50 }, (_, index) => {
      const identity = { messageId: index + 1, dup: false, retain: false };
      return mqttPacket.generate({ cmd: "publish", topic: "a", payload: `${qos}/${index}`, qos, ...identity });
    });
    raw.socket.write(Buffer.concat(packets));
    await raw.closed;
  }
  const taken = [1, 2].flatMap((qos) => [0, 1, 2, 3, 4].map((index) => `${qos}/${index}`));
  assert.deepEqual(mqtt.ingest.texts(), taken);
});

test("while the sink is full nothing is read, and everything arrives when there is room", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  mqtt.ingest.fillUp();
  const text = (qos: number) => `at QoS ${qos}`;
  for (const qos of [0, 1] as const) {
    const identity = qos === 0 ? {} : { messageId: 1 };
    raw.send({ cmd: "publish", topic: "a", payload: text(qos), qos, dup: false, retain: false, ...identity });
  }
  await mqtt.ingest.until(() => mqtt.ingest.heldReads > 0);
  assert.deepEqual(mqtt.ingest.texts(), []);
  mqtt.ingest.makeRoom();
  assert.deepEqual(pick(await raw.next()), { cmd: "puback", messageId: 1 });
  assert.deepEqual(mqtt.ingest.texts(), [text(0), text(1)]);
});

test("closing does not wait for a sink that is full", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  mqtt.ingest.fillUp();
  raw.send({ cmd: "pingreq" });
  await mqtt.ingest.until(() => mqtt.ingest.heldReads > 0);
  await mqtt.close();
  await raw.closed;
});

test("a retained message reaches later subscribers, also after a restart, until an empty one removes it", async (t) => {
  const directory = tempDir(t);
  const first = await startMqtt(t, { directory });
  const sensor = await connectMqtt(t, first.tcpUrl);
  await sensor.publishAsync("state/door", "open", { qos: 1, retain: true });
  await sensor.publishAsync("state/lamp", "on", { qos: 0, retain: true });
  await sensor.publishAsync("state/gone", "x", { qos: 1, retain: true });
  await sensor.publishAsync("state/gone", "", { qos: 2, retain: true });
  await sensor.endAsync();
  await first.close();

  const second = await startMqtt(t, { directory });
  const subscriber = await connectMqtt(t, second.tcpUrl);
  const received = inbox(subscriber);
  await subscriber.subscribeAsync("state/+", { qos: 1 });
  await received.until(2);
  const retained = received.messages.map(({ topic, text, retain }) => ({ topic, text, retain }));
  assert.deepEqual(
    retained.toSorted((left, right) => left.topic.localeCompare(right.topic)),
    [
      { topic: "state/door", text: "open", retain: true },
      { topic: "state/lamp", text: "on", retain: true },
    ],
  );
});

test("a persistent session gets what came while it was offline, in order, after a restart of the listener", async (t) => {
  const directory = tempDir(t);
  const first = await startMqtt(t, { directory });
  const options = { clientId: "dashboard", clean: false } as const;
  const before = await connectMqtt(t, first.tcpUrl, options);
  await before.subscribeAsync("plant/+/temp", { qos: 2 });
  await before.endAsync();
  const sensor = await connectMqtt(t, first.tcpUrl);
  for (let index = 0; index < 40; index++) {
    await sensor.publishAsync("plant/1/temp", String(index), { qos: index % 2 === 0 ? 1 : 2 });
  }
  await sensor.endAsync();
  await first.close();

  const second = await startMqtt(t, { directory });
  const after = await connectMqttWithInbox(t, second.tcpUrl, options);
  await after.received.until(40);
  // The order is promised within a QoS level [MQTT-4.6.0-6].
  for (const qos of [1, 2]) {
    assert.deepEqual(
      after.received.messages.filter((message) => message.qos === qos).map((message) => message.text),
      Array.from({ length: 20 }, (_, index) => String(index * 2 + qos - 1)),
    );
  }
  assert.equal(after.sessionPresent, true);
  await after.client.publishAsync("plant/1/temp", "live", { qos: 1 });
  await after.received.until(41);
  await after.client.endAsync();
  await second.close();

  const third = await startMqtt(t, { directory });
  const last = await connectMqttWithInbox(t, third.tcpUrl, options);
  await last.client.publishAsync("plant/1/temp", "end", { qos: 1 });
  await last.received.until(1);
  assert.deepEqual(last.received.texts(), ["end"]);
});

test("a message that was sent and not acknowledged is sent again with DUP and the same identifier", async (t) => {
  const directory = tempDir(t);
  const first = await startMqtt(t, { directory });
  const raw = await connectRaw(t, first.bound.mqtt.port, "reader", { clean: false });
  raw.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 1 }] });
  assert.equal((await raw.next())?.cmd, "suback");
  const sensor = await connectMqtt(t, first.tcpUrl);
  await sensor.publishAsync("a", "1", { qos: 1 });
  const sent = await raw.next();
  assert.equal(sent?.cmd, "publish");
  raw.socket.destroy();
  await first.close();

  const second = await startMqtt(t, { directory });
  const again = await connectRaw(t, second.bound.mqtt.port, "reader", { clean: false });
  const repeated = await again.next();
  assert.ok(repeated?.cmd === "publish" && sent.cmd === "publish");
  assert.equal(repeated.messageId, sent.messageId);
  assert.equal(repeated.dup, true);
});

test("a QoS 2 message on its way out continues with PUBREL after a restart", async (t) => {
  const directory = tempDir(t);
  const first = await startMqtt(t, { directory });
  const raw = await connectRaw(t, first.bound.mqtt.port, "reader", { clean: false });
  raw.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 2 }] });
  assert.equal((await raw.next())?.cmd, "suback");
  const sensor = await connectMqtt(t, first.tcpUrl);
  await sensor.publishAsync("a", "1", { qos: 2 });
  const sent = await raw.next();
  assert.ok(sent?.cmd === "publish");
  raw.send({ cmd: "pubrec", messageId: sent.messageId! });
  assert.deepEqual(pick(await raw.next()), { cmd: "pubrel", messageId: sent.messageId });
  raw.socket.destroy();
  await first.close();

  const second = await startMqtt(t, { directory });
  const again = await connectRaw(t, second.bound.mqtt.port, "reader", { clean: false });
  assert.deepEqual(pick(await again.next()), { cmd: "pubrel", messageId: sent.messageId });
  again.send({ cmd: "pubcomp", messageId: sent.messageId! });
  again.send({ cmd: "pingreq" });
  assert.equal((await again.next())?.cmd, "pingresp");
});

test("a clean session ends the persistent one of the same client, its queue included", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const before = await connectMqtt(t, mqtt.tcpUrl, { clientId: "reader", clean: false });
  await before.subscribeAsync("a", { qos: 1 });
  await before.endAsync();
  const sensor = await connectMqtt(t, mqtt.tcpUrl);
  await sensor.publishAsync("a", "old", { qos: 1 });
  await (await connectMqtt(t, mqtt.tcpUrl, { clientId: "reader", clean: true })).endAsync();

  const after = await connectMqttWithInbox(t, mqtt.tcpUrl, { clientId: "reader", clean: false });
  assert.equal(after.sessionPresent, false);
  await after.client.subscribeAsync("a", { qos: 1 });
  await sensor.publishAsync("a", "new", { qos: 1 });
  await after.received.until(1);
  assert.deepEqual(after.received.texts(), ["new"]);
});

test("a client id taken over closes the older connection, and the newer one works", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const older = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  const newer = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  await older.closed;
  newer.send({ cmd: "publish", topic: "a", payload: "1", qos: 1, messageId: 1, dup: false, retain: false });
  assert.equal((await newer.next())?.cmd, "puback");
});

test("the will of a connection that breaks is stored and delivered; after DISCONNECT there is none", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const watcher = await connectMqtt(t, mqtt.tcpUrl);
  const received = inbox(watcher);
  await watcher.subscribeAsync("gone/+", { qos: 1 });
  const will = (clientId: string) => ({ topic: `gone/${clientId}`, payload: Buffer.from("x"), qos: 1, retain: false });
  const polite = await connectRaw(t, mqtt.bound.mqtt.port, "polite", { will: will("polite") as never });
  polite.send({ cmd: "disconnect" });
  await polite.closed;
  const broken = await connectRaw(t, mqtt.bound.mqtt.port, "broken", { will: will("broken") as never });
  broken.socket.resetAndDestroy();

  await received.until(1);
  assert.deepEqual(
    mqtt.ingest.stored.map(({ clientId, topic }) => ({ clientId, topic })),
    [{ clientId: "broken", topic: "gone/broken" }],
  );
});

test("the wills of clients connected when the agent was killed are published at the next start, once", async (t) => {
  const directory = tempDir(t);
  const first = await startMqtt(t, { directory });
  const will = { topic: "gone", payload: Buffer.from("x"), qos: 1, retain: true };
  await connectRaw(t, first.bound.mqtt.port, "sensor", { will: will as never });
  // As a kill leaves it: the database is as it is now, nothing is published.
  first.ingest.failure = new StreamError("CLOSING", "killed");
  first.log.failure = new StreamError("CLOSING", "killed");
  await first.close();

  const ingest = new FakeIngest();
  const second = await startMqtt(t, { directory, ingest });
  assert.deepEqual(
    ingest.stored.map(({ clientId, topic, qos, retain }) => ({ clientId, topic, qos, retain })),
    [{ clientId: "sensor", topic: "gone", qos: 1, retain: true }],
  );
  await second.close();
  const third = await startMqtt(t, { directory, ingest: new FakeIngest() });
  assert.deepEqual(third.ingest.stored, []);
  const watcher = await connectMqtt(t, third.tcpUrl);
  const received = inbox(watcher);
  await watcher.subscribeAsync("gone");
  await received.until(1);
});

test("a taken-over client's new will survives the end of its older connection", async (t) => {
  const directory = tempDir(t);
  const mqtt = await startMqtt(t, { directory });
  const will = (text: string) => ({ topic: "gone", payload: Buffer.from(text), qos: 1, retain: false }) as never;
  const older = await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { will: will("older") });
  await connectRaw(t, mqtt.bound.mqtt.port, "sensor", { will: will("newer") });
  await older.closed;
  await mqtt.ingest.until(() => mqtt.ingest.stored.length === 1);
  mqtt.ingest.failure = new StreamError("CLOSING", "killed");
  await mqtt.log.query({ extension: "mqtt", method: "wills", args: undefined });
  mqtt.log.failure = new StreamError("CLOSING", "killed");
  await mqtt.close();

  const next = await startMqtt(t, { directory, ingest: new FakeIngest() });
  assert.deepEqual(next.ingest.texts(), ["newer"]);
});

test("closing acknowledges what the sink has, then ends every connection", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  mqtt.ingest.isHeld = true;
  for (const qos of [1, 2] as const) {
    raw.send({ cmd: "publish", topic: "a", payload: "1", qos, messageId: qos, dup: false, retain: false });
  }
  await mqtt.ingest.until(() => mqtt.ingest.heldCount === 2);
  const closed = mqtt.close();
  mqtt.ingest.letThrough();

  const acks = [pick(await raw.next()), pick(await raw.next())];
  assert.deepEqual(
    acks.toSorted((left, right) => left.messageId! - right.messageId!),
    [
      { cmd: "puback", messageId: 1 },
      { cmd: "pubrec", messageId: 2 },
    ],
  );
  assert.equal(await raw.next(), undefined);
  await closed;
});

test("closing does not wait for a sink that never answers", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const mqtt = await startMqtt(t, { directory: tempDir(t), webSocket: undefined });
  const raw = await connectRaw(t, mqtt.bound.mqtt.port, "sensor");
  mqtt.ingest.isHeld = true;
  raw.send({ cmd: "publish", topic: "a", payload: "1", qos: 1, messageId: 1, dup: false, retain: false });
  await mqtt.ingest.until(() => mqtt.ingest.heldCount === 1);
  const closed = mqtt.close();
  let isClosed = false;
  void closed.then(() => (isClosed = true));
  while (!isClosed) {
    t.mock.timers.tick(1000);
    await new Promise(setImmediate);
  }
  assert.equal(await raw.next(), undefined);
});

test("a taken port is PORT_IN_USE", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const taken = { host: "127.0.0.1", port: mqtt.bound.mqtt.port };
  await assert.rejects(startMqtt(t, { directory: tempDir(t), tcp: taken }), { code: "PORT_IN_USE" });
  await assert.rejects(startMqtt(t, { directory: tempDir(t), webSocket: taken }), { code: "PORT_IN_USE" });
});

test("an address other than loopback needs authentication or isInsecure", async (t) => {
  const tcp = { host: "0.0.0.0", port: 0 };
  await assert.rejects(startMqtt(t, { directory: tempDir(t), tcp }), { code: "LISTENER_NOT_PROTECTED" });
  await startMqtt(t, { directory: tempDir(t), tcp, isInsecure: true });
  await startMqtt(t, { directory: tempDir(t), tcp, authenticate: () => true });
});

test("wrong credentials get CONNACK 5, and a client id is not taken over under another user name", async (t) => {
  const authenticate = ({ password }: { password: Buffer | undefined }) => password?.toString() === "right";
  const mqtt = await startMqtt(t, { directory: tempDir(t), authenticate });
  const port = mqtt.bound.mqtt.port;
  const credentials = (username: string, password: string) => ({ username, password: Buffer.from(password) });
  await assert.rejects(connectRaw(t, port, "sensor", credentials("one", "wrong")), /"returnCode":5/);
  const first = await connectRaw(t, port, "sensor", credentials("one", "right"));
  await assert.rejects(connectRaw(t, port, "sensor", credentials("two", "right")), /"returnCode":5/);
  await connectRaw(t, port, "sensor", credentials("one", "right"));
  await first.closed;
  assert.equal(mqtt.listener.stats().limits.credentials, 2);
});

test("a web page of an origin that is not allowed cannot connect", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t), allowedOrigins: ["http://dashboard.example"] });
  const open = async (origin: string): Promise<void> => {
    const webSocket = new WebSocket(mqtt.webSocketUrl, "mqtt", { headers: { origin } });
    onCleanUp(t, () => webSocket.terminate());
    await once(webSocket, "open");
  };
  await open("http://dashboard.example");
  await assert.rejects(open("http://elsewhere.example"), /403/);
});

test("a connection that says nothing does not keep the listener from closing", async (t) => {
  const mqtt = await startMqtt(t, { directory: tempDir(t) });
  const silent = [await openRaw(t, mqtt.bound.mqtt.port), await openRaw(t, mqtt.bound.webSocket!.port)];
  await mqtt.close();
  await Promise.all(silent.map((raw) => raw.closed));
});

function pick(packet: Awaited<ReturnType<Awaited<ReturnType<typeof openRaw>>["next"]>>) {
  return { cmd: packet?.cmd, messageId: packet?.messageId };
}

/** The inbox is there before the first queued message can arrive. */
async function connectMqttWithInbox(
  t: Parameters<typeof connectMqtt>[0],
  url: string,
  options: NonNullable<Parameters<typeof connectMqtt>[2]>,
) {
  const { connect } = await import("mqtt");
  const client = connect(url, { reconnectPeriod: 0, ...options });
  client.on("error", () => undefined);
  onCleanUp(t, () => client.endAsync(true));
  const received = inbox(client);
  const sessionPresent = await new Promise<boolean>((resolve) => {
    client.once("connect", (connack) => resolve(connack.sessionPresent));
  });
  return { client, received, sessionPresent };
}
