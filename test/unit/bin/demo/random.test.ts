import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";

const SAMPLE_COUNT = 20_000;

function samples(draw: () => number): number[] {
  return Array.from({ length: SAMPLE_COUNT }, draw);
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

test("the same seed gives the same numbers, another seed others", () => {
  const first = seededRandom(7);
  const second = seededRandom(7);
  const other = seededRandom(8);
  const numbers = Array.from({ length: 100 }, () => first.next());
  assert.deepEqual(
    numbers,
    Array.from({ length: 100 }, () => second.next()),
  );
  assert.notDeepEqual(
    numbers,
    Array.from({ length: 100 }, () => other.next()),
  );
});

test("next is uniform in [0, 1), between in its bounds", () => {
  const random = seededRandom(1);
  const numbers = samples(() => random.next());
  assert.ok(numbers.every((value) => value >= 0 && value < 1));
  assert.ok(Math.abs(mean(numbers) - 0.5) < 0.01);
  assert.ok(samples(() => random.between(3, 5)).every((value) => value >= 3 && value < 5));
});

test("gaussian has mean 0 and standard deviation 1", () => {
  const random = seededRandom(2);
  const numbers = samples(() => random.gaussian());
  assert.ok(Math.abs(mean(numbers)) < 0.03);
  assert.ok(Math.abs(Math.sqrt(mean(numbers.map((value) => value ** 2))) - 1) < 0.03);
});
