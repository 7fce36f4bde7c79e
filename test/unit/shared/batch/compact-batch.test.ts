import assert from "node:assert/strict";
import { test } from "node:test";
import { compactBatch } from "../../../../shared/batch/compact-batch.ts";
import type { CompactedBatch, CompactionRules } from "../../../../shared/batch/compact-batch.ts";
import {
  checkBatch,
  codecOf,
  codecs,
  deleteHorizonOf,
  hasValidCrc,
  readBatchHeader,
  stampAppendTime,
  stampOffset,
  stampProducer,
} from "../../../../shared/batch/record-batch.ts";
import type { Codec } from "../../../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../../../shared/batch/records.ts";

type Pair = readonly [key: string | null, value: string | null];

const BASE_OFFSET = 100;
const TIME = 1_700_000_000_000;
const DAY_MS = 86_400_000;

/** Records a second apart, from offset 100 on. */
function batchOf(pairs: readonly Pair[], codec: Codec = "none"): Buffer {
  const batch = encodeRecords(
    pairs.map(([key, value], i) => ({
      timestamp: TIME + i * 1000,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: [{ key: "unit", value: Buffer.from("°C") }],
    })),
    codec,
  );
  stampProducer(batch, { producerId: 9n, producerEpoch: 2, baseSequence: 40 });
  stampOffset(batch, BASE_OFFSET);
  return batch;
}

/** By key, the newest offset that is known; by default nothing is. */
function rules(newest: Readonly<Record<string, number>> = {}, over: Partial<CompactionRules> = {}): CompactionRules {
  return {
    isSuperseded: (key, offset) => (newest[String(key)] ?? -1) > offset,
    cleanEnd: 1000,
    firstDirtyOffset: 0,
    now: TIME + DAY_MS,
    newHorizon: TIME + 2 * DAY_MS,
    mayDropTombstones: true,
    ...over,
  };
}

const run = (batch: Buffer, with_: CompactionRules): CompactedBatch =>
  compactBatch(batch, readBatchHeader(batch), with_);

function rewritten(batch: Buffer, with_: CompactionRules): Buffer {
  const result = run(batch, with_);
  assert.ok(result.type === "rewritten");
  return result.batch;
}

const show = (batch: Buffer): string[] =>
  [...decodeRecords(batch)].map(
    ({ offset, timestamp, key, value }) => `${offset} ${String(key)}=${String(value)} @${(timestamp - TIME) / 1000}`,
  );

test("compaction: superseded records go; offsets, times, headers and producer's numbers of the others stay", () => {
  for (const codec of codecs) {
    const batch = batchOf(
      [
        ["a", "1"],
        ["b", "1"],
        ["a", "2"],
        ["c", "1"],
      ],
      codec,
    );
    const result = rewritten(batch, rules({ a: 102, b: 400 }));

    assert.deepEqual(show(result), ["102 a=2 @2", "103 c=1 @3"], codec);
    const header = readBatchHeader(result);
    assert.equal(codecOf(header), codec);
    assert.ok(hasValidCrc(result, header));
    assert.equal(header.bytes, result.length);
    const { baseOffset, lastOffsetDelta, recordCount, producerId, producerEpoch, baseSequence } = header;
    assert.deepEqual([baseOffset, lastOffsetDelta, recordCount], [100, 3, 2]);
    assert.deepEqual([producerId, producerEpoch, baseSequence], [9n, 2, 40]);
    assert.deepEqual([...decodeRecords(result)][0]?.headers, [{ key: "unit", value: Buffer.from("°C") }]);
  }
});

test("compaction: a batch without anything to take is left as it is", () => {
  const batch = batchOf([
    ["a", "1"],
    [null, "x"],
  ]);
  assert.deepEqual(run(batch, rules({ a: 100 })), { type: "unchanged", horizon: undefined });
});

test("compaction: a batch without a record left is removed, never left empty", () => {
  assert.deepEqual(
    run(
      batchOf([
        ["a", "1"],
        ["a", "2"],
      ]),
      rules({ a: 500 }),
    ),
    { type: "removed", recordsRemoved: 2 },
  );
});

test("compaction: a batch ends with its last record, so that every fetch of it finds one at or after its offset", () => {
  const result = rewritten(
    batchOf([
      ["a", "1"],
      ["b", "1"],
      ["a", "2"],
      ["a", "3"],
    ]),
    rules({ a: 500 }),
  );
  assert.deepEqual(show(result), ["101 b=1 @1"]);
  assert.equal(readBatchHeader(result).lastOffsetDelta, 1);
});

test("compaction: records without a key are never taken, not even those without a value", () => {
  const result = rewritten(
    batchOf([
      [null, "x"],
      ["a", "1"],
      [null, null],
    ]),
    rules({ a: 500 }),
  );
  assert.deepEqual(show(result), ["100 null=x @0", "102 null=null @2"]);
});

