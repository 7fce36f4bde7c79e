/** Every limit that a client on loopback can reach, reached: what the client sees, the log line, and the counter. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import mqttPacket from "mqtt-packet";
import type { IConnectPacket } from "mqtt-packet";
import { pino } from "pino";
import { WebSocket } from "ws";
import type { LimitName } from "../../../../agent/mqtt/limits.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { inbox, startMqtt, connectMqtt } from "../../../support/mqtt-listener.ts";
import type { StartOptions } from "../../../support/mqtt-listener.ts";
import { connectPacket, connectRaw, openRaw } from "../../../support/raw-mqtt.ts";
import { tempDir } from "../../../support/temp-dir.ts";

type Line = { readonly code?: string; readonly limit?: string; readonly clientId?: string };

/** A listener whose limits' log lines the test reads. */
async function start(t: TestContext, options: Omit<StartOptions, "directory"> = {}) {
  const lines: Line[] = [];
  const logger = pino({ level: "warn" }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  const mqtt = await startMqtt(t, { directory: tempDir(t), logger, ...options });
  const port = mqtt.bound.mqtt.port;
  /** The limit was logged under its name and counted. */
  const assertReached = (limit: LimitName, count = 1): void => {
    const line = lines.find((each) => each.limit === limit);
    assert.equal(line?.code, "MQTT_LIMIT", `no line for ${limit}: ${JSON.stringify(lines)}`);
    assert.equal(mqtt.listener.stats().limits[limit], count);
  };
  return { ...mqtt, port, lines, assertReached };
}

const publish = (topic: string, bytes = 1, qos: 0 | 1 | 2 = 1, messageId = 1) =>
  ({ cmd: "publish", topic, payload: Buffer.alloc(bytes, 120), qos, messageId, dup: false, retain: false }) as const;

test("connectionsMax: one connection more is closed, and a place is free again after one has ended", async (t) => {
  const mqtt = await start(t, { limits: { connectionsMax: 2 } });
  const first = await connectRaw(t, mqtt.port, "1");
  await connectRaw(t, mqtt.port, "2");
  await (
    await openRaw(t, mqtt.port)
  ).closed;
  mqtt.assertReached("connectionsMax");
  first.socket.destroy();
  while (mqtt.listener.stats().connections > 1) await new Promise(setImmediate);
  await connectRaw(t, mqtt.port, "3");
});

test("connectTimeoutMs: a connection without a complete CONNECT is closed", async (t) => {
  const mqtt = await start(t, { limits: { connectTimeoutMs: 50 } });
  const silent = await openRaw(t, mqtt.port);
  const slow = await openRaw(t, mqtt.port);
  slow.socket.write(mqttPacket.generate(connectPacket("slow")).subarray(0, 9));
  await Promise.all([silent.closed, slow.closed]);
  mqtt.assertReached("connectTimeoutMs", 2);
});

suite("bytes that the guard stops", () => {
  const connectBytes = mqttPacket.generate(connectPacket("sensor"));
  const rows: readonly { limit: LimitName; bytes: Buffer; answer?: Buffer }[] = [
    { limit: "firstPacket", bytes: mqttPacket.generate(publish("a")) },
    { limit: "remainingLength", bytes: Buffer.of(0x10, 0x80, 0x80, 0x80, 0x80, 1) },
    { limit: "connectBytesMax", bytes: Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f, 0) },
    { limit: "packetBytesMax", bytes: Buffer.concat([connectBytes, Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f, 0)]) },
    {
      limit: "protocolVersion",
      bytes: mqttPacket.generate(connectPacket("sensor", { protocolVersion: 5 })),
      answer: Buffer.of(0x20, 3, 0, 0x84, 0),
    },
  ];
  for (const { limit, bytes, answer } of rows) {
    for (const transport of ["TCP", "WebSocket"]) {
      test(`${limit} over ${transport}: the connection is closed`, async (t) => {
        const mqtt = await start(t);
        const chunks: Buffer[] = [];
        if (transport === "TCP") {
          const { socket, closed } = await openRaw(t, mqtt.port);
          socket.on("data", (chunk: Buffer) => chunks.push(chunk));
          socket.write(bytes);
          await closed;
        } else {
          const webSocket = await openWebSocket(t, mqtt);
          webSocket.on("message", (data: Buffer) => chunks.push(data));
          // A byte a message: the boundaries of messages mean nothing.
          for (const byte of bytes) webSocket.send(Buffer.of(byte));
          await once(webSocket, "close");
        }
        mqtt.assertReached(limit);
        const received = Buffer.concat(chunks);
        if (answer !== undefined) assert.deepEqual(received, answer);
        // CONNACK at the most.
        else assert.ok(received.length === 0 || received[0] === 0x20);
      });
    }
  }

  async function openWebSocket(t: TestContext, mqtt: { webSocketUrl: string }) {
    const webSocket = new WebSocket(mqtt.webSocketUrl, "mqtt");
    onCleanUp(t, () => webSocket.terminate());
    await once(webSocket, "open");
    return webSocket;
  }
});

