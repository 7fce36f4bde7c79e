import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VarintReader, varintBytes, writeVarint } from "../../../../shared/batch/varint.ts";

// Zig-zag over base-128 groups, worked out by hand from the definition.
const golden: readonly [number, string][] = [
  [0, "00"],
  [-1, "01"],
  [1, "02"],
  [-2, "03"],
  [63, "7e"],
  [-64, "7f"],
  [64, "8001"],
  [-65, "8101"],
  [8191, "fe7f"],
  [8192, "808001"],
  [2147483647, "feffffff0f"],
  [-2147483648, "ffffffff0f"],
];

test("varint: the golden values are written and read", () => {
  for (const [value, hex] of golden) {
    const target = new Uint8Array(10);
    const end = writeVarint(target, 0, value);
    assert.equal(Buffer.from(target.subarray(0, end)).toString("hex"), hex);
    assert.equal(varintBytes(value), end);
    assert.equal(new VarintReader(Buffer.from(hex, "hex")).int32(), value);
  }
});

test("varint: every truncation of the golden values is refused", () => {
  for (const [, hex] of golden) {
    const bytes = Buffer.from(hex, "hex");
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.throws(() => new VarintReader(bytes.subarray(0, cut)).int32(), { code: "CORRUPT_RECORD" });
    }
  }
});

test("varint: more than 32 bits, or more than 5 bytes, is no int32", () => {
  assert.throws(() => new VarintReader(Buffer.from("ffffffff1f", "hex")).int32(), { code: "CORRUPT_RECORD" });
  assert.throws(() => new VarintReader(Buffer.from("808080808000", "hex")).int32(), { code: "CORRUPT_RECORD" });
});

test("varint: any exact integer comes back through int64, with the size that was foretold", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (wide) => {
      const value = Math.trunc(wide / 2);
      const target = new Uint8Array(12);
      const end = writeVarint(target, 0, value);
      assert.equal(varintBytes(value), end);
      assert.equal(new VarintReader(target, 0, end).int64(), value === 0 ? 0 : value);
    }),
  );
});
