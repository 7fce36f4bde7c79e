import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWERS_TO_GROW, BATCH_BYTES_MIN, BatchSize } from "../../../../agent/uplink/batch-size.ts";

const KIB = 1024;

test("batch size: connections that end without an answer make batches smaller, down to the smallest", () => {
  const size = new BatchSize(256 * KIB);
  const seen = [size.bytes];
  for (let connection = 0; connection < 5; connection++) {
    size.connectionEnded(true);
    seen.push(size.bytes);
  }
  assert.deepEqual(
    seen,
    [256, 64, 16, 4, 4, 4].map((kib) => kib * KIB),
  );
  assert.equal(size.bytes, BATCH_BYTES_MIN);
});

test("batch size: a connection that ends with nothing on its way, or after an answer, says nothing of batches", () => {
  const size = new BatchSize(256 * KIB);
  size.connectionEnded(false);
  size.answered();
  size.connectionEnded(true);
  assert.equal(size.bytes, 256 * KIB);
  assert.ok(!size.isReduced);
});

test("batch size: answers make batches larger again, up to what is configured", () => {
  const size = new BatchSize(20 * KIB);
  size.connectionEnded(true);
  const seen: number[] = [];
  for (let answers = 0; answers < 3 * ANSWERS_TO_GROW; answers++) {
    size.answered();
    seen.push(size.bytes / KIB);
  }
  assert.deepEqual(seen, [5, 5, 5, 10, 10, 10, 10, 20, 20, 20, 20, 20]);
});

test("batch size: a maximum below the smallest stays as it is", () => {
  const size = new BatchSize(1000);
  size.connectionEnded(true);
  assert.equal(size.bytes, 1000);
});
