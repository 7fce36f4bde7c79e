import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import { initialGuardState, inspect } from "../../../../agent/mqtt/guard-state.ts";
import type { GuardVerdict } from "../../../../agent/mqtt/guard-state.ts";

const limits = { connectBytesMax: 4096, packetBytesMax: 65_536 };

/** Feeds the chunks one by one; the verdict, and the number of bytes taken without one. */
function run(chunks: readonly Uint8Array[]): { verdict: GuardVerdict | undefined; taken: number } {
  const state = initialGuardState();
  let taken = 0;
  for (const chunk of chunks) {
    const verdict = inspect(state, chunk, limits);
    if (verdict !== undefined) return { verdict, taken };
    taken += chunk.length;
  }
  return { verdict: undefined, taken };
}

function connect(clientId = "sensor", protocolVersion: 3 | 4 | 5 = 4): Buffer {
  return mqttPacket.generate({
    cmd: "connect",
    protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
    protocolVersion,
    clientId,
    clean: true,
    keepalive: 60,
  });
}

function publish(bytes: number): Buffer {
  return mqttPacket.generate({
    cmd: "publish",
    topic: "t",
    payload: Buffer.alloc(bytes),
    qos: 0,
    dup: false,
    retain: false,
  });
}

const everyByte = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.of(byte));
const splitAt = (bytes: Buffer, at: number): Buffer[] => [bytes.subarray(0, at), bytes.subarray(at)];

const accepted: Record<string, Buffer> = {
  "CONNECT of MQTT 3.1.1": connect(),
  "CONNECT of MQTT 3.1": connect("sensor", 3),
  "CONNECT, PUBLISH of every length of length, PINGREQ": Buffer.concat([
    connect(),
    ...[0, 1, 120, 125, 126, 200, 16_379, 16_380, 16_381, 60_000].map(publish),
    Buffer.of(0xc0, 0),
    publish(3),
  ]),
  "CONNECT of exactly the maximum": connect("x".repeat(4096 - 3 - 10 - 2)),
  "PUBLISH of exactly the maximum": Buffer.concat([connect(), publish(65_536 - 4 - 3)]),
};

for (const [name, bytes] of Object.entries(accepted)) {
  test(`guard: ${name} passes, whole, byte by byte and cut in two`, () => {
    assert.deepEqual(run([bytes]), { verdict: undefined, taken: bytes.length });
    assert.deepEqual(run(everyByte(bytes)), { verdict: undefined, taken: bytes.length });
    const cuts = Math.min(bytes.length, 400);
    for (let at = 0; at <= cuts; at++) assert.equal(run(splitAt(bytes, at)).verdict, undefined, `cut at ${at}`);
  });
}

/** `from`: the number of bytes after which the verdict must be there. */
const refused: Record<string, { bytes: Buffer; verdict: GuardVerdict; from: number }> = {
  "MQTT 5": { bytes: connect("sensor", 5), verdict: "protocolVersion", from: 9 },
  "PUBLISH first": { bytes: publish(1), verdict: "firstPacket", from: 1 },
  "CONNACK first (CVE-2021-28166)": { bytes: Buffer.of(0x20, 2, 0, 0), verdict: "firstPacket", from: 1 },
  "HTTP to the MQTT port": { bytes: Buffer.from("GET / HTTP/1.1\r\n"), verdict: "firstPacket", from: 1 },
  "CONNECT a byte too long": {
    bytes: connect("x".repeat(4096 - 3 - 10 - 2 + 1)),
    verdict: "connectBytesMax",
    from: 3,
  },
  "CONNECT of 256 MB": { bytes: Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f), verdict: "connectBytesMax", from: 3 },
  "a length of five bytes": { bytes: Buffer.of(0x10, 0x80, 0x80, 0x80, 0x80), verdict: "remainingLength", from: 5 },
  "PUBLISH a byte too long": {
    bytes: Buffer.concat([connect(), publish(65_536 - 4 - 3 + 1)]),
    verdict: "packetBytesMax",
    from: connect().length + 4,
  },
  "PUBLISH of 256 MB": {
    bytes: Buffer.concat([connect(), Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f)]),
    verdict: "packetBytesMax",
    from: connect().length + 4,
  },
  "a later length of five bytes": {
    bytes: Buffer.concat([connect(), Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80, 0)]),
    verdict: "remainingLength",
    from: connect().length + 5,
  },
};
for (const [name, { bytes, verdict, from }] of Object.entries(refused)) {
  test(`guard: ${name} is refused as soon as it can be told`, () => {
    assert.equal(run([bytes]).verdict, verdict);
    assert.deepEqual(run(everyByte(bytes)), { verdict, taken: from - 1 });
    for (let at = 0; at <= bytes.length; at += Math.ceil(bytes.length / 200)) {
      assert.equal(run(splitAt(bytes, at)).verdict, verdict, `cut at ${at}`);
    }
  });
}

test("guard: the verdict does not depend on how the bytes are cut", () => {
  const stream = fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 300 })).map(([isMqtt, bytes]) => {
    return isMqtt ? Buffer.concat([connect(), bytes]) : Buffer.from(bytes);
  });
  const property = fc.property(stream, fc.array(fc.nat(400), { maxLength: 8 }), (bytes, cuts) => {
    const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].toSorted((left, right) => left - right);
    const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
    assert.equal(run(chunks).verdict, run([bytes]).verdict);
  });
  // fast-check prints the seed of a failure.
  fc.assert(property, { numRuns: 2000 });
});