test("a WebSocket message larger than a packet may be is not collected", async (t) => {
  const mqtt = await start(t, { limits: { packetBytesMax: 1000 } });
  const webSocket = new WebSocket(mqtt.webSocketUrl, "mqtt");
  await once(webSocket, "open");
  webSocket.send(Buffer.alloc(1006));
  const [code] = (await once(webSocket, "close")) as [number];
  assert.equal(code, 1009);
});

test("malformedPacket: a CONNECT that is none ends the connection", async (t) => {
  const mqtt = await start(t);
  const raw = await openRaw(t, mqtt.port);
  raw.socket.write(Buffer.of(0x10, 4, 0, 9, 1, 2));
  await raw.closed;
  mqtt.assertReached("malformedPacket");
});

const will = (topic: string, bytes: number) =>
  ({ topic, payload: Buffer.alloc(bytes), qos: 1, retain: false }) as never;
const connects: readonly { name: string; limit: LimitName; connect: Partial<IConnectPacket>; returnCode?: number }[] = [
  { name: "a long client id", limit: "clientIdBytesMax", connect: { clientId: "x".repeat(65) }, returnCode: 2 },
  { name: "a client id with a space", limit: "clientIdCharacters", connect: { clientId: "a b" }, returnCode: 2 },
  { name: "no id, no clean session", limit: "emptyClientId", connect: { clientId: "", clean: false }, returnCode: 2 },
  { name: "a large will", limit: "willBytesMax", connect: { will: will("a", 4097) } },
  { name: "a will on a wildcard", limit: "topicName", connect: { will: will("a/+", 1) } },
  { name: "a will on $SYS", limit: "systemTopic", connect: { will: will("$SYS/x", 1) } },
  { name: "a will on a deep topic", limit: "topicLevelsMax", connect: { will: will("a/".repeat(16), 1) } },
  { name: "a will on a long topic", limit: "topicBytesMax", connect: { will: will("a".repeat(513), 1) } },
];
/** mqtt-packet's writer refuses to make one. */
const CONNECT_WITHOUT_ID = Buffer.from("100c00044d5154540400003c0000", "hex");

for (const { name, limit, connect, returnCode } of connects) {
  const outcome = returnCode === undefined ? "closed without CONNACK" : `CONNACK ${returnCode}`;
  test(`${limit}: CONNECT with ${name} -> ${outcome}`, async (t) => {
    const mqtt = await start(t, { limits: { connectBytesMax: 8192 } });
    const raw = await openRaw(t, mqtt.port);
    if (limit === "emptyClientId") raw.socket.write(CONNECT_WITHOUT_ID);
    else raw.send(connectPacket("sensor", connect));
    const answer = await raw.next();
    if (returnCode === undefined) assert.equal(answer, undefined);
    else assert.ok(answer?.cmd === "connack" && answer.returnCode === returnCode);
    await raw.closed;
    mqtt.assertReached(limit);
    assert.deepEqual(mqtt.ingest.stored, []);
  });
}

test("an empty client id with a clean session gets an id", async (t) => {
  const mqtt = await start(t);
  const raw = await connectRaw(t, mqtt.port, "");
  raw.send(publish("a"));
  assert.equal((await raw.next())?.cmd, "puback");
  assert.match(mqtt.ingest.stored[0]!.clientId, /^[A-Za-z0-9._:-]+$/);
});

