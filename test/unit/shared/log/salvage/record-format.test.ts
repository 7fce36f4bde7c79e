import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readRecord, readVarint } from "../../../../../shared/log/salvage/record-format.ts";

suite("record format", () => {
  // "Record Format" and "Varint" in SQLite's file format.
  for (const [hex, value] of [
    ["00", 0n],
    ["7f", 127n],
    ["8100", 128n],
    ["8380808000", 0x30000000n],
    ["8180808080808000", 1n << 49n],
    ["ffffffffffffffffff", -1n],
    ["bfffffffffffffffff", 0x7fffffffffffffffn],
  ] as const) {
    test(`varint ${hex} is ${value}`, () => {
      assert.equal(readVarint(Buffer.from(hex, "hex"), 0)?.value, value);
    });
  }

  test("each kind of value", () => {
    const payload = Buffer.concat([
      Buffer.from([10, 0, 1, 2, 6, 7, 8, 9, 14, 17]),
      Buffer.from([0xff]),
      Buffer.from([0x01, 0x00]),
      Buffer.from("8000000000000000", "hex"),
      Buffer.from("3ff8000000000000", "hex"),
      Buffer.from([7]),
      Buffer.from("ab"),
    ]);
    const expected = [null, -1n, 256n, -(2n ** 63n), 1.5, 0n, 1n, Buffer.from([7]), "ab"];
    assert.deepEqual(readRecord(payload), expected);
  });

  test("cut anywhere, or with bytes left over, it is no record", () => {
    const payload = Buffer.from([3, 1, 16, 5, 1, 2]);
    assert.deepEqual(readRecord(payload), [5n, Buffer.from([1, 2])]);
    for (let length = 0; length < payload.length; length++) {
      assert.equal(readRecord(payload.subarray(0, length)), undefined, `${length} bytes`);
    }
    assert.equal(readRecord(Buffer.concat([payload, Buffer.from([0])])), undefined);
  });

  test("kinds that do not exist, and lengths beyond all bounds", () => {
    assert.equal(readRecord(Buffer.from([2, 10])), undefined);
    assert.equal(readRecord(Buffer.from([2, 11])), undefined);
    assert.equal(readRecord(Buffer.from("0affffffffffffffffff", "hex")), undefined);
    assert.equal(readRecord(Buffer.from([200, 200, 1])), undefined);
  });
});
