import assert from "node:assert/strict";
import { test } from "node:test";
import { OffsetMap } from "../../../../shared/log/offset-map.ts";

const key = (n: number): Buffer => Buffer.from(`sensor/${n}`);

test("offset map: the newest offset of each key, as a plain map would have it", () => {
  const map = new OffsetMap(64 * 1024);
  const model = new Map<number, number>();
  for (let offset = 0; offset < 5000; offset++) {
    const n = (offset * 7919) % 1500;
    assert.ok(map.put(key(n), offset));
    model.set(n, offset);
  }
  assert.equal(map.size, model.size);
  for (const [n, offset] of model) assert.equal(map.get(key(n)), offset);
  assert.equal(map.get(key(99_999)), undefined);
});

test("offset map: offset 0 and an empty key are like any other", () => {
  const map = new OffsetMap(1024);
  assert.equal(map.get(Buffer.alloc(0)), undefined);
  map.put(Buffer.alloc(0), 0);
  assert.equal(map.get(Buffer.alloc(0)), 0);
});

test("offset map: full, it refuses new keys and goes on with those it knows", () => {
  const map = new OffsetMap(24 * 100);
  let count = 0;
  while (map.put(key(count), count)) count++;
  assert.equal(count, 75);
  assert.equal(map.get(key(count)), undefined);
  assert.ok(map.put(key(0), 500));
  assert.equal(map.get(key(0)), 500);
});

test("offset map: however little memory it gets, one key fits", () => {
  const map = new OffsetMap(0);
  assert.ok(map.put(key(1), 1));
  assert.equal(map.put(key(2), 2), false);
  assert.equal(map.get(key(1)), 1);
  assert.equal(map.get(key(2)), undefined);
});
