import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LINE_BYTES_MAX, readLines } from "../../../../../hub/http/api/read-lines.ts";

async function linesOf(chunks: readonly Buffer[]) {
  const stream = (async function* () {
    yield* chunks;
  })();
  const lines = [];
  for await (const line of readLines(stream)) lines.push(line);
  return lines;
}

test("lines are the same however the stream is cut", async () => {
  const text = Buffer.from("eins\n\r\nzwölf\r\n  \n{}\nlast", "utf8");
  const expected = [
    { number: 1, text: "eins" },
    { number: 3, text: "zwölf" },
    { number: 5, text: "{}" },
    { number: 6, text: "last" },
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 6 }), async (cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), text.length];
      const chunks = places.slice(1).map((to, index) => text.subarray(places[index], to));
      assert.deepEqual(await linesOf(chunks), expected);
    }),
  );
});

test("a line that is too long, or no UTF-8, is refused with its number", async () => {
  const long = Buffer.alloc(LINE_BYTES_MAX, "a");
  assert.equal((await linesOf([long]))[0]?.text.length, LINE_BYTES_MAX);
  await assert.rejects(linesOf([Buffer.from("a\n"), long, Buffer.from("b")]), /MESSAGE_TOO_LARGE: line 2 /);
  await assert.rejects(linesOf([Buffer.concat([long, Buffer.from("b\n")])]), /MESSAGE_TOO_LARGE: line 1 /);
  await assert.rejects(linesOf([Buffer.from([0x61, 0x0a, 0xff, 0x0a])]), /INVALID_REQUEST: line 2 is not UTF-8/);
});
