import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { readBatchHeader, stampOffset, stampProducer } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { remember } from "../../../../../shared/log/producer-state.ts";
import type { ProducerState } from "../../../../../shared/log/producer-state.ts";
import { RepairedProducers } from "../../../../../shared/log/salvage/repaired-producers.ts";
import { LOG_SCHEMA, batchKey } from "../../../../../shared/log/schema.ts";
import { onCleanUp } from "../../../../support/clean-up.ts";

const PRODUCER = 77n;
const RECORDS = 10;

function batchAt(offset: number, sequence: number): Buffer {
  const records = Array.from({ length: RECORDS }, () => ({ timestamp: 1, key: null, value: Buffer.from("v") }));
  const batch = encodeRecords(records);
  stampProducer(batch, { producerId: PRODUCER, producerEpoch: 3, baseSequence: sequence });
  stampOffset(batch, offset);
  return batch;
}

/** The state after batches of ten records, from sequence and offset 0 on. */
function stateAfter(count: number): ProducerState {
  let state: ProducerState | undefined;
  for (let i = 0; i < count; i++) {
    state = remember(state, { epoch: 3, baseSequence: i * RECORDS, recordCount: RECORDS }, i * RECORDS);
  }
  return state ?? assert.fail();
}

/** A log in which `there` of the batches are, and the producer's state is that after `stored`. */
function salvaged(t: TestContext, parts: { there: readonly number[]; stored?: number; isKept?: boolean }) {
  const { there, stored, isKept = true } = parts;
  const target = new Database(":memory:");
  onCleanUp(t, () => target.close());
  target.exec(LOG_SCHEMA);
  const producers = new RepairedProducers();
  for (const index of there) {
    const bytes = batchAt(index * RECORDS, index * RECORDS);
    target.prepare("INSERT INTO batch VALUES (?, 9, 1, ?)").run(batchKey(1, index * RECORDS), bytes);
    producers.see({ partitionId: 1, header: readBatchHeader(bytes) });
  }
  if (stored !== undefined) {
    const insert = target.prepare("INSERT INTO producer VALUES (1, ?, ?, 0, 0, ?)");
    insert.run(PRODUCER, JSON.stringify(stateAfter(stored)), isKept ? 1 : 0);
  }
  const state = (): ProducerState | undefined => {
    const text = target.prepare<[], string>("SELECT state FROM producer").pluck().get();
    return text === undefined ? undefined : (JSON.parse(text) as ProducerState);
  };
  const repair = (logStartOffset = 0, isTableDamaged = false): number =>
    producers.repair(target, { places: new Map([[1, { logStartOffset, compactedEnd: 0 }]]), isTableDamaged });
  return { repair, state };
}

suite("repaired producers", () => {
  test("a state whose last batch is there stays as it is", (t) => {
    const { repair, state } = salvaged(t, { there: [0, 2, 3], stored: 4 });
    assert.equal(repair(), 0);
    assert.deepEqual(state(), stateAfter(4));
  });

  test("an agent that is told of lost batches as stored would let go of them: it stands where its batches end", (t) => {
    const { repair, state } = salvaged(t, { there: [0, 1], stored: 4 });
    assert.equal(repair(), 1);
    assert.equal(state()?.lastSequence, 2 * RECORDS - 1);
    assert.equal(state()?.records, 2 * RECORDS);
  });

  test("what was trimmed had arrived", (t) => {
    const { repair, state } = salvaged(t, { there: [], stored: 4 });
    assert.equal(repair(4 * RECORDS), 0);
    assert.deepEqual(state(), stateAfter(4));
  });

  test("a Kafka client is forgotten, because it would be out of step for ever", (t) => {
    const { repair, state } = salvaged(t, { there: [0, 1], stored: 4, isKept: false });
    repair();
    assert.equal(state(), undefined);
  });

  test("a state that cannot be read, or is gone with a page, is made from the batches", (t) => {
    const { repair, state } = salvaged(t, { there: [0, 1, 2] });
    assert.equal(repair(), 0, "nothing says that there was one");
    assert.equal(repair(0, true), 1);
    assert.deepEqual(state(), stateAfter(3));
  });
});
