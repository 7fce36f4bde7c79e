import assert from "node:assert/strict";
import { test } from "node:test";
import mqttPacket from "mqtt-packet";
import { PublishReader } from "../../../../bench/peers/publish-reader.ts";

const payloads = ["a", "x".repeat(200), "", "last"];

test("publish reader: the same payloads, however the bytes are cut", () => {
  const packets = payloads.map((payload, index) => {
    const identity = index % 2 === 0 ? { qos: 0 as const } : { qos: 1 as const, messageId: index };
    return mqttPacket.generate({ cmd: "publish", topic: "bench/c0", payload, dup: false, retain: false, ...identity });
  });
  const suback = mqttPacket.generate({ cmd: "suback", messageId: 1, granted: [1] });
  const bytes = Buffer.concat([suback, ...packets]);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const read: string[] = [];
    let subscriptions = 0;
    const reader = new PublishReader({
      onPublish: (payload) => void read.push(payload.toString()),
      onSubscribed: () => void subscriptions++,
    });
    const packetIds: number[] = [];
    for (let at = 0; at < bytes.length; at += size) packetIds.push(...reader.read(bytes.subarray(at, at + size)));
    assert.deepEqual(read, payloads);
    assert.deepEqual(packetIds, [1, 3]);
    assert.equal(subscriptions, 1);
  }
});