const publishes: readonly { name: string; limit: LimitName; topic: string }[] = [
  { name: "a topic of 513 bytes", limit: "topicBytesMax", topic: "é".repeat(256) + "x" },
  { name: "17 levels", limit: "topicLevelsMax", topic: "a/".repeat(16) },
  { name: "$SYS", limit: "systemTopic", topic: "$SYS/broker/clients" },
  { name: "a wildcard", limit: "topicName", topic: "a/#" },
];
for (const { name, limit, topic } of publishes) {
  test(`${limit}: PUBLISH to ${name} is neither stored nor acknowledged`, async (t) => {
    const mqtt = await start(t);
    const raw = await connectRaw(t, mqtt.port, "sensor");
    // mqtt-packet's writer refuses wildcards, so the bytes of a topic of the same length are replaced.
    const bytes = mqttPacket.generate(publish(topic.replace("#", "x")));
    if (topic.includes("#")) bytes[bytes.indexOf("a/x") + 2] = 0x23;
    raw.socket.write(bytes);
    assert.equal(await raw.next(), undefined);
    mqtt.assertReached(limit);
    assert.deepEqual(mqtt.ingest.stored, []);
  });
}

test("a topic of exactly 512 bytes and one of 16 levels are stored", async (t) => {
  const mqtt = await start(t);
  const raw = await connectRaw(t, mqtt.port, "sensor");
  for (const topic of ["é".repeat(256), `${"a/".repeat(15)}a`]) {
    raw.send(publish(topic));
    assert.equal((await raw.next())?.cmd, "puback");
  }
});

test("subscriptionsMax: one more is refused with 0x80, and is not part of the session", async (t) => {
  const mqtt = await start(t, { limits: { subscriptionsMax: 2 } });
  const raw = await connectRaw(t, mqtt.port, "reader", { clean: false });
  const subscriptions = ["a", "b", "c"].map((topic) => ({ topic, qos: 1 as const }));
  raw.send({ cmd: "subscribe", messageId: 1, subscriptions });
  const answer = await raw.next();
  assert.ok(answer?.cmd === "suback");
  assert.deepEqual(answer.granted, [1, 1, 128]);
  mqtt.assertReached("subscriptionsMax");

  raw.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["a"] });
  assert.equal((await raw.next())?.cmd, "unsuback");
  raw.send({ cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "d", qos: 1 }] });
  const again = await raw.next();
  assert.ok(again?.cmd === "suback");
  assert.deepEqual(again.granted, [1]);
  raw.socket.destroy();
  const sensor = await connectMqtt(t, mqtt.tcpUrl);
  for (const topic of ["a", "b", "c", "d"]) await sensor.publishAsync(topic, topic, { qos: 1 });
  const back = await connectRaw(t, mqtt.port, "reader", { clean: false });
  const topics = [await back.next(), await back.next()].map((packet) => packet?.cmd === "publish" && packet.topic);
  assert.deepEqual(topics, ["b", "d"]);
});

test("wideSubscription: to everything and to $SYS only where it is allowed", async (t) => {
  const wide = ["#", "+/temp", "$SYS/#"];
  const subscribe = async (wideSubscriptions: "nobody" | "loopback" | "everybody") => {
    const mqtt = await start(t, { wideSubscriptions });
    const raw = await connectRaw(t, mqtt.port, "reader");
    raw.send({ cmd: "subscribe", messageId: 1, subscriptions: wide.map((topic) => ({ topic, qos: 0 as const })) });
    const answer = await raw.next();
    assert.ok(answer?.cmd === "suback");
    return { granted: answer.granted, mqtt };
  };
  const { granted, mqtt } = await subscribe("nobody");
  assert.deepEqual(granted, [128, 128, 128]);
  mqtt.assertReached("wideSubscription", 3);
  assert.deepEqual((await subscribe("loopback")).granted, [0, 0, 0]);
  assert.deepEqual((await subscribe("everybody")).granted, [0, 0, 0]);
});

