/**
 * Messages that take the short way (agent/mqtt/publish-shortcut.ts) and those that take aedes' are one stream: the same
 * order at the sink, in the PUBACKs, and at a local subscriber, wherever TCP cuts it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import mqttPacket from "mqtt-packet";
import { seededRandom } from "../../../../bin/demo/random.ts";
import type { Random } from "../../../../bin/demo/random.ts";
import { FakeIngest } from "../../../support/fake-ingest.ts";
import { connectMqtt, startMqtt } from "../../../support/mqtt-listener.ts";
import { connectRaw } from "../../../support/raw-mqtt.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const MESSAGES = 400;

type Sent = { readonly topic: string; readonly text: string; readonly qos: 0 | 1; readonly retain: boolean };

/** What is heard is of one kind: aedes 1.2.0 keeps no order between QoS levels, nor behind a retained message. */
function randomMessage(index: number, random: Random): Sent {
  const text = `${index}`;
  if (random.next() < 0.5) return { topic: "heard/a", text, qos: 1, retain: false };
  return { topic: "unheard/a", text, qos: random.next() < 0.3 ? 0 : 1, retain: random.next() < 0.2 };
}

const packetOf = ({ topic, text, qos, retain }: Sent): Buffer => {
  const packet = { cmd: "publish", topic, payload: text, qos, retain, dup: false } as const;
  return mqttPacket.generate(qos === 0 ? packet : { ...packet, messageId: Number(text) });
};

for (const isHeld of [false, true]) {
  const when = isHeld ? "answered all at once" : "answered one by one";
  test(`publish order: both ways are one stream, ${when}`, async (t) => {
    const seed = Number(process.env["TRIBUTARY_TEST_SEED"] ?? Date.now() % 1_000_000);
    t.diagnostic(`TRIBUTARY_TEST_SEED=${seed}`);
    const random = seededRandom(seed);
    const ingest = new FakeIngest();
    const { bound } = await startMqtt(t, { directory: tempDir(t), ingest });
    const subscriber = await connectRaw(t, bound.mqtt.port, "subscriber");
    subscriber.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "heard/#", qos: 1 }] });
    assert.equal((await subscriber.next())?.cmd, "suback");
    const publisher = await connectRaw(t, bound.mqtt.port, "publisher");
    const sent = Array.from({ length: MESSAGES }, (_, index) => randomMessage(index + 1, random));
    const bytes = Buffer.concat(sent.map(packetOf));

    ingest.isHeld = isHeld;
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + Math.floor(random.next() * 200);
      publisher.socket.write(bytes.subarray(at, end));
      at = end;
      await new Promise(setImmediate);
      if (!isHeld) continue;
      ingest.letThrough();
      ingest.isHeld = true;
    }
    if (isHeld) ingest.letThrough();
    await ingest.until(() => ingest.stored.length === MESSAGES);
    assert.deepEqual(
      ingest.texts(),
      sent.map(({ text }) => text),
    );

    const acknowledged: unknown[] = [];
    const atLeastOnce = sent.filter(({ qos }) => qos === 1);
    for (const _ of atLeastOnce) {
      const packet = await publisher.next();
      acknowledged.push(packet?.cmd === "puback" ? packet.messageId : packet);
    }
    assert.deepEqual(
      acknowledged,
      atLeastOnce.map(({ text }) => Number(text)),
    );

    const heard = sent.filter(({ topic }) => topic === "heard/a");
    const received: unknown[] = [];
    for (const _ of heard) {
      const packet = await subscriber.next();
      received.push(packet?.cmd === "publish" ? packet.payload.toString() : packet);
    }
    assert.deepEqual(
      received,
      heard.map(({ text }) => text),
    );
  });
}

test("publish order: a session that is offline gets what it subscribes to, also under a topic that nobody had heard", async (t) => {
  const { bound, tcpUrl } = await startMqtt(t, { directory: tempDir(t) });
  const subscribe = async (filter: string): Promise<void> => {
    const session = await connectRaw(t, bound.mqtt.port, "session", { clean: false });
    session.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] });
    assert.equal((await session.next())?.cmd, "suback");
    session.socket.end();
    await session.closed;
  };
  const publisher = await connectMqtt(t, tcpUrl);
  await subscribe("a");
  for (const text of ["1", "2"]) await publisher.publishAsync("b", text, { qos: 1 });
  await subscribe("b");
  for (const text of ["3", "4"]) await publisher.publishAsync("b", text, { qos: 1 });
  const session = await connectRaw(t, bound.mqtt.port, "session", { clean: false });
  for (const text of ["3", "4"]) {
    const packet = await session.next();
    assert.equal(packet?.cmd === "publish" ? packet.payload.toString() : packet, text);
  }
});
