import assert from "node:assert/strict";
import { test } from "node:test";
import { InFlightPool } from "../../../../hub/uplink/in-flight-pool.ts";

function readers(pool: InFlightPool, count: number) {
  const told: string[] = [];
  const all = Array.from({ length: count }, (_, i) => ({
    pause: () => void told.push(`pause ${i}`),
    resume: () => void told.push(`resume ${i}`),
  }));
  for (const each of all) pool.join(each);
  return { all, told: () => told.splice(0) };
}

test("in-flight pool: when it is full all readers pause, and go on once a quarter has come back", () => {
  const pool = new InFlightPool(100);
  const { told } = readers(pool, 2);
  pool.take(99);
  assert.deepEqual(told(), []);
  pool.take(41);
  assert.deepEqual(told(), ["pause 0", "pause 1"]);
  pool.take(10);
  pool.release(74);
  assert.deepEqual([told(), pool.takenBytes], [[], 76]);
  pool.release(1);
  assert.deepEqual(told(), ["resume 1", "resume 0"]);
  pool.release(75);
  assert.deepEqual([told(), pool.takenBytes], [[], 0]);
});

test("in-flight pool: each time another reader is first", () => {
  const pool = new InFlightPool(100);
  const { told } = readers(pool, 3);
  const firsts = Array.from({ length: 4 }, () => {
    pool.take(100);
    told();
    pool.release(100);
    return told()[0];
  });
  assert.deepEqual(firsts, ["resume 1", "resume 2", "resume 0", "resume 1"]);
});

test("in-flight pool: who joins a full one waits too, who has left is not told, and a resumed one may fill it again", () => {
  const pool = new InFlightPool(100);
  const { all, told } = readers(pool, 2);
  pool.take(100);
  told();
  const greedy = { pause: () => told(), resume: () => pool.take(100) };
  pool.join(greedy);
  const [first, second] = all;
  assert.ok(first !== undefined && second !== undefined);
  pool.leave(first);
  pool.release(100);
  assert.equal(pool.takenBytes, 100);
  pool.release(100);
  pool.leave(greedy);
  pool.release(100);
  assert.equal(pool.takenBytes, 0);
});
