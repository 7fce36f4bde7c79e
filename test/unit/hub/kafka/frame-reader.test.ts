import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { FrameReader } from "../../../../hub/kafka/frame-reader.ts";

const FRAME_BYTES_MAX = 1024 * 1024;

function framed(body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length);
  return Buffer.concat([length, body]);
}

function readAll(reader: FrameReader): string[] {
  const frames: string[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame.toString("hex"));
  return frames;
}

test("frames come out whole however the stream is cut", () => {
  const bodies = [Buffer.alloc(8, 1), Buffer.alloc(300, 2), Buffer.alloc(9, 3)];
  const stream = Buffer.concat(bodies.map(framed));
  const expected = bodies.map((body) => body.toString("hex"));
  for (let size = 1; size <= stream.length; size++) {
    const reader = new FrameReader(FRAME_BYTES_MAX);
    const frames: string[] = [];
    for (let at = 0; at < stream.length; at += size) {
      reader.push(stream.subarray(at, at + size));
      frames.push(...readAll(reader));
    }
    assert.deepEqual(frames, expected, `chunks of ${size} bytes`);
  }
});

test("a frame within one chunk is a view of it", () => {
  const chunk = framed(Buffer.alloc(100, 7));
  const reader = new FrameReader(FRAME_BYTES_MAX);
  reader.push(chunk);
  assert.equal(reader.next()?.buffer, chunk.buffer);
});

test("a large frame is gathered from many chunks, and the next begins after it", () => {
  const body = Buffer.alloc(FRAME_BYTES_MAX, 5);
  const stream = Buffer.concat([framed(body), framed(Buffer.alloc(8, 6))]);
  const reader = new FrameReader(FRAME_BYTES_MAX);
  const frames: Buffer[] = [];
  for (let at = 0; at < stream.length; at += 65_536) {
    reader.push(stream.subarray(at, at + 65_536));
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  }
  assert.equal(frames.length, 2);
  assert.ok(frames[0]?.equals(body));
  assert.ok(frames[1]?.equals(Buffer.alloc(8, 6)));
});

const refusals: readonly [string, string | Buffer, string][] = [
  ["a length below the smallest request", Buffer.from([0, 0, 0, 7]), "INVALID_REQUEST"],
  ["a length above the limit", Buffer.from([0, 0x10, 0, 1]), "INVALID_REQUEST"],
  ["a negative length", Buffer.from([0xff, 0xff, 0xff, 0xff]), "INVALID_REQUEST"],
  ["a TLS ClientHello, from its first byte", Buffer.from([0x16]), "PROTOCOL_VIOLATION"],
  ["an HTTP GET", "GET / HTTP/1.1\r\n", "PROTOCOL_VIOLATION"],
  ["an HTTP POST", "POST / HTTP/1.1\r\n", "PROTOCOL_VIOLATION"],
];

for (const [what, bytes, code] of refusals) {
  test(`${what} is refused`, () => {
    const reader = new FrameReader(FRAME_BYTES_MAX);
    reader.push(Buffer.from(bytes as string));
    assert.throws(
      () => reader.next(),
      (error: unknown) => error instanceof StreamError && error.code === code,
    );
  });
}

test("limits are those at the time when a frame begins", () => {
  const reader = new FrameReader(FRAME_BYTES_MAX);
  const token = Buffer.alloc(3, 1);
  const request = Buffer.alloc(100, 2);
  reader.setLimits(1, 10);
  reader.push(Buffer.concat([token, request, request].map(framed)));
  assert.deepEqual(reader.next(), token);
  reader.setLimits(8, 100);
  assert.deepEqual(reader.next(), request);
  reader.setLimits(8, 99);
  assert.throws(() => reader.next(), { code: "INVALID_REQUEST", message: /100 bytes; 8 to 99 are allowed/ });
});
