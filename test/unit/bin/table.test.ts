import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatAge,
  formatBytes,
  formatCount,
  formatCountOf,
  formatTimestamp,
  renderTable,
  right,
} from "../../../bin/table.ts";

test("a table's columns are as wide as their widest cell, numbers stand to the right", () => {
  const lines = renderTable(
    [{ title: "TOPIC" }, right("RECORDS")],
    [
      ["climate", "1,234"],
      ["doors", "7"],
    ],
  );
  assert.deepEqual(lines, ["TOPIC    RECORDS", "climate    1,234", "doors          7"]);
});

test("a table without rows still has its titles", () => {
  assert.deepEqual(renderTable([{ title: "GROUP" }, { title: "STATE" }], []), ["GROUP  STATE"]);
});

test("no line of a table ends in spaces", () => {
  assert.deepEqual(renderTable([{ title: "A" }, { title: "LONG TITLE" }], [["x", "y"]]), ["A  LONG TITLE", "x  y"]);
});

test("an age is shown in the largest unit that fits", () => {
  const ages = [-5, 0, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000, 4000 * 86_400_000];
  assert.deepEqual(ages.map(formatAge), [
    ...["0 s", "0 s", "0 s", "1 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d"],
    "4,000 d",
  ]);
});

test("bytes are shown in the unit that keeps them short", () => {
  const rows: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [10_189, "10 KiB"],
    [1_048_575, "1.0 MiB"],
    [5 * 1024 ** 3, "5.0 GiB"],
    [2048 * 1024 ** 4, "2048 TiB"],
  ];
  for (const [bytes, text] of rows) assert.equal(formatBytes(bytes), text);
});

test("counts are grouped by thousands, whatever the machine's language", () => {
  assert.equal(formatCount(1_234_567), "1,234,567");
});

test("a timestamp that is no date stays a number", () => {
  assert.equal(formatTimestamp(0), "1970-01-01T00:00:00.000Z");
  assert.equal(formatTimestamp(9e15), "9000000000000000");
});

test("one of something is not several", () => {
  assert.deepEqual(
    [0, 1, 2000].map((count) => formatCountOf(count, "record")),
    ["0 records", "1 record", "2,000 records"],
  );
  assert.equal(formatCountOf(2, "batch"), "2 batches");
});
