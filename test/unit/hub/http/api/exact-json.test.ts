import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseExact } from "../../../../../hub/http/api/exact-json.ts";

test("numbers that a double cannot hold are written again as they were", () => {
  for (const text of [
    '{"id":12345678901234567890}',
    "[9007199254740993,-9007199254740993]",
    "0.1234567890123456789",
    '{"a":[{"b":1234567890123456789012345678901234567890}]}',
  ]) {
    assert.equal(JSON.stringify(parseExact(text)), text);
  }
});

test("everything else is what JSON.parse says", () => {
  fc.assert(
    fc.property(fc.json(), (text) => assert.deepEqual(JSON.parse(JSON.stringify(parseExact(text))), JSON.parse(text))),
  );
  assert.deepEqual(parseExact('{"at":1790000000000123,"text":"12345678901234567890"}'), {
    at: 1790000000000123,
    text: "12345678901234567890",
  });
  assert.throws(() => parseExact('{"id":12345678901234567890'), SyntaxError);
});
