import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeControls, formatRecord } from "../../../../bin/hub-client/consumed-record.ts";
import type { ConsumedRecord } from "../../../../bin/hub-client/consumed-record.ts";

const record: ConsumedRecord = {
  topic: "climate",
  partition: 2,
  offset: 41,
  timestamp: 1_772_352_000_000,
  key: Buffer.from("hall-a/climate-1"),
  value: Buffer.from('{"value":21.5}'),
  headers: [{ key: "site", value: Buffer.from("hall-a") }],
};

const text = (changes: Partial<ConsumedRecord>): string => formatRecord({ ...record, ...changes }, "text").toString();

test("text: partition/offset, key and value, one line a record", () => {
  assert.equal(text({}), '2/41\thall-a/climate-1\t{"value":21.5}\n');
  assert.equal(text({ key: null, value: null }), "2/41\t-\t-\n");
  assert.equal(text({ value: Buffer.from("two\nlines\there") }), "2/41\thall-a/climate-1\ttwo\\nlines\\there\n");
});

test("text: a value cannot send commands to the terminal", () => {
  assert.equal(escapeControls("\u001b[2J\u0007\u009b31m\u007f"), "\\x1b[2J\\x07\\x9b31m\\x7f");
  assert.equal(escapeControls("Grüße 🌡 \\n"), "Grüße 🌡 \\n");
});

test("text: bytes that are not UTF-8 are shown as hex, long ones cut", () => {
  assert.equal(text({ key: null, value: Buffer.from([0xff, 0x00]) }), "2/41\t-\t<2 bytes: ff00>\n");
  assert.match(text({ value: Buffer.alloc(40, 0xfe) }), /<40 bytes: (fe){32}…>/);
});

test("value: the bytes as they are and a line break", () => {
  const bytes = Buffer.from([0x1b, 0xff, 0x00]);
  assert.deepEqual(formatRecord({ ...record, value: bytes }, "value"), Buffer.from([0x1b, 0xff, 0x00, 0x0a]));
  assert.deepEqual(formatRecord({ ...record, value: null }, "value"), Buffer.from("\n"));
});

test("json: everything, also a header that is there twice and bytes that are not UTF-8", () => {
  const headers = [
    { key: "a", value: Buffer.from("1") },
    { key: "a", value: null },
  ];
  const line = formatRecord({ ...record, key: null, value: Buffer.from([0xff]), headers }, "json").toString();
  assert.equal(line.indexOf("\n"), line.length - 1);
  assert.deepEqual(JSON.parse(line), {
    topic: "climate",
    partition: 2,
    offset: 41,
    timestamp: 1_772_352_000_000,
    key: null,
    value: { base64: "/w==" },
    headers: [
      ["a", "1"],
      ["a", null],
    ],
  });
});
