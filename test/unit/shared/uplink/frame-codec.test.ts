import assert from "node:assert/strict";
import test from "node:test";
import { Encoder } from "cbor-x";
import { StreamError } from "../../../../shared/errors.ts";
import { decodeAgentFrame, decodeHubFrame, encodeFrame } from "../../../../shared/uplink/frame-codec.ts";
import { seal, SEAL_BYTES } from "../../../../shared/uplink/frame-seal.ts";
import { UPLINK_BATCH_BYTES_MAX, UPLINK_MESSAGE_BYTES_MAX } from "../../../../shared/uplink/frames.ts";
import type { AgentFrame, HubFrame } from "../../../../shared/uplink/frames.ts";

const topics = [{ name: "readings.hall-1", partitions: 4 }];

const lost = { entry: 0, records: 2 ** 50 + 1, reason: "overflow", since: 0, until: 1_700_000_000_000 } as const;
const agentFrames: AgentFrame[] = [
  { t: "hello", agent: "gateway 7", producer: 2n ** 63n - 1n, instance: "3f", version: "1.2.3", topics },
  { t: "hello", agent: "", producer: 5n, instance: "", version: "", topics: [] },
  {
    t: "hello",
    agent: "a",
    producer: 5n,
    sideProducers: [2n ** 63n - 1n, 6n],
    instance: "1",
    version: "1",
    topics,
  },
  { t: "announce", topics },
  { t: "produce", id: 1, topic: "a", partition: 0, acks: "all", batch: Buffer.from("bytes of a batch") },
  { t: "produce", id: 2 ** 40, topic: "b", partition: 255, acks: "none", batch: Buffer.alloc(0) },
  { t: "gap", id: 3, topic: "a", partition: 1, epoch: 32_767, from: 0, to: 2 ** 50, ...lost },
  { t: "gap", id: 4, topic: "a", partition: 1, epoch: 0, from: 0, to: -1, ...lost },
  { t: "status", status: { pendingRecords: 3, name: "x", list: [1, null, true], nested: { a: -1.5 } } },
];

const hubFrames: HubFrame[] = [
  {
    t: "welcome",
    positions: [
      { topic: "a", partition: 3, epoch: 0, lastSequence: 2 ** 31 - 1, records: 2 ** 40, lost: 7 },
      { topic: "a", partition: 3, sideProducer: 2n ** 63n - 1n, epoch: 0, lastSequence: 0, records: 1, lost: 7 },
    ],
    topics,
    credit: 8 * 1024 * 1024,
    time: 1_700_000_000_000,
  },
  { t: "announced", positions: [], topics },
  { t: "ack", id: 7, baseOffset: 2 ** 45 },
  { t: "nack", id: 8, code: "LOG_FULL", message: "the disk is full", retriable: true },
  { t: "credit", bytes: 0 },
];

const violation = (work: () => unknown): void =>
  assert.throws(work, (error) => error instanceof StreamError && error.code === "PROTOCOL_VIOLATION");

const encoder = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false });
/** A message as it should arrive, whatever is in it. */
const sealed = (frame: Uint8Array): Buffer => {
  const message = Buffer.concat([frame, Buffer.alloc(SEAL_BYTES)]);
  seal(message);
  return message;
};
const cbor = (value: unknown): Buffer => sealed(encoder.encode(value));
const corrupt = (work: () => unknown): void =>
  assert.throws(work, (error) => error instanceof StreamError && error.code === "FRAME_CORRUPT");

test("frame codec: every frame comes back as it was", () => {
  for (const frame of agentFrames) {
    const decoded = decodeAgentFrame(encodeFrame(frame));
    assert.deepEqual({ ...decoded }, { ...frame });
  }
  for (const frame of hubFrames) assert.deepEqual(decodeHubFrame(encodeFrame(frame)), frame);
});

test("frame codec: an ack as its bytes stand in RFC 8949, and their CRC-32C", () => {
  //            map(3) "t"  "ack"       "id"    7   "baseOffset"              9
  const hex = "a3" + "6174" + "6361636b" + "626964" + "07" + "6a626173654f6666736574" + "09" + "f1b885b0";
  assert.equal(encodeFrame({ t: "ack", id: 7, baseOffset: 9 }).toString("hex"), hex);
  assert.deepEqual(decodeHubFrame(Buffer.from(hex, "hex")), { t: "ack", id: 7, baseOffset: 9 });
});

