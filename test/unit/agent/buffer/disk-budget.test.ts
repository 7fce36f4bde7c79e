import assert from "node:assert/strict";
import test from "node:test";
import { divideDisk } from "../../../../agent/buffer/disk-budget.ts";

const MIB = 1024 * 1024;

test("disk budget: all parts together are the cap, from the smallest one on", () => {
  for (const bytesMax of [1_000_000, 10 * MIB, 100 * MIB, 1024 * MIB, 1024 * 1024 * MIB]) {
    const { databaseBytesMax, keptBytesMax, reserveBytes } = divideDisk(bytesMax);
    assert.ok(keptBytesMax >= bytesMax / 2, `${keptBytesMax} of ${bytesMax}`);
    assert.ok(keptBytesMax < databaseBytesMax);
    assert.ok(databaseBytesMax + 2 * reserveBytes < bytesMax);
    assert.ok(reserveBytes >= 64 * 1024 && reserveBytes <= 4 * MIB);
  }
});

test("disk budget: of a large cap, next to nothing is kept back", () => {
  assert.deepEqual(divideDisk(1024 * MIB), {
    reserveBytes: 4 * MIB,
    databaseBytesMax: (1024 - 40) * MIB,
    // The last 256 pages are for upkeep.
    keptBytesMax: (1024 - 72) * MIB - 256 * 1024,
  });
});
