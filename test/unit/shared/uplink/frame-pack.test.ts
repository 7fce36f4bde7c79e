import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { StreamError } from "../../../../shared/errors.ts";
import { decodeAgentFrames, encodeFrame, encodePackedFrame } from "../../../../shared/uplink/frame-codec.ts";
import { FramePacker, FrameUnpacker, PACK_BYTES_MAX, PACK_MARK } from "../../../../shared/uplink/frame-pack.ts";
import { seal, SEAL_BYTES, unseal } from "../../../../shared/uplink/frame-seal.ts";
import type { Produce } from "../../../../shared/uplink/frames.ts";

const LENGTH_BYTES = 2;

function pack(packer: FramePacker, frames: readonly Buffer[]): Buffer {
  for (const frame of frames) {
    assert.ok(packer.hasRoom(frame.length));
    packer.add(frame);
  }
  return packer.take();
}

/** A message as it should arrive, whatever is in it. */
function packOf(packed: Buffer): Buffer {
  const deflated = deflateRawSync(packed, { windowBits: 13 });
  const message = Buffer.concat([Buffer.of(PACK_MARK), deflated, Buffer.alloc(SEAL_BYTES)]);
  seal(message);
  return message;
}

const produce = (id: number, text: string): Produce => ({
  t: "produce",
  id,
  topic: "readings",
  partition: id % 4,
  acks: "all",
  batch: Buffer.from(`a batch of sensor ${id % 7}: ${text}`),
});

const frames = fc.array(
  fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
  {
    minLength: 1,
    maxLength: 10,
  },
);

test("frame pack: what is packed comes out, pack after pack, also when much more went by than the history holds", () => {
  fc.assert(
    fc.property(fc.array(frames, { maxLength: 30 }), (packs) => {
      const packer = new FramePacker();
      const unpacker = new FrameUnpacker();
      for (const each of packs) assert.deepEqual(unpacker.unpack(unseal(pack(packer, each))), each);
      assert.ok(packer.isEmpty);
    }),
    { numRuns: 30 },
  );
});

test("frame pack: what was said before costs little", () => {
  const packer = new FramePacker();
  const unpacker = new FrameUnpacker();
  const sizes: number[] = [];
  for (let id = 1; id <= 100; id++) {
    const message = pack(packer, [encodePackedFrame(produce(id, "x".repeat(100)))]);
    sizes.push(message.length);
    assert.deepEqual(
      decodeAgentFrames(message, unpacker).map(({ t }) => t),
      ["produce"],
    );
  }
  const plain = encodeFrame(produce(1, "x".repeat(100))).length;
  assert.ok(sizes[0]! > plain / 3, `${sizes[0]}`);
  assert.ok(sizes[99]! < plain / 6, `${sizes[99]} of ${plain}`);
});

test("frame pack: as many frames as there is room for, and packs that fill it, go through", () => {
  const packer = new FramePacker();
  const unpacker = new FrameUnpacker();
  assert.ok(packer.hasRoom(PACK_BYTES_MAX - LENGTH_BYTES));
  assert.ok(!packer.hasRoom(PACK_BYTES_MAX - LENGTH_BYTES + 1));
  for (let turn = 0; turn < 5; turn++) {
    const sent: Buffer[] = [];
    for (let frame = randomBytes(500); packer.hasRoom(frame.length); frame = randomBytes(500)) {
      packer.add(frame);
      sent.push(frame);
    }
    assert.deepEqual(unpacker.unpack(unseal(packer.take())), sent);
    const whole = randomBytes(PACK_BYTES_MAX - LENGTH_BYTES);
    assert.deepEqual(unpacker.unpack(unseal(pack(packer, [whole]))), [whole]);
  }
});

test("frame pack: the frames lie in memory of their own, of their size", () => {
  const [frame] = new FrameUnpacker().unpack(unseal(pack(new FramePacker(), [Buffer.from("frame")])));
  assert.ok(frame!.buffer.byteLength <= Buffer.poolSize);
});

