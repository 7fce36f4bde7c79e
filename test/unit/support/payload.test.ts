import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodePayload, encodePayload, payloadTemplate } from "../../support/payload.ts";

suite("payload", () => {
  test("what is encoded is decoded, at the length that was asked for", () => {
    const template = payloadTemplate("c07", 100);
    for (const sequence of [0, 9, 10, 123_456, 9_999_999_999]) {
      const bytes = encodePayload(template, sequence, 1_732_320_000_123_456);
      assert.equal(bytes.length, 100);
      assert.deepEqual(decodePayload(bytes.toString("latin1")), {
        client: "c07",
        sequence,
        sentAtUs: 1_732_320_000_123_456,
      });
    }
  });

  test("too short for the numbers: refused", () => {
    assert.throws(() => payloadTemplate("c07", 31), /needs 32 bytes at least/);
  });

  test("a text of somebody else: refused", () => {
    const own = encodePayload(payloadTemplate("c07", 100), 5, 1_732_320_000_123_456).toString("latin1");
    for (const text of ["", "hello", "c07 12", own.slice(4), own.replace("0000000005", "000000000x")]) {
      assert.throws(() => decodePayload(text), /not a payload/);
    }
  });
});
