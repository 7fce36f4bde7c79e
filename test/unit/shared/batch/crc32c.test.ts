import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c, crc32cPortable } from "../../../../shared/batch/crc32c.ts";

test("crc32c: the check value of the polynomial", () => {
  // The "check" of CRC-32/ISCSI in the catalogue of CRC algorithms.
  assert.equal(crc32cPortable(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(0)), 0);
});

test("crc32c: iSCSI's vectors (RFC 3720 B.4)", () => {
  assert.equal(crc32cPortable(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32cPortable(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32cPortable(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test("crc32c: whichever implementation is taken, at every length around the switch, gives the portable one's value", () => {
  const bytes = Buffer.from(Array.from({ length: 600 }, (_, i) => (i * 131 + 7) & 0xff));
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    assert.equal(crc32c(part), crc32cPortable(part), `length ${length}`);
  }
});
