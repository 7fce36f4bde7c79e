import assert from "node:assert/strict";
import { test } from "node:test";
import Database from "better-sqlite3";
import { LogClock } from "../../../../shared/log/log-clock.ts";
import { PRODUCERS_CACHED_MAX, ProducerStates } from "../../../../shared/log/producer-states.ts";
import { LOG_SCHEMA } from "../../../../shared/log/schema.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import type { After } from "../../../support/clean-up.ts";

const clock = { wallMs: () => 1000, monotonicMs: () => 0 };
const stateAt = (lastSequence: number) => ({ epoch: 0, lastSequence, records: lastSequence + 1, recent: [] });

function statesOf(t: After) {
  const database = new Database(":memory:");
  onCleanUp(t, () => database.close());
  database.exec(LOG_SCHEMA);
  return { database, states: new ProducerStates(database, new LogClock(database, clock)) };
}

test("producer states: however many a commit brings, so many are kept in memory; the others are read again", (t) => {
  const { database, states } = statesOf(t);
  const count = PRODUCERS_CACHED_MAX + 50;
  database.exec("BEGIN");
  for (let id = 0; id < count; id++) states.save(1, BigInt(id), { state: stateAt(id), isKept: false, now: 1 });
  database.exec("COMMIT");
  states.settle();
  assert.equal(states.cachedCount, PRODUCERS_CACHED_MAX);
  for (const id of [0, 49, 50, count - 1]) assert.deepEqual(states.get(1, BigInt(id)), stateAt(id));
  assert.equal(states.cachedCount, PRODUCERS_CACHED_MAX);
});

test("producer states: what a transaction staged is gone with it", (t) => {
  const { database, states } = statesOf(t);
  states.save(1, 7n, { state: stateAt(1), isKept: false, now: 1 });
  states.settle();
  database.exec("BEGIN");
  states.save(1, 7n, { state: stateAt(2), isKept: false, now: 2 });
  assert.deepEqual(states.get(1, 7n), stateAt(2));
  database.exec("ROLLBACK");
  states.discard();
  assert.deepEqual(states.get(1, 7n), stateAt(1));
});

test("producer states: those of one producer and those of one partition are found by an index", (t) => {
  const { database } = statesOf(t);
  for (const column of ["producer_id", "partition_id"]) {
    const plan = database.prepare(`EXPLAIN QUERY PLAN SELECT * FROM producer WHERE ${column} = 1`).all();
    assert.match((plan[0] as { detail: string }).detail, /^SEARCH/, column);
  }
});
