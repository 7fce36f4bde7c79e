import assert from "node:assert/strict";
import { test } from "node:test";
import { ProducerIds } from "../../../../hub/engine/producer-ids.ts";

test("producer ids: none is given twice, and a block that is used up is followed by another", () => {
  const blocks = [7, 3];
  const ids = new ProducerIds(() => blocks.shift() ?? assert.fail("a third block"));
  const first = ids.next();
  assert.equal(first, 7n << 22n);
  let last = first;
  for (let i = 1; i < 2 ** 22; i++) {
    const id = ids.next();
    assert.ok(id === last + 1n);
    last = id;
  }
  assert.equal(ids.next(), 3n << 22n);
});

test("producer ids: two starts give different ones, as after a restored backup; all are safe numbers", () => {
  const ids = Array.from({ length: 50 }, () => new ProducerIds().next());
  assert.equal(new Set(ids).size, 50);
  for (const id of ids) assert.ok(Number.isSafeInteger(Number(id)) && id >= 0n);
});
