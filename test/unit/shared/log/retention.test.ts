import assert from "node:assert/strict";
import { test } from "node:test";
import { startForBytes, superfluousMarks } from "../../../../shared/log/retention.ts";
import type { AgeMark } from "../../../../shared/log/retention.ts";

/** Four batches of 100 bytes and 10 records each. */
const head = [1, 2, 3, 4].map((i) => ({ lastOffset: i * 10 - 1, bytes: 100 }));

test("retention by size: whole batches go while the rest still reaches the limit, never the last one", () => {
  const rows: readonly [string, number, number | undefined][] = [
    ["all fits", 400, undefined],
    ["one too many", 300, 10],
    ["a batch goes only when the rest still reaches the limit", 250, 10],
    ["all but one", 100, 30],
    ["never the last one", 1, 30],
  ];
  for (const [what, bytesMax, start] of rows) assert.equal(startForBytes(bytesMax, 400, head), start, what);
});

test("age marks: those of records that are gone go, the newest stays", () => {
  const marks = [1, 2, 3].map((i) => ({ at: i * 1000, end: i * 10 }));
  assert.deepEqual(superfluousMarks(marks, 20, 3000), marks.slice(0, 2));
  assert.deepEqual(superfluousMarks(marks, 30, 3000), marks.slice(0, 2));
  assert.deepEqual(superfluousMarks(marks, 0, 3000), []);
});

test("age marks: after a year of one a minute some are left, and each age is told to about a hundredth", () => {
  const MINUTE_MS = 60_000;
  const minutes = 365 * 24 * 60;
  let marks: AgeMark[] = [];
  for (let i = 1; i <= minutes; i++) {
    marks.push({ at: i * MINUTE_MS, end: i });
    if (i % 64 !== 0) continue;
    const gone = new Set(superfluousMarks(marks, 0, i * MINUTE_MS));
    marks = marks.filter((mark) => !gone.has(mark));
  }
  const now = minutes * MINUTE_MS;
  assert.ok(marks.length < 2000, `${marks.length} marks`);
  for (const [i, mark] of marks.entries()) {
    const next = marks[i + 1];
    if (next === undefined) continue;
    const gapMs = next.at - mark.at;
    assert.ok(gapMs <= Math.max(MINUTE_MS, (now - next.at) * 0.011), `${gapMs} ms at an age of ${now - next.at}`);
  }
});
