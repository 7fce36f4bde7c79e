import assert from "node:assert/strict";
import test from "node:test";
import v8 from "node:v8";
import { OldGarbage } from "../../../shared/old-garbage.ts";

const MIB = 1024 * 1024;

test("old garbage: looked through after every 64 MiB", () => {
  let looks = 0;
  const garbage = new OldGarbage(() => looks++);
  for (let each = 0; each < 300; each++) garbage.passed(MIB / 2);
  assert.equal(looks, 2);
  garbage.passed(1000 * MIB);
  assert.equal(looks, 3);
});

test("old garbage: what nobody uses is gone after a look", () => {
  const garbage = new OldGarbage();
  let held: unknown[] | undefined = Array.from({ length: 500_000 }, (_, index) => ({ index }));
  // Long-lived from now on.
  garbage.passed(64 * MIB);
  const full = v8.getHeapStatistics().used_heap_size;
  assert.equal(held.length, 500_000);
  held = undefined;
  garbage.passed(64 * MIB);
  assert.ok(v8.getHeapStatistics().used_heap_size < full - 8 * MIB);
});