test("frame codec: a produce is a plain map with the batch as a byte string at its end", () => {
  const message = encodeFrame({
    t: "produce",
    id: 1,
    topic: "a",
    partition: 0,
    acks: "all",
    batch: Buffer.from("xyz"),
  });
  assert.equal(message[0], 0xa6);
  assert.equal(
    message.subarray(-14 - SEAL_BYTES, -SEAL_BYTES).toString("hex"),
    "65" + Buffer.from("batch").toString("hex") + "5a00000003" + "78797a",
  );
});

const decoderOf = (frame: AgentFrame | HubFrame) =>
  agentFrames.includes(frame as AgentFrame) ? decodeAgentFrame : decodeHubFrame;

test("frame codec: every bit that flips in a frame is noticed, in both directions, and every truncation", () => {
  for (const frame of [...agentFrames, ...hubFrames]) {
    const decode = decoderOf(frame);
    const message = encodeFrame(frame);
    for (let bit = 0; bit < message.length * 8; bit++) {
      const damaged = Buffer.from(message);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      corrupt(() => decode(damaged));
    }
    for (let cut = 0; cut < message.length; cut++) corrupt(() => decode(message.subarray(0, cut)));
  }
});

test("frame codec: every truncation of every frame is a violation, though its seal were whole", () => {
  for (const frame of [...agentFrames, ...hubFrames]) {
    const message = encodeFrame(frame).subarray(0, -SEAL_BYTES);
    for (let cut = 0; cut < message.length; cut++) {
      violation(() => decoderOf(frame)(sealed(message.subarray(0, cut))));
    }
  }
});

test("frame codec: fields that are not known are ignored", () => {
  assert.deepEqual(decodeHubFrame(cbor({ t: "credit", bytes: 5, since: "yesterday" })), { t: "credit", bytes: 5 });
});

test("frame codec: a whole number of any CBOR width is a whole number", () => {
  const frame = Buffer.concat([
    Buffer.from("a26174" + "66637265646974" + "656279746573" + "1b", "hex"),
    Buffer.alloc(7),
    Buffer.from([5]),
  ]);
  assert.deepEqual(decodeHubFrame(sealed(frame)), { t: "credit", bytes: 5 });
});

test("frame codec: wrong fields are violations", () => {
  const produce = { t: "produce", id: 1, topic: "a", partition: 0, acks: "all", batch: Buffer.from("x") };
  const gap = { t: "gap", id: 1, topic: "a", partition: 0, epoch: 0, from: 5, to: 5, reason: "overflow" };
  const hello = { t: "hello", agent: "a", producer: 1n, instance: "1", version: "1", topics: [] };
  const wrong: unknown[] = [
    null,
    7,
    [],
    {},
    { t: "fly" },
    { t: 1 },
    { t: "__proto__" },
    { ...produce, id: 0 },
    { ...produce, id: 1.5 },
    { ...produce, id: "1" },
    { ...produce, topic: "" },
    { ...produce, topic: ".." },
    { ...produce, topic: "a b" },
    { ...produce, topic: "a".repeat(250) },
    { ...produce, partition: -1 },
    { ...produce, partition: 1e9 },
    { ...produce, acks: "some" },
    { ...produce, acks: undefined },
    { ...produce, batch: "text" },
    { ...produce, batch: [1, 2] },
    { ...gap, to: 4 },
    { ...gap, epoch: 32_768 },
    { ...gap, reason: "bored" },
    { ...hello, producer: -1n },
    { ...hello, producer: 2n ** 63n },
    { ...hello, producer: "5" },
    { ...hello, agent: "a".repeat(256) },
    { ...hello, topics: [{ name: "a", partitions: 0 }] },
    {
      ...hello,
      topics: [
        { name: "a", partitions: 1 },
        { name: "a", partitions: 1 },
      ],
    },
    { ...hello, topics: {} },
    { t: "status", status: "fine" },
  ];
  for (const value of wrong) violation(() => decodeAgentFrame(cbor(value)));
  violation(() => decodeHubFrame(cbor({ t: "nack", id: 1, code: "X", message: "", retriable: 1 })));
  violation(() => decodeHubFrame(cbor({ t: "produce" })));
});

