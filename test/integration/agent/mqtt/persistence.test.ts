/** What the abstract suite does not ask of a persistence: its bounds, its costs, and what a restart finds. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { IncomingWindow } from "../../../../agent/mqtt/incoming-window.ts";
import { LimitLog } from "../../../../agent/mqtt/limit-log.ts";
import { mqttLimitDefaults } from "../../../../agent/mqtt/limits.ts";
import type { MqttLimits } from "../../../../agent/mqtt/limits.ts";
import { SessionPersistence } from "../../../../agent/mqtt/persistence.ts";
import type { SessionClient, SessionPacket } from "../../../../agent/mqtt/session-packets.ts";
import { sessionExtension } from "../../../../agent/mqtt/session-tables.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { FakeIngest } from "../../../support/fake-ingest.ts";
import { tempDir } from "../../../support/temp-dir.ts";

async function open(t: TestContext, options: { directory?: string; limits?: Partial<MqttLimits> } = {}) {
  const limits = { ...mqttLimitDefaults, ...options.limits };
  const logger = silentLogger();
  const log = new DirectExtensionLog(path.join(options.directory ?? tempDir(t), "mqtt.db"), [sessionExtension]);
  onCleanUp(t, () => log.close());
  const limitLog = new LimitLog(limits, logger, systemClock);
  const incoming = new FakeIngest();
  const window = new IncomingWindow(incoming, limits.incomingPacketsMax, limitLog);
  const persistence = new SessionPersistence({ log, window, limits, limitLog, logger });
  const clients: Record<string, SessionClient> = {};
  await persistence.setup({ id: "broker", clients });
  return { persistence, log, limitLog, clients, window };
}

let counter = 0;
function message(text: string, qos: 0 | 1 | 2 = 1): SessionPacket {
  return { cmd: "publish", topic: "a", payload: Buffer.from(text), qos, brokerId: "broker", brokerCounter: ++counter };
}

const reader = { id: "reader" };
const toReader = { clientId: "reader", qos: 2 } as const;

async function queued(persistence: SessionPersistence): Promise<string[]> {
  const packets = (await persistence.outgoingStream(reader).toArray()) as SessionPacket[];
  return packets.map((packet) => String(packet.payload));
}

test("a message without a matching session costs nothing in the log", async (t) => {
  const { persistence, log } = await open(t);
  await persistence.addSubscriptions(reader, [{ topic: "other/#", qos: 1 }]);
  const before = log.calls.length;
  for (let index = 0; index < 3; index++) {
    const matching = await persistence.subscriptionsByTopic("plant/1");
    assert.deepEqual(matching, []);
    await persistence.outgoingEnqueueCombi(matching, message("x"));
  }
  assert.equal(persistence.subscriptionsByTopic("plant/1"), persistence.subscriptionsByTopic("plant/1"));
  assert.equal(log.calls.length, before);
});

test("remembered matches are forgotten with every change of a subscription", async (t) => {
  const { persistence } = await open(t);
  const count = async () => (await persistence.subscriptionsByTopic("a/1")).length;
  assert.equal(await count(), 0);
  await persistence.addSubscriptions(reader, [{ topic: "a/+", qos: 1 }]);
  assert.equal(await count(), 1);
  await persistence.addSubscriptions({ id: "second" }, [{ topic: "a/1", qos: 1 }]);
  assert.equal(await count(), 2);
  await persistence.removeSubscriptions(reader, ["a/+"]);
  assert.equal(await count(), 1);
  await persistence.cleanSubscriptions({ id: "second" });
  assert.equal(await count(), 0);
});

test("more topics than are remembered are answered all the same", async (t) => {
  const { persistence } = await open(t);
  await persistence.addSubscriptions(reader, [{ topic: "a/#", qos: 1 }]);
  for (let index = 0; index < 5000; index++) {
    assert.equal((await persistence.subscriptionsByTopic(`a/${index}`)).length, 1);
  }
});

test("clients without a session connect, are acknowledged and go without a commit", async (t) => {
  const { persistence, log } = await open(t);
  const before = log.calls.length;
  await persistence.cleanSubscriptions(reader);
  await persistence.cleanIncoming(reader);
  await persistence.delWill(reader);
  await persistence.outgoingClearMessageId(reader, { messageId: 1 });
  await persistence.outgoingStream(reader).toArray();
  assert.equal(log.calls.length, before);
});

test("outgoingMessagesMax: the oldest unsent message goes, one that was sent stays", async (t) => {
  const { persistence, limitLog } = await open(t, { limits: { outgoingMessagesMax: 3 } });
  const first = message("1");
  for (const packet of [first, message("2"), message("3")]) await persistence.outgoingEnqueue(toReader, packet);
  await persistence.outgoingUpdate(reader, { ...first, messageId: 7 });
  for (const text of ["4", "5"]) await persistence.outgoingEnqueue(toReader, message(text));
  assert.deepEqual(await queued(persistence), ["1", "4", "5"]);
  assert.equal(persistence.stats().outgoingDropped, 2);
  assert.equal(limitLog.counts().outgoingMessagesMax, 2);
});

test("outgoingMessagesMax: a queue full of sent messages refuses the new one", async (t) => {
  const { persistence } = await open(t, { limits: { outgoingMessagesMax: 1 } });
  const first = message("1");
  await persistence.outgoingEnqueue(toReader, first);
  await persistence.outgoingUpdate(reader, { ...first, messageId: 7 });
  const second = message("2");
  await persistence.outgoingEnqueue(toReader, second);
  assert.deepEqual(await queued(persistence), ["1"]);
  // aedes delivers it to the connected client all the same.
  await persistence.outgoingUpdate(reader, { ...second, messageId: 8 });
  await persistence.outgoingUpdate(reader, { ...second, cmd: "pubrel", messageId: 8 });
  assert.equal(await persistence.outgoingClearMessageId(reader, { messageId: 8 }), undefined);
  assert.equal(persistence.stats().outgoingDropped, 1);
});

test("outgoingBytesMax: as many of the oldest go as make room; a message too large for any queue takes none", async (t) => {
  const { persistence } = await open(t, { limits: { outgoingBytesMax: 100 } });
  for (const text of ["1", "2", "3"]) await persistence.outgoingEnqueue(toReader, message(text.repeat(30)));
  await persistence.outgoingEnqueue(toReader, message("4".repeat(60)));
  assert.deepEqual(await queued(persistence), ["3".repeat(30), "4".repeat(60)]);
  await persistence.outgoingEnqueue(toReader, message("5".repeat(100)));
  assert.deepEqual(await queued(persistence), ["3".repeat(30), "4".repeat(60)]);
  assert.equal(persistence.stats().outgoingDropped, 3);
});

test("outgoingTotalBytesMax: further messages are not queued for any session until there is room", async (t) => {
  const { persistence, limitLog } = await open(t, { limits: { outgoingTotalBytesMax: 100 } });
  await persistence.outgoingEnqueueCombi([toReader, { clientId: "second", qos: 1 }], message("x".repeat(60)));
  assert.deepEqual(await queued(persistence), ["x".repeat(60)]);
  assert.equal(limitLog.counts().outgoingTotalBytesMax, 1);
  await persistence.outgoingUpdate(reader, { ...message(""), brokerCounter: counter - 1, messageId: 1 });
  await persistence.outgoingClearMessageId(reader, { messageId: 1 });
  await persistence.outgoingEnqueue({ clientId: "second", qos: 1 }, message("y".repeat(60)));
  assert.equal(persistence.stats().outgoingDropped, 1);
});

test("a message that matches several subscriptions of a client is queued once, at the highest of their levels", async (t) => {
  const { persistence } = await open(t);
  const low = { clientId: "reader", qos: 1 } as const;
  await persistence.outgoingEnqueueCombi([low, toReader, low], message("x", 2));
  const packets = (await persistence.outgoingStream(reader).toArray()) as SessionPacket[];
  assert.deepEqual(
    packets.map((packet) => packet.qos),
    [2],
  );
});

test("a message is queued at the lower of its level and the subscription's", async (t) => {
  const { persistence } = await open(t);
  await persistence.outgoingEnqueue({ clientId: "reader", qos: 1 }, message("x", 2));
  await persistence.outgoingEnqueue(toReader, message("y", 1));
  const packets = (await persistence.outgoingStream(reader).toArray()) as SessionPacket[];
  assert.deepEqual(
    packets.map((packet) => packet.qos),
    [1, 1],
  );
});

test("a log that refuses costs the session the message, not the publisher its connection", async (t) => {
  const { persistence, log } = await open(t);
  log.failure = new StreamError("LOG_FULL", "full");
  await persistence.outgoingEnqueue(toReader, message("x"));
  await persistence.storeRetained({ ...message("x"), topic: "r" });
  const { outgoingDropped, writeFailures, retained } = persistence.stats();
  assert.deepEqual(
    { outgoingDropped, writeFailures, retained },
    {
      outgoingDropped: 1,
      writeFailures: 2,
      retained: { topics: 0, bytes: 0 },
    },
  );
  log.failure = undefined;
  await persistence.storeRetained({ ...message("x"), topic: "r" });
  assert.deepEqual(persistence.stats().retained, { topics: 1, bytes: 1 });
});

test("retained messages that come during a commit are one commit, of the newest of each topic", async (t) => {
  const { persistence, log } = await open(t);
  const release = log.hold();
  const stored = ["1", "2", "3", "4"].map((text) => persistence.storeRetained({ ...message(text, 0), topic: "r" }));
  await new Promise(setImmediate);
  stored.push(...["5", "6"].map((text) => persistence.storeRetained({ ...message(text), topic: "r" })));
  release();
  await Promise.all(stored);
  assert.deepEqual(
    log.calls.filter(({ method }) => method === "retain").map(({ durability }) => durability),
    ["os", "fsync"],
  );
  const retained = (await persistence.createRetainedStream("r").toArray()) as SessionPacket[];
  assert.deepEqual(
    retained.map(({ payload }) => String(payload)),
    ["6"],
  );
});

test("what a restart finds: retained messages, subscriptions, queues, wills", async (t) => {
  const directory = tempDir(t);
  const first = await open(t, { directory });
  await first.persistence.storeRetained({ ...message("kept"), topic: "r" });
  await first.persistence.addSubscriptions(reader, [
    { topic: "a", qos: 2 },
    { topic: "b/#", qos: 0 },
  ]);
  await first.persistence.outgoingEnqueue(toReader, message("queued"));
  await first.persistence.putWill(reader, { ...message("will"), topic: "gone" });

  const { persistence } = await open(t, { directory });
  const retained = (await persistence.createRetainedStream("#").toArray()) as SessionPacket[];
  assert.deepEqual(
    retained.map(({ topic, payload, retain }) => ({ topic, text: String(payload), retain })),
    [{ topic: "r", text: "kept", retain: true }],
  );
  assert.deepEqual(
    await persistence.subscriptionsByClient(reader),
    [
      { topic: "a", qos: 2 },
      { topic: "b/#", qos: 0 },
    ].map((subscription) => ({ ...subscription, rh: undefined, rap: undefined, nl: undefined })),
  );
  assert.deepEqual(await persistence.subscriptionsByTopic("a"), [
    { clientId: "reader", topic: "a", qos: 2, rh: undefined, rap: undefined, nl: undefined },
  ]);
  assert.deepEqual(await queued(persistence), ["queued"]);
  assert.equal(String((await persistence.getWill(reader))?.payload), "will");
});

test("sessionExpiryMs: a session away too long ends; time with a connection does not count, nor does the wall clock", async (t) => {
  const directory = tempDir(t);
  const first = await open(t, { directory, limits: { sessionExpiryMs: 1000 } });
  for (const id of ["reader", "online"]) await first.persistence.addSubscriptions({ id }, [{ topic: id, qos: 1 }]);
  await first.persistence.outgoingEnqueue(toReader, message("x"));
  first.clients["online"] = { id: "online" };
  await first.persistence.age(600);

  const second = await open(t, { directory, limits: { sessionExpiryMs: 1000 } });
  second.clients["online"] = { id: "online" };
  await second.persistence.age(400);
  assert.equal((await second.persistence.subscriptionsByTopic("reader")).length, 1);
  await second.persistence.age(1);
  assert.equal((await second.persistence.subscriptionsByTopic("reader")).length, 0);
  assert.deepEqual(await queued(second.persistence), []);
  assert.equal((await second.persistence.subscriptionsByTopic("online")).length, 1);
  assert.equal(second.limitLog.counts().sessionExpiryMs, 1);
});

test("sessionExpiryMs: QoS 2 identifiers of a client that never came back are released too", async (t) => {
  const { persistence, window } = await open(t, { limits: { sessionExpiryMs: 1000 } });
  window.claim("sensor", 5);
  await persistence.age(1001);
  assert.equal(window.has("sensor", 5), false);
  assert.equal(persistence.stats().sessions, 0);
});

test("nothing is queued for a session while it ends", async (t) => {
  const { persistence, log } = await open(t);
  await persistence.addSubscriptions(reader, [{ topic: "a", qos: 1 }]);
  const release = log.hold();
  const ended = persistence.cleanSubscriptions(reader);
  await persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic("a"), message("x"));
  release();
  await ended;
  assert.equal(
    log.calls.some(({ method }) => method === "enqueue"),
    false,
  );
  assert.deepEqual(await persistence.subscriptionsByTopic("a"), []);
});
