import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import v8 from "node:v8";
import { Worker } from "node:worker_threads";
import { OldGarbage, collectAfterStart } from "../../../shared/old-garbage.ts";

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

test("old garbage: what a start has left is gone a second later", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let left: unknown[] | undefined = Array.from({ length: 500_000 }, (_, index) => ({ index }));
  // Long-lived from now on.
  new OldGarbage().passed(64 * MIB);
  const full = v8.getHeapStatistics().used_heap_size;
  assert.equal(left.length, 500_000);
  left = undefined;
  collectAfterStart();
  t.mock.timers.tick(1000);
  assert.ok(v8.getHeapStatistics().used_heap_size < full - 8 * MIB);
});

test("old garbage: threads that look through their heaps at the same time do not get in each other's way", async () => {
  const source = new URL("../../../shared/old-garbage.ts", import.meta.url);
  const program = `
    import { OldGarbage } from ${JSON.stringify(source.href)};
    for (let look = 0; look < 20; look++) new OldGarbage().passed(${64 * MIB});
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  const exits = [1, 2, 3].map(async () => (await once(new Worker(url), "exit"))[0] as number);
  assert.deepEqual(await Promise.all(exits), [0, 0, 0]);
});
