import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { lz4Compress } from "@platformatic/wasm-utils";
import { lz4DecompressedBytes } from "../../../../shared/batch/lz4-size.ts";

const MIB = 1024 * 1024;

test("lz4: the size of what a frame becomes is that of what went in", () => {
  const inputs = [
    Buffer.alloc(0),
    Buffer.from("a"),
    Buffer.from("tributary ".repeat(5000)),
    randomBytes(200_000),
    Buffer.alloc(5 * MIB),
    Buffer.concat([randomBytes(300), Buffer.alloc(70_000, 7), randomBytes(4000), Buffer.alloc(15)]),
  ];
  for (const input of inputs) assert.equal(lz4DecompressedBytes(lz4Compress(input), Infinity), input.length);
});

test("lz4: several frames in a row count together", () => {
  const frame = lz4Compress(Buffer.alloc(1000, 1));
  assert.equal(lz4DecompressedBytes(Buffer.concat([frame, frame]), Infinity), 2000);
});

test("lz4: sizes and checksums that a frame may carry are stepped over", () => {
  // Flags: version 1, block checksum, content size, content checksum, dictionary id; one stored block of three bytes.
  const frame = Buffer.from(
    "04224d18" +
      "5d" +
      "40" +
      "0300000000000000" +
      "01000000" +
      "00" +
      "03000080" +
      "616263" +
      "11111111" +
      "00000000" +
      "22222222",
    "hex",
  );
  assert.equal(lz4DecompressedBytes(frame, Infinity), 3);
});

test("lz4: counting ends just beyond the limit", () => {
  const bomb = lz4Compress(Buffer.alloc(64 * MIB));
  assert.ok(bomb.length < MIB);
  const counted = lz4DecompressedBytes(bomb, MIB);
  assert.ok(counted > MIB && counted <= 6 * MIB, `${counted}`);
});

test("lz4: every truncation is refused", () => {
  const frame = lz4Compress(Buffer.from("tributary ".repeat(100)));
  for (let cut = 1; cut < frame.length; cut++) {
    assert.throws(() => lz4DecompressedBytes(frame.subarray(0, cut), Infinity), { code: "CORRUPT_RECORD" }, `${cut}`);
  }
});
