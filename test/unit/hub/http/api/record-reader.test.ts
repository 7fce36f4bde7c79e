import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ANSWER_BYTES_MAX, mergeByTime, readPartition } from "../../../../../hub/http/api/record-reader.ts";
import type { ReadOrder } from "../../../../../hub/http/api/record-reader.ts";
import { readBatchHeader } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import type { StoredRecord } from "../../../../../shared/record.ts";
import { MemoryEngine } from "../../../../support/memory-engine.ts";

const at = { topic: "t", partition: 0 };
const random = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12 });

/** One batch for each size; the value of a record is its offset. */
async function engineWith(batchSizes: readonly number[], valueBytes = 0): Promise<MemoryEngine> {
  const engine = new MemoryEngine();
  await engine.createTopic({ name: "t", partitionCount: 1 });
  let offset = 0;
  for (const size of batchSizes) {
    const records = Array.from({ length: size }, () => {
      const value = Buffer.from(String(offset).padEnd(valueBytes, " "));
      return { timestamp: 1000 + offset, key: Buffer.from(`k${offset++ % 3}`), value };
    });
    const batch = encodeRecords(records, "lz4");
    await engine.append({ ...at, batch, header: readBatchHeader(batch), durability: "fsync" });
  }
  return engine;
}

const offsetsOf = (records: readonly StoredRecord[]): number[] => records.map(({ offset }) => offset);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function readAll(engine: MemoryEngine, order: ReadOrder, recordsMax: number, key?: string) {
  const { highWatermark } = engine.offsets(at);
  const found: StoredRecord[] = [];
  let from = order === "asc" ? 0 : highWatermark;
  const filter = key === undefined ? undefined : (record: StoredRecord) => record.key?.toString() === key;
  for (let pages = 0; pages < 1000; pages++) {
    const read = await readPartition(engine, at, { order, from, recordsMax, filter });
    assert.ok(read.records.length <= recordsMax);
    found.push(...read.records);
    const isEnd = order === "asc" ? read.next >= highWatermark : read.next <= 0;
    if (isEnd) return found;
    from = read.next;
  }
  throw new Error("it does not end");
}

test("page by page, forward and backward: every record once, in order, whatever the batches and pages are", async () => {
  await fc.assert(
    fc.asyncProperty(random, fc.integer({ min: 1, max: 50 }), async (sizes, recordsMax) => {
      const engine = await engineWith(sizes);
      const all = upTo(sizes.reduce((sum, size) => sum + size, 0));
      assert.deepEqual(offsetsOf(await readAll(engine, "asc", recordsMax)), all);
      assert.deepEqual(offsetsOf(await readAll(engine, "desc", recordsMax)), all.toReversed());
      const ofKey = all.filter((offset) => offset % 3 === 1);
      assert.deepEqual(offsetsOf(await readAll(engine, "asc", recordsMax, "k1")), ofKey);
      assert.deepEqual(offsetsOf(await readAll(engine, "desc", recordsMax, "k1")), ofKey.toReversed());
    }),
    { numRuns: 40 },
  );
});

test("an answer holds a bounded number of bytes, and one record at the least", async () => {
  const engine = await engineWith(
    Array.from({ length: 12 }, () => 1),
    700_000,
  );
  const fitting = Math.floor(ANSWER_BYTES_MAX / 700_000);
  for (const order of ["asc", "desc"] as const) {
    const from = order === "asc" ? 0 : 12;
    const read = await readPartition(engine, at, { order, from, recordsMax: 100 });
    assert.ok(read.records.length <= fitting && read.records.length > 0, `${order}: ${read.records.length}`);
    const first = await readPartition(engine, at, { order, from, recordsMax: 100, bytesMax: 10 });
    assert.deepEqual(offsetsOf(first.records), [order === "asc" ? 0 : 11]);
    assert.deepEqual(offsetsOf(await readAll(engine, order, 100)), order === "asc" ? upTo(12) : upTo(12).toReversed());
  }
});

test("a filter that fits nothing looks at a bounded number of bytes at a time, and gets on", async () => {
  const engine = await engineWith(
    Array.from({ length: 40 }, () => 1),
    700_000,
  );
  // Values of spaces compress well: what is counted is what is stored, so nothing is cut here; but it ends.
  assert.deepEqual(await readAll(engine, "asc", 10, "none"), []);
  assert.deepEqual(await readAll(engine, "desc", 10, "none"), []);
});

test("offsets that are not there are refused, with those that are", async () => {
  const engine = await engineWith([5]);
  await assert.rejects(
    readPartition(engine, at, { order: "asc", from: 6, recordsMax: 1 }),
    (error: { code?: string; details?: unknown }) => {
      assert.deepEqual([error.code, error.details], ["OFFSET_OUT_OF_RANGE", { logStartOffset: 0, logEndOffset: 5 }]);
      return true;
    },
  );
  assert.deepEqual((await readPartition(engine, at, { order: "asc", from: 5, recordsMax: 1 })).records, []);
});

test("a batch that its producer wrote wrongly is passed by, and told", async () => {
  const engine = await engineWith([3]);
  // The header claims one record more than there are bytes for.
  const batch = encodeRecords([{ timestamp: 0, key: null, value: Buffer.from("x") }]);
  batch.writeInt32BE(1, 23);
  batch.writeInt32BE(2, 57);
  await engine.append({ ...at, batch, header: readBatchHeader(batch), durability: "fsync" });
  for (const order of ["asc", "desc"] as const) {
    const read = await readPartition(engine, at, { order, from: order === "asc" ? 0 : 5, recordsMax: 10 });
    assert.equal(read.unreadable.length, 1, order);
    assert.equal((read.unreadable[0]?.offset ?? 0) + (read.unreadable[0]?.records ?? 0), 5);
    assert.ok([0, 1, 2].every((offset) => offsetsOf(read.records).includes(offset)));
  }
});

test("partitions are merged by time, each in its own order, and go on where they were left", () => {
  const record = (offset: number, timestamp: number): StoredRecord => ({
    offset,
    timestamp,
    key: null,
    value: null,
    headers: [],
  });
  const reads = [
    { partition: 0, read: { records: [record(0, 10), record(1, 40), record(2, 5)], next: 3, unreadable: [] } },
    { partition: 1, read: { records: [record(7, 20), record(8, 30)], next: 9, unreadable: [] } },
  ];
  const merged = mergeByTime(reads, "asc", 3);
  assert.deepEqual(
    merged.records.map(({ partition, offset }) => [partition, offset]),
    [
      [0, 0],
      [1, 7],
      [1, 8],
    ],
  );
  assert.deepEqual(merged.next, [
    { partition: 0, offset: 1 },
    { partition: 1, offset: 9 },
  ]);
  const newest = reads.map(({ partition, read }) => ({
    partition,
    read: { ...read, records: read.records.toReversed(), next: 0 },
  }));
  const backward = mergeByTime(newest, "desc", 2);
  assert.deepEqual(
    backward.records.map(({ partition, offset }) => [partition, offset]),
    [
      [1, 8],
      [1, 7],
    ],
  );
  assert.deepEqual(backward.next, [
    { partition: 0, offset: 3 },
    { partition: 1, offset: 0 },
  ]);
});
