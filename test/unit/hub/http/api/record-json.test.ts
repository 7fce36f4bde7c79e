import assert from "node:assert/strict";
import { test } from "node:test";
import { readCursor, readRecord, writeCursor, writeRecord } from "../../../../../hub/http/api/record-json.ts";
import type { IncomingRecord } from "../../../../../hub/http/api/record-json.ts";

const stored = {
  topic: "plant",
  partition: 3,
  offset: 41,
  timestamp: 1_790_000_000_000,
  key: Buffer.from("s1"),
  value: Buffer.from('{"c":21.5}'),
  headers: [
    { key: "mqtt.topic", value: Buffer.from("plant/s1") },
    { key: "raw", value: Buffer.from([0xff]) },
    { key: "none", value: null },
  ],
};

test("a record as JSON, and what is not text as base64", () => {
  assert.deepEqual(JSON.parse(writeRecord(stored, "auto")), {
    topic: "plant",
    partition: 3,
    offset: 41,
    timestamp: 1_790_000_000_000,
    key: "s1",
    value: { c: 21.5 },
    encoding: "json",
    headers: [
      { key: "mqtt.topic", value: "plant/s1" },
      { key: "raw", value: "/w==", encoding: "base64" },
      { key: "none", value: null },
    ],
  });
  const binary = JSON.parse(writeRecord({ ...stored, key: Buffer.from([0xc0]), value: null, headers: [] }, "auto"));
  assert.deepEqual([binary.key, binary.keyEncoding, binary.value, binary.encoding], ["wA==", "base64", null, "null"]);
});

test("hostile text cannot leave its string", () => {
  const key = Buffer.from('","offset":0,"x":"</script>\n\u2028');
  const read = JSON.parse(writeRecord({ ...stored, key }, "auto")) as { key: string; offset: number };
  assert.deepEqual([read.key, read.offset], [key.toString(), 41]);
});

test("what was read can be produced again", () => {
  const { key, keyEncoding, value, encoding, headers, timestamp } = JSON.parse(
    writeRecord(stored, "base64"),
  ) as IncomingRecord;
  const again = readRecord({ key, keyEncoding, value, encoding, headers, timestamp } as IncomingRecord, 7);
  assert.deepEqual(again, {
    key: stored.key,
    value: stored.value,
    headers: stored.headers,
    timestamp: stored.timestamp,
  });
  assert.deepEqual(readRecord({}, 7), { key: null, value: null, headers: [], timestamp: 7 });
});

test("cursors", () => {
  const places = [
    { partition: 0, offset: 41 },
    { partition: 12, offset: 0 },
  ];
  assert.deepEqual(readCursor(writeCursor(places)), places);
  for (const text of ["", "0", "0:1,", "0:-1", "a:1", "0:1,0:2", `0:${"9".repeat(17)}`]) {
    assert.throws(() => readCursor(text), /INVALID_REQUEST/, text);
  }
});
