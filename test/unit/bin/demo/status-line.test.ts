import assert from "node:assert/strict";
import { test } from "node:test";
import { median, renderStatusLine } from "../../../../bin/demo/status-line.ts";
import type { Look } from "../../../../bin/demo/status-line.ts";

const before: Look = {
  atMs: 1000,
  acknowledged: 100,
  stored: 90,
  consumed: 80,
  lag: 10,
  backlog: 10,
  diskBytes: 4096,
  latencyMs: undefined,
};

test("rates are per second between two looks", () => {
  const now = {
    ...before,
    atMs: 3000,
    acknowledged: 250,
    stored: 2240,
    consumed: 80,
    lag: 2160,
    backlog: 0,
    latencyMs: 4.4,
  };
  assert.equal(
    renderStatusLine(before, now),
    "sensors 75/s > hub 1,075/s > group 0/s | lag 2,160 | backlog 0 | 4 ms end to end | 4.0 KiB on disk | 2,240 records",
  );
});

test("two looks at the same moment, and a counter that fell, give no strange rates", () => {
  assert.match(renderStatusLine(before, before), /sensors 0\/s > hub 0\/s > group 0\/s/);
  assert.match(renderStatusLine(before, { ...before, atMs: 2000, stored: 0 }), /hub 0\/s/);
});

test("parts that a narrow terminal has no room for are left out from the end", () => {
  const wide = renderStatusLine(before, before);
  assert.equal(renderStatusLine(before, before, wide.length + 1), wide);
  assert.equal(
    renderStatusLine(before, before, wide.length),
    "sensors 0/s > hub 0/s > group 0/s | lag 10 | backlog 10 | 4.0 KiB on disk",
  );
  assert.equal(renderStatusLine(before, before, 12), "sensors 0/s");
});

test("the median is the middle, and undefined of nothing", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([]), undefined);
});
