import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import { PacketCut } from "../../../../agent/mqtt/packet-cut.ts";

function publish(bytes: number): Buffer {
  const packet = { cmd: "publish", topic: "t", payload: Buffer.alloc(bytes, 1), qos: 0 } as const;
  return mqttPacket.generate({ ...packet, dup: false, retain: false });
}

const packets = fc.oneof(
  fc.integer({ min: 0, max: 300 }).map(publish),
  fc.constant(publish(16_381)),
  fc.constant(Buffer.of(0xc0, 0)),
);

test("packet cut: finds the end of each packet in chunks that are cut anywhere", () => {
  fc.assert(
    fc.property(fc.array(packets, { maxLength: 8 }), fc.array(fc.nat({ max: 18_000 })), (sent, cuts) => {
      const bytes = Buffer.concat(sent);
      const ends = sent.map((_, index) => Buffer.concat(sent.slice(0, index + 1)).length);
      const starts = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length)])].toSorted((a, b) => a - b);
      const cut = new PacketCut();
      const found: number[] = [];
      for (const [index, start] of starts.entries()) {
        const chunk = bytes.subarray(start, starts[index + 1] ?? bytes.length);
        for (let at = 0; at < chunk.length;) {
          at = cut.follow(chunk, at);
          if (cut.isBetweenPackets) found.push(start + at);
        }
      }
      assert.deepEqual(found, ends);
    }),
  );
});

test("packet cut: byte for byte it is between packets only at their ends", () => {
  const bytes = Buffer.concat([publish(200), Buffer.of(0xc0, 0)]);
  const cut = new PacketCut();
  const between = Array.from(bytes, (byte) => {
    cut.follow(Buffer.of(byte), 0);
    return cut.isBetweenPackets;
  });
  assert.deepEqual(
    between.flatMap((is, index) => (is ? [index + 1] : [])),
    [bytes.length - 2, bytes.length],
  );
});
