import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import type { IPublishPacket } from "mqtt-packet";
import { PlainPublishReader } from "../../../../agent/mqtt/plain-publish.ts";

const isPlain = (topic: string): boolean => !topic.includes("#");

function packetOf(packet: Partial<IPublishPacket>): Buffer {
  const whole = { cmd: "publish", topic: "t", payload: "p", qos: 0, dup: false, retain: false, ...packet } as const;
  return mqttPacket.generate(whole.qos === 0 ? whole : { messageId: 7, ...whole });
}

const reader = (): PlainPublishReader => new PlainPublishReader(isPlain);

const messages = fc
  .record({
    topic: fc.constantFrom("a", "b", "sensors/4/temperature", "sensors/5/temperature", "größe/β"),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    qos: fc.constantFrom(0 as const, 1 as const),
    messageId: fc.integer({ min: 1, max: 65_535 }),
    dup: fc.boolean(),
  })
  .map((message) => ({ ...message, dup: message.dup && message.qos === 1 }));

test("plain PUBLISH: read as it was written, one behind the other, by one reader", () => {
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 20 }), (sent) => {
      const chunk = Buffer.concat([Buffer.of(0), ...sent.map(packetOf)]);
      const one = reader();
      let at = 1;
      for (const { topic, payload, qos, messageId, dup } of sent) {
        assert.ok(one.read(chunk, at));
        assert.deepEqual([one.topic, one.qos, one.isDup], [topic, qos, dup]);
        assert.equal(one.messageId, qos === 0 ? undefined : messageId);
        assert.deepEqual(chunk.subarray(one.payloadAt, one.end), payload);
        at = one.end;
      }
      assert.equal(at, chunk.length);
    }),
  );
});

test("plain PUBLISH: one that is not whole is left, wherever it is cut", () => {
  for (const bytes of [packetOf({ qos: 1 }), packetOf({ qos: 1, payload: Buffer.alloc(200) })]) {
    for (let end = 0; end < bytes.length; end++) assert.equal(reader().read(bytes.subarray(0, end), 0), false);
  }
});

const others: Record<string, Buffer> = {
  "another packet": Buffer.of(0xc0, 0),
  "QoS 2": packetOf({ qos: 2 }),
  "QoS 3": Buffer.of(0x36, 6, 0, 1, 116, 0, 7, 112),
  retained: packetOf({ qos: 1, retain: true }),
  "sent again at QoS 0 [MQTT-3.3.1-2]": Buffer.of(0x38, 4, 0, 1, 116, 112),
  "identifier 0 [MQTT-2.3.1-1]": Buffer.of(0x32, 6, 0, 1, 116, 0, 0, 112),
  "no topic": Buffer.of(0x30, 1, 0),
  "no length": Buffer.of(0x30, 0),
  "empty topic": Buffer.of(0x30, 3, 0, 0, 112),
  "topic beyond the packet": Buffer.of(0x30, 4, 0, 3, 116, 112, 112, 112),
  "identifier beyond the packet": Buffer.of(0x32, 4, 0, 1, 116, 0, 7, 112),
  "topic that breaks a rule": packetOf({ topic: "a/#" }),
  "length of five bytes": Buffer.of(0x30, 0x84, 0x80, 0x80, 0x80, 0, 0, 1, 116, 112),
};

for (const [name, bytes] of Object.entries(others)) {
  test(`plain PUBLISH: left to others: ${name}`, () => {
    assert.equal(reader().read(Buffer.concat([bytes, Buffer.alloc(10)]), 0), false);
  });
}

test("plain PUBLISH: a topic that breaks a rule is judged again after it came once", () => {
  const one = reader();
  assert.ok(one.read(packetOf({ topic: "a" }), 0));
  assert.ok(!one.read(packetOf({ topic: "#" }), 0));
  assert.ok(!one.read(packetOf({ topic: "#" }), 0));
  assert.ok(one.read(packetOf({ topic: "a" }), 0));
});