test("frame pack: closed, both begin anew with no history", () => {
  const packer = new FramePacker();
  const unpacker = new FrameUnpacker();
  const frame = encodePackedFrame(produce(1, "text"));
  const first = pack(packer, [frame]);
  assert.deepEqual(unpacker.unpack(unseal(first)), [frame]);
  assert.ok(pack(packer, [frame]).length < first.length / 2);
  packer.close();
  unpacker.close();
  assert.deepEqual(pack(packer, [frame]), first);
  assert.deepEqual(unpacker.unpack(unseal(first)), [frame]);
});

test("frame codec: frames alone and packs take turns on a connection", () => {
  const packer = new FramePacker();
  const unpacker = new FrameUnpacker();
  const sent = [produce(1, "a"), produce(2, "b"), produce(3, "c"), produce(4, "d")];
  const messages = [
    pack(packer, [encodePackedFrame(sent[0]!), encodePackedFrame(sent[1]!)]),
    encodeFrame(sent[2]!),
    pack(packer, [encodePackedFrame(sent[3]!)]),
  ];
  const received = messages.flatMap((message) => decodeAgentFrames(message, unpacker));
  assert.deepEqual(
    received.map((frame) => ({ ...frame })),
    sent.map((frame) => ({ ...frame })),
  );
});

const code = (expected: string, work: () => unknown): void =>
  assert.throws(work, (error) => error instanceof StreamError && error.code === expected);

test("frame codec: a pack that is cut or has a flipped bit anywhere is FRAME_CORRUPT", () => {
  const message = pack(new FramePacker(), [
    encodePackedFrame(produce(1, "text")),
    encodePackedFrame(produce(2, "text")),
  ]);
  for (let at = 0; at < message.length; at++) {
    code("FRAME_CORRUPT", () => decodeAgentFrames(message.subarray(0, at), new FrameUnpacker()));
    const flipped = Buffer.from(message);
    flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
    code("FRAME_CORRUPT", () => decodeAgentFrames(flipped, new FrameUnpacker()));
  }
});

test("frame codec: a pack that is none is a PROTOCOL_VIOLATION", () => {
  const frame = encodePackedFrame(produce(1, "text"));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(frame.length);
  const whole = Buffer.concat([length, frame]);
  assert.equal(decodeAgentFrames(packOf(whole), new FrameUnpacker()).length, 1);
  for (let end = 1; end < whole.length; end++) {
    code("PROTOCOL_VIOLATION", () => decodeAgentFrames(packOf(whole.subarray(0, end)), new FrameUnpacker()));
  }
  const inner: Record<string, Buffer> = {
    "an empty frame": Buffer.from([0, 0]),
    "no CBOR": Buffer.from([0, 1, 0xff]),
    "more than a pack holds": Buffer.alloc(PACK_BYTES_MAX + 1),
    "a bomb": Buffer.alloc(10 * 1024 * 1024),
  };
  for (const packed of Object.values(inner)) {
    code("PROTOCOL_VIOLATION", () => decodeAgentFrames(packOf(packed), new FrameUnpacker()));
  }
  const garbage = Buffer.concat([Buffer.of(PACK_MARK), Buffer.alloc(20, 0xff), Buffer.alloc(SEAL_BYTES)]);
  seal(garbage);
  code("PROTOCOL_VIOLATION", () => decodeAgentFrames(garbage, new FrameUnpacker()));
});

test("frame codec: a pack within a pack, or where none are spoken, is no frame", () => {
  const message = pack(new FramePacker(), [encodePackedFrame(produce(1, "text"))]);
  code("PROTOCOL_VIOLATION", () => decodeAgentFrames(message, undefined));
  const nested = pack(new FramePacker(), [unseal(message)]);
  code("PROTOCOL_VIOLATION", () => decodeAgentFrames(nested, new FrameUnpacker()));
});
