import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { frameBatch, readBatchHeader, stampOffset } from "../../../../shared/batch/record-batch.ts";
import { codecs } from "../../../../shared/batch/record-batch.ts";
import { BatchMerger } from "../../../../shared/batch/merge.ts";
import { closeBatch, decodeRecords, encodeRecords, recordPositions } from "../../../../shared/batch/records.ts";
import type { NewRecord, StoredRecord } from "../../../../shared/record.ts";

const bytes = fc.option(fc.uint8Array({ maxLength: 60 }), { nil: null });
const record: fc.Arbitrary<NewRecord> = fc.record({
  timestamp: fc.integer({ min: 0, max: 2 ** 42 }),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ key: fc.string({ maxLength: 8 }), value: bytes }), { maxLength: 3 }),
});
const records = fc.array(record, { minLength: 1, maxLength: 40 });

const plain = (value: Uint8Array | null): string | null => (value === null ? null : Buffer.from(value).toString("hex"));

function comparable(each: StoredRecord | NewRecord): unknown {
  const headers = (each.headers ?? []).map((header) => [Buffer.from(header.key).toString("hex"), plain(header.value)]);
  return [each.timestamp, plain(each.key), plain(each.value), headers];
}

test("records: whatever is encoded is decoded, with every codec", () => {
  for (const codec of codecs) {
    fc.assert(
      fc.property(records, (input) => {
        const batch = encodeRecords(input, codec);
        assert.deepEqual([...decodeRecords(batch)].map(comparable), input.map(comparable));
        assert.deepEqual(
          [...recordPositions(batch)],
          input.map(({ timestamp }, offset) => ({ offset, timestamp })),
        );
        assert.equal(readBatchHeader(batch).maxTimestamp, Math.max(...input.map((each) => each.timestamp)));
      }),
      { numRuns: 60 },
    );
  }
});

test("records: batches that follow one another merge into one with the same records", () => {
  fc.assert(
    fc.property(fc.array(records, { minLength: 1, maxLength: 5 }), fc.nat(30), (runs, skip) => {
      let next = 1000;
      const batches = runs.map((run, i) => {
        const batch = encodeRecords(run, codecs[i % codecs.length]);
        stampOffset(batch, next);
        next += run.length;
        return batch;
      });
      const expected = batches
        .flatMap((batch) => [...decodeRecords(batch)])
        .filter((each) => each.offset >= 1000 + skip);
      const merger = new BatchMerger(1000 + skip);
      for (const batch of batches) merger.add(batch);
      assert.equal(merger.recordCount, expected.length);
      if (expected.length === 0) return;
      const { baseOffset } = merger;
      const merged = closeBatch(merger.take(), "zstd");
      stampOffset(merged, baseOffset);
      const found = [...decodeRecords(merged)];
      assert.deepEqual(
        found.map((each) => each.offset),
        expected.map((each) => each.offset),
      );
      assert.deepEqual(found.map(comparable), expected.map(comparable));
    }),
    { numRuns: 100 },
  );
});

test("records: a merge does not go on over a hole", () => {
  const first = encodeRecords([{ timestamp: 1, key: null, value: null }]);
  const second = encodeRecords([{ timestamp: 1, key: null, value: null }]);
  stampOffset(second, 2);
  const merger = new BatchMerger(0);
  merger.add(first);
  assert.equal(merger.continuesWith(second), false);
});

function batchAround(payload: Buffer, recordCount: number): Buffer {
  const times = { baseTimestamp: 0, maxTimestamp: 0 };
  return frameBatch({ codec: "none", lastOffsetDelta: recordCount - 1, recordCount, ...times }, payload);
}

test("records: contents that do not fit their lengths are refused", () => {
  const good = encodeRecords([{ timestamp: 1, key: Buffer.from("k"), value: Buffer.from("v") }]).subarray(61);
  const rows: readonly [string, Buffer, number][] = [
    ["more records than bytes", good, 1_000_000],
    ["fewer records than bytes", Buffer.concat([good, good]), 1],
    ["a record longer than the batch", Buffer.concat([Buffer.from([0x7e]), good.subarray(1)]), 1],
    ["a key longer than its record", Buffer.from("0e0000007e6b0276", "hex"), 1],
    ["more headers than the record can hold", Buffer.from("120000000101fe7f0000", "hex"), 1],
  ];
  for (const [what, payload, count] of rows) {
    assert.throws(() => [...decodeRecords(batchAround(payload, count))], { code: "CORRUPT_RECORD" }, what);
  }
});
