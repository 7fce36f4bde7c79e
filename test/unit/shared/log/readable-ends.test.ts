import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadableEnds } from "../../../../shared/log/readable-ends.ts";

test("readable ends: a partition stays where it was at the first commit without a flush, until there is one", () => {
  const ends = new ReadableEnds();
  const place = { id: 1, logEndOffset: 5 };
  assert.equal(ends.of(place), 5);
  ends.leave(place);
  place.logEndOffset = 7;
  ends.leave(place);
  place.logEndOffset = 9;
  assert.deepEqual([ends.of(place), ends.of({ id: 2, logEndOffset: 3 })], [5, 3]);
  assert.deepEqual(ends.flushed(), [1]);
  assert.equal(ends.of(place), 9);
  assert.deepEqual(ends.flushed(), []);
});

test("readable ends: what damage has left of the end is not shown until something is written and flushed behind it", () => {
  const ends = new ReadableEnds();
  ends.addHoles([{ partitionId: 1, from: 5, logEndOffset: 100 }]);
  const place = { id: 1, logEndOffset: 100 };
  assert.equal(ends.of(place), 5);
  assert.deepEqual(ends.flushed(), []);
  assert.equal(ends.of(place), 5);
  ends.leave(place);
  place.logEndOffset = 101;
  assert.equal(ends.of(place), 5);
  assert.deepEqual(ends.flushed(), [1]);
  assert.equal(ends.of(place), 101);
});
