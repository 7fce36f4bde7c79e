import assert from "node:assert/strict";
import test from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { seal, SEAL_BYTES, unseal } from "../../../../shared/uplink/frame-seal.ts";

const corrupt = (message: Buffer): void =>
  assert.throws(
    () => unseal(message),
    (error) => error instanceof StreamError && error.code === "FRAME_CORRUPT",
  );

test("frame seal: the CRC-32C of RFC 3720's 32 zero bytes stands behind them, big endian", () => {
  const message = Buffer.alloc(32 + SEAL_BYTES);
  seal(message);
  assert.equal(message.subarray(32).toString("hex"), "8a9136aa");
  assert.deepEqual(unseal(message), Buffer.alloc(32));
});

test("frame seal: what is whole comes out as a view of its message", () => {
  const message = Buffer.concat([Buffer.from("frame"), Buffer.alloc(SEAL_BYTES)]);
  seal(message);
  assert.equal(unseal(message).buffer, message.buffer);
  assert.equal(unseal(message).toString(), "frame");
});

test("frame seal: a message too short for a seal, zeroes, or another order of the same bytes are corrupt", () => {
  for (let bytes = 0; bytes < SEAL_BYTES; bytes++) corrupt(Buffer.alloc(bytes));
  corrupt(Buffer.alloc(100));
  const message = Buffer.concat([Buffer.from("ab"), Buffer.alloc(SEAL_BYTES)]);
  seal(message);
  corrupt(Buffer.concat([Buffer.from("ba"), message.subarray(2)]));
});
