import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "cbor-x";
import fc from "fast-check";
import { StreamError } from "../../../../../shared/errors.ts";
import { fromBase64, readValue, valueFormats, writeValue } from "../../../../../hub/http/api/value-format.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "utf8");
const notUtf8 = Buffer.from([0x7b, 0xff, 0x00]);

test("auto takes JSON, then text, then base64", () => {
  assert.deepEqual(writeValue(bytes('{"c":21.50}'), "auto"), { encoding: "json", json: '{"c":21.50}' });
  assert.deepEqual(writeValue(bytes("on \u0001"), "auto"), { encoding: "text", json: '"on \\u0001"' });
  assert.deepEqual(writeValue(notUtf8, "auto"), { encoding: "base64", json: '"e/8A"' });
  assert.deepEqual(writeValue(bytes(""), "auto"), { encoding: "text", json: '""' });
  assert.deepEqual(writeValue(null, "auto"), { encoding: "null", json: "null" });
});

test("JSON stands as it is in the log, but on one line", () => {
  const value = '{\n  "id": 12345678901234567890,\r\n  "t": "a\\nb"\n}';
  const { json } = writeValue(bytes(value), "json");
  assert.doesNotMatch(json, /[\r\n]/);
  assert.match(json, /12345678901234567890/);
  assert.deepEqual(JSON.parse(json), JSON.parse(value));
});

test("a value that does not fit the format is written in another one, and says so", () => {
  assert.equal(writeValue(bytes("21,5"), "json").encoding, "text");
  assert.equal(writeValue(notUtf8, "text").encoding, "base64");
  assert.equal(writeValue(bytes('{"c":1}'), "text").encoding, "text");
  assert.equal(writeValue(bytes('{"c":1}'), "base64").encoding, "base64");
  assert.equal(writeValue(bytes("\xffnothing"), "cbor").encoding, "text");
});

test("CBOR is shown as what it means", () => {
  const value = { n: 2n ** 60n, bytes: Buffer.from([1, 2, 255]), list: [1.5, null, true] };
  assert.deepEqual(JSON.parse(writeValue(encode(value), "cbor").json), {
    n: String(2n ** 60n),
    bytes: "AQL_",
    list: [1.5, null, true],
  });
  // A bomb: a list that claims four billion items.
  assert.equal(writeValue(Buffer.from("9affffffff", "hex"), "cbor").encoding, "base64");
});

test("what was read can be produced again, byte for byte", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.from(each)),
        fc.string().map(bytes),
        fc.json({ maxDepth: 3 }).map((json) => bytes(JSON.stringify(JSON.parse(json)))),
      ),
      fc.constantFrom(...valueFormats.filter((format) => format !== "cbor")),
      (value, format) => {
        const { encoding, json } = writeValue(value, format);
        const again = readValue(JSON.parse(json), encoding);
        // -0 is the one number that JSON.stringify does not keep.
        if (!/-0(?![.\d])/.test(json) || encoding !== "json") assert.deepEqual(again, value);
      },
    ),
  );
});

test("a null without an encoding is no value; as JSON it is four letters", () => {
  assert.equal(readValue(null, undefined), null);
  assert.equal(readValue(undefined, undefined), null);
  assert.equal(readValue(null, "null"), null);
  assert.deepEqual(readValue(null, "json"), bytes("null"));
  assert.deepEqual(readValue("on", undefined), bytes('"on"'));
  assert.deepEqual(readValue("on", "text"), bytes("on"));
});

test("what is not as its encoding says is refused", () => {
  const refused = (error: unknown): boolean => error instanceof StreamError && error.code === "INVALID_REQUEST";
  assert.throws(() => readValue(5, "text"), refused);
  assert.throws(() => readValue("a", "null"), refused);
  assert.throws(() => readValue(undefined, "json"), refused);
  for (const text of ["a", "ab=c", "a b=", "====", "äöü=", "YWJj\n"])
    assert.throws(() => fromBase64(text), refused, text);
  assert.deepEqual(fromBase64("YWI"), bytes("ab"), "padding may be left out");
});