test("compaction: records from the clean end on stay, whatever the map says", () => {
  const result = rewritten(
    batchOf([
      ["a", "1"],
      ["a", "2"],
      ["a", "3"],
    ]),
    rules({ a: 500 }, { cleanEnd: 101 }),
  );
  assert.deepEqual(show(result), ["101 a=2 @1", "102 a=3 @2"]);
});

test("compaction: the largest timestamp is that of the records that are left", () => {
  const result = rewritten(
    batchOf([
      ["a", "1"],
      ["b", "1"],
      ["a", "2"],
    ]),
    rules({ a: 500 }),
  );
  assert.equal(readBatchHeader(result).maxTimestamp, TIME + 1000);
});

test("compaction: records with the hub's time keep it", () => {
  const batch = batchOf([
    ["a", "1"],
    ["b", null],
    ["a", "2"],
  ]);
  stampAppendTime(batch, TIME + 5000);
  const result = rewritten(batch, rules({ a: 500 }));
  assert.deepEqual(show(result), ["101 b=null @5"]);
  assert.equal(readBatchHeader(result).maxTimestamp, TIME + 5000);
});

test("tombstones: the first compaction gives them a horizon, which changes no record's time", () => {
  for (const codec of codecs) {
    const batch = batchOf(
      [
        ["a", "1"],
        ["b", null],
        ["c", "1"],
      ],
      codec,
    );
    const result = run(batch, rules({ a: 500 }));
    assert.ok(result.type === "rewritten");
    assert.deepEqual(show(result.batch), ["101 b=null @1", "102 c=1 @2"], codec);
    assert.equal(deleteHorizonOf(readBatchHeader(result.batch)), TIME + 2 * DAY_MS);
    assert.equal(result.horizon, TIME + 2 * DAY_MS);
    assert.equal(readBatchHeader(result.batch).maxTimestamp, TIME + 2000);
  }
});

test("tombstones: they stay until the horizon and go from then on", () => {
  const batch = rewritten(
    batchOf([
      ["b", null],
      ["c", "1"],
    ]),
    rules(),
  );
  const clean = { firstDirtyOffset: 500 };
  const horizon = TIME + 2 * DAY_MS;
  assert.deepEqual(run(batch, rules({}, { ...clean, now: horizon - 1 })), { type: "unchanged", horizon });
  assert.deepEqual(show(rewritten(batch, rules({}, { ...clean, now: horizon }))), ["101 c=1 @1"]);
});

test("tombstones: a horizon that a producer set, or a run that did not end, does not count", () => {
  const batch = rewritten(
    batchOf([
      ["b", null],
      ["c", "1"],
    ]),
    rules(),
  );
  const later = TIME + 30 * DAY_MS;
  const again = rewritten(batch, rules({}, { firstDirtyOffset: 101, now: later, newHorizon: later + DAY_MS }));
  assert.equal(deleteHorizonOf(readBatchHeader(again)), later + DAY_MS);
  assert.deepEqual(show(again), ["100 b=null @0", "101 c=1 @1"]);
});

test("tombstones: none goes where an older value may be hidden", () => {
  const batch = rewritten(batchOf([["b", null]]), rules());
  const kept = run(batch, rules({}, { firstDirtyOffset: 500, now: TIME + 9 * DAY_MS, mayDropTombstones: false }));
  assert.equal(kept.type, "unchanged");
});

test("tombstones: a superseded one goes at once", () => {
  assert.equal(run(batchOf([["b", null]]), rules({ b: 500 })).type, "removed");
});

test("tombstones: without an end (delete.retention.ms of Long.MAX_VALUE) they stay as they are", () => {
  const batch = batchOf([["b", null]]);
  const result = run(batch, rules({}, { newHorizon: TIME + Number(2n ** 63n - 1n) }));
  assert.deepEqual(result, { type: "unchanged", horizon: undefined });
});

test("compaction: a batch whose records are not what its header says is refused", () => {
  const lying = batchOf([
    ["a", "1"],
    ["b", "1"],
  ]);
  lying.writeInt32BE(3, 57);
  assert.throws(() => run(lying, rules({ a: 500 })), { code: "CORRUPT_RECORD" });

  const outOfRange = batchOf([
    ["a", "1"],
    ["b", "1"],
  ]);
  outOfRange.writeInt32BE(0, 23);
  assert.throws(() => run(outOfRange, rules({ a: 500 })), { code: "CORRUPT_RECORD" });
});

test("compaction: what is left is still a batch that reads back, and compacting it again changes nothing", () => {
  const batch = batchOf(
    [
      ["a", "1"],
      ["b", null],
      ["c", "1"],
      ["a", "2"],
    ],
    "zstd",
  );
  const newest = { a: 103 };
  const once = rewritten(batch, rules(newest));
  assert.equal(run(once, rules(newest, { firstDirtyOffset: 500 })).type, "unchanged");
  // Not dense any more, so it could not be produced like this; all else of a batch's rules holds.
  assert.throws(() => checkBatch(once), { code: "INVALID_RECORD" });
});
