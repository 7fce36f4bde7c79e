import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TailCache } from "../../../../hub/engine/tail-cache.ts";

/** Of all that there is. */
function read(cache: TailCache, id: number, offset: number): Buffer[] | undefined {
  return cache.read(id, { offset, end: Infinity, bytesMax: 1000, atLeastOne: true });
}

const bytesOf = (size: number): Buffer => Buffer.alloc(size);

function cacheWith(bytesMax: number, ...sizes: number[]): TailCache {
  const cache = new TailCache(bytesMax);
  sizes.forEach((size, i) => cache.append(1, i * 10, i * 10 + 9, bytesOf(size)));
  return cache;
}

test("tail cache: serves from the batch that contains the offset up to the byte limit", () => {
  const cache = cacheWith(1000, 100, 101, 102);
  const sizes = (offset: number, bytesMax: number, atLeastOne = false) =>
    cache.read(1, { offset, end: Infinity, bytesMax, atLeastOne })?.map((each) => each.length);
  assert.deepEqual(sizes(0, 1000), [100, 101, 102]);
  assert.deepEqual(sizes(15, 1000), [101, 102]);
  assert.deepEqual(sizes(20, 1000), [102]);
  assert.deepEqual(sizes(0, 201), [100, 101]);
  assert.deepEqual(sizes(0, 99), []);
  assert.deepEqual(sizes(0, 99, true), [100]);
});

test("tail cache: serves nothing behind the end that is asked for", () => {
  const cache = cacheWith(1000, 100, 101, 102);
  const sizes = (offset: number, end: number) =>
    cache.read(1, { offset, end, bytesMax: 1000, atLeastOne: true })?.map((each) => each.length);
  assert.deepEqual(sizes(0, 20), [100, 101]);
  assert.deepEqual(sizes(15, 20), [101]);
});

test("tail cache: what was compacted is left to the log, what comes after it is not", () => {
  const cache = cacheWith(1000, 100, 101, 102);
  cache.forgetBefore(1, 20);
  assert.equal(read(cache, 1, 0), undefined);
  assert.equal(read(cache, 1, 19), undefined);
  assert.equal(read(cache, 1, 20)?.length, 1);
  assert.equal(cache.bytes, 102);
  cache.append(1, 30, 39, bytesOf(50));
  assert.equal(read(cache, 1, 20)?.length, 2);
  cache.forgetBefore(1, 35);
  assert.equal(cache.bytes, 0, "the batch that the offset cuts goes too");
  cache.forgetBefore(2, 5);
  cache.append(1, 40, 49, bytesOf(50));
  assert.equal(read(cache, 1, 40)?.length, 1);
});

test("tail cache: what it does not hold it leaves to the log", () => {
  const cache = cacheWith(1000, 100);
  assert.equal(read(cache, 1, 10), undefined);
  assert.equal(read(cache, 2, 0), undefined);
});

test("tail cache: at its limit the oldest batches of the partition written longest ago go first", () => {
  const cache = cacheWith(300, 100, 100);
  cache.append(2, 0, 9, bytesOf(100));
  cache.append(2, 10, 19, bytesOf(50));
  assert.equal(read(cache, 1, 0), undefined);
  assert.equal(read(cache, 1, 10)?.length, 1);
  assert.equal(read(cache, 2, 0)?.length, 2);
  assert.equal(cache.bytes, 250);
});

test("tail cache: a batch that leaves a hole forgets what came before it", () => {
  const cache = cacheWith(1000, 100);
  cache.append(1, 50, 59, bytesOf(10));
  assert.equal(read(cache, 1, 0), undefined);
  assert.equal(read(cache, 1, 55)?.length, 1);
  assert.equal(cache.bytes, 10);
});

test("tail cache: a batch larger than the whole cache is not kept", () => {
  const cache = cacheWith(100, 500);
  assert.equal(cache.bytes, 0);
  assert.equal(read(cache, 1, 0), undefined);
});

test("tail cache: against a plain model, any order of appends and deletions", () => {
  const step = fc.record({ partition: fc.nat(3), size: fc.integer({ min: 1, max: 80 }), forget: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 700 }), (steps) => {
      const cache = new TailCache(1000);
      const ends = new Map<number, number>();
      for (const { partition, size, forget } of steps) {
        if (forget === 0) cache.forget(partition);
        const end = ends.get(partition) ?? 0;
        cache.append(partition, end, end + 4, bytesOf(size));
        ends.set(partition, end + 5);
        assert.ok(cache.bytes <= 1000);
      }
      for (const [partition, end] of ends) {
        const held = read(cache, partition, end - 1);
        assert.ok(held === undefined || held.length === 1);
        for (let offset = 0; offset < end; offset++) {
          const found = read(cache, partition, offset);
          if (found !== undefined) assert.equal(found.length, Math.ceil((end - offset) / 5));
        }
      }
    }),
    { numRuns: 50 },
  );
});