const hostile: { readonly name: string; readonly hex: string }[] = [
  { name: "an array of 2^32 items in five bytes", hex: "9affffffff" },
  { name: "a map of 2^63 entries", hex: "bb7fffffffffffffff" },
  { name: "a byte string longer than the message", hex: "a1617a5a7fffffff00" },
  { name: "an indefinite map", hex: "bf6174636163 6bff".replaceAll(" ", "") },
  { name: "an indefinite string", hex: "7f6161ff" },
  { name: "a tag for a date", hex: "c11a514b67b0" },
  { name: "a tag for a regular expression", hex: "d99999826161 6167".replaceAll(" ", "") },
  { name: "a reserved length", hex: "1c" },
  { name: "a simple value nobody has assigned", hex: "e0" },
  { name: "two items", hex: "a0a0" },
  { name: "nothing", hex: "" },
];

for (const { name, hex } of hostile) {
  test(`frame codec: ${name} is refused before it costs anything`, () => {
    violation(() => decodeAgentFrame(sealed(Buffer.from(hex, "hex"))));
  });
}

test("frame codec: deep nesting is refused without recursion", () => {
  violation(() => decodeAgentFrame(sealed(Buffer.concat([Buffer.alloc(3_000_000, 0x81), Buffer.from([0])]))));
});

test("frame codec: a million small items are refused", () => {
  violation(() => decodeAgentFrame(sealed(Buffer.concat([Buffer.from("9a000f4240", "hex"), Buffer.alloc(1_000_000)]))));
});

test("frame codec: random bytes are a frame or a violation, never anything else", (t) => {
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  let state = seed;
  const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  for (let round = 0; round < 3000; round++) {
    const message = encodeFrame(agentFrames[next() % agentFrames.length] as AgentFrame);
    for (let flips = 1 + (next() % 3); flips > 0; flips--) message[next() % message.length] = next() & 0xff;
    seal(message);
    try {
      decodeAgentFrame(message);
    } catch (error) {
      assert.ok(error instanceof StreamError && error.code === "PROTOCOL_VIOLATION", `seed ${seed}: ${String(error)}`);
    }
  }
});

test("frame codec: the largest batch fits, a larger message is not made", () => {
  const produce = { t: "produce", id: 2 ** 50, topic: "a".repeat(249), partition: 99_999, acks: "leader" } as const;
  const message = encodeFrame({ ...produce, batch: Buffer.alloc(UPLINK_BATCH_BYTES_MAX) });
  assert.ok(message.length <= UPLINK_MESSAGE_BYTES_MAX);
  assert.equal(decodeAgentFrame(message).t, "produce");
  assert.throws(
    () => encodeFrame({ ...produce, batch: Buffer.alloc(UPLINK_MESSAGE_BYTES_MAX) }),
    (error) => error instanceof StreamError && error.code === "MESSAGE_TOO_LARGE",
  );
});

test("frame codec: a decoded batch is a view of its message, not a copy", () => {
  const message = encodeFrame({
    t: "produce",
    id: 1,
    topic: "a",
    partition: 0,
    acks: "all",
    batch: Buffer.alloc(1024, 7),
  });
  const frame = decodeAgentFrame(message);
  assert.ok(frame.t === "produce");
  message[message.length - SEAL_BYTES - 1] = 9;
  assert.equal(frame.batch.at(-1), 9);
});

test("frame codec: side producers are few, and all different", () => {
  const hello = (sideProducers: readonly bigint[]) =>
    decodeAgentFrame(
      encodeFrame({ t: "hello", agent: "a", producer: 5n, sideProducers, instance: "1", version: "1", topics: [] }),
    );
  assert.ok(hello([1n, 2n, 3n]));
  violation(() => hello([1n, 2n, 3n, 4n]));
  violation(() => hello([1n, 1n]));
  violation(() => hello([5n]));
  violation(() => hello([2n ** 63n]));
});