test("incomingPacketsMax: a QoS 2 message more is not stored and ends the connection; it starts again from there", async (t) => {
  const mqtt = await start(t, { limits: { incomingPacketsMax: 2 } });
  const raw = await connectRaw(t, mqtt.port, "sensor", { clean: false });
  for (const messageId of [1, 2]) {
    raw.send(publish("a", 1, 2, messageId));
    assert.equal((await raw.next())?.cmd, "pubrec");
  }
  raw.send(publish("a", 1, 2, 3));
  assert.equal(await raw.next(), undefined);
  mqtt.assertReached("incomingPacketsMax");
  assert.equal(mqtt.ingest.stored.length, 2);

  const again = await connectRaw(t, mqtt.port, "sensor", { clean: false });
  again.send({ cmd: "pubrel", messageId: 1 });
  assert.equal((await again.next())?.cmd, "pubcomp");
  again.send(publish("a", 1, 2, 3));
  assert.equal((await again.next())?.cmd, "pubrec");
});

test("packetsBeforeConnackMax: a client that sends on before its CONNACK is cut off", async (t) => {
  const mqtt = await start(t, { limits: { packetsBeforeConnackMax: 10 } });
  const raw = await openRaw(t, mqtt.port);
  const ping = mqttPacket.generate({ cmd: "pingreq" });
  raw.socket.write(Buffer.concat([mqttPacket.generate(connectPacket("eager")), ...Array<Buffer>(11).fill(ping)]));
  await raw.closed;
  mqtt.assertReached("packetsBeforeConnackMax");
});

test("drainTimeoutMs: a subscriber that does not read is closed, and the publisher goes on", async (t) => {
  const mqtt = await start(t, { limits: { drainTimeoutMs: 50 } });
  const reader = await connectRaw(t, mqtt.port, "reader");
  reader.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 0 }] });
  assert.equal((await reader.next())?.cmd, "suback");
  reader.socket.pause();
  const sensor = await connectMqtt(t, mqtt.tcpUrl);
  const payload = Buffer.alloc(200_000);
  while (mqtt.listener.stats().connections > 1) await sensor.publishAsync("a", payload, { qos: 1 });
  mqtt.assertReached("drainTimeoutMs");
});

test("keepAlive: a client that is silent for one and a half periods is closed", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const mqtt = await start(t, { webSocket: undefined });
  const raw = await connectRaw(t, mqtt.port, "sensor", { keepalive: 1 });
  t.mock.timers.tick(1502);
  await raw.closed;
  mqtt.assertReached("keepAlive");
});

test("keep alive 0 is served on loopback", async (t) => {
  const mqtt = await start(t);
  await connectRaw(t, mqtt.port, "sensor", { keepalive: 0 });
});

test("retainedTopicsMax and retainedBytesMax: the message is stored and delivered, and not retained", async (t) => {
  const mqtt = await start(t, { limits: { retainedTopicsMax: 2, retainedBytesMax: 100 } });
  const sensor = await connectMqtt(t, mqtt.tcpUrl);
  const retain = (topic: string, bytes: number) =>
    sensor.publishAsync(topic, Buffer.alloc(bytes, 120), { qos: 2, retain: true });
  await retain("a", 10);
  await retain("b", 10);
  await retain("c", 10);
  mqtt.assertReached("retainedTopicsMax");
  await retain("b", 91);
  mqtt.assertReached("retainedBytesMax");
  assert.equal(mqtt.ingest.stored.length, 4);
  const reader = await connectMqtt(t, mqtt.tcpUrl);
  const received = inbox(reader);
  await reader.subscribeAsync("+");
  await received.until(1);
  await sensor.publishAsync("end", "");
  await received.until(2);
  // The value of b is no longer the one that was retained, so there is none.
  assert.deepEqual(
    received.messages.map((message) => message.topic),
    ["a", "end"],
  );
  assert.deepEqual(mqtt.listener.stats().retained, { topics: 1, bytes: 10 });
});

test("sessionsMax: a session more is refused, and clean sessions still get in", async (t) => {
  const mqtt = await start(t, { limits: { sessionsMax: 1 } });
  const first = await connectMqtt(t, mqtt.tcpUrl, { clientId: "1", clean: false });
  await first.subscribeAsync("a", { qos: 1 });
  const second = await connectRaw(t, mqtt.port, "2", { clean: false });
  second.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 1 }] });
  assert.equal(await second.next(), undefined);
  mqtt.assertReached("sessionsMax");
  const third = await connectMqtt(t, mqtt.tcpUrl, { clientId: "3" });
  await third.subscribeAsync("a", { qos: 1 });
});
