import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkBatch,
  isLogAppendTime,
  readBatchHeader,
  splitBatches,
  stampAppendTime,
  stampOffset,
  stampProducer,
} from "../../../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../../../shared/batch/records.ts";
import { crc32c } from "../../../../shared/batch/crc32c.ts";

/** Two records as a Kafka producer writes them: (k, v1, header h=x) at 1700000000000 and (null, v2) 5 ms later. */
const GOLDEN = Buffer.from(
  "0000000000000000000000480000000002813191d20000000000010000018bcfe568000000018bcfe56805" +
    "ffffffffffffffffffff00000000000000021a000000026b047631020268027810000a020104763200",
  "hex",
);

test("record batch: the golden batch is read as what its producer wrote", () => {
  const header = checkBatch(GOLDEN);
  assert.equal(header.recordCount, 2);
  assert.equal(header.baseTimestamp, 1_700_000_000_000);
  assert.equal(header.maxTimestamp, 1_700_000_000_005);
  assert.equal(header.producerId, -1n);
  const [first, second] = [...decodeRecords(GOLDEN)];
  assert.deepEqual(
    [String(first?.key), String(first?.value), first?.headers.map((each) => `${each.key}=${String(each.value)}`)],
    ["k", "v1", ["h=x"]],
  );
  assert.deepEqual([second?.key, String(second?.value), second?.timestamp], [null, "v2", 1_700_000_000_005]);
});

test("record batch: our own encoding of the same records has the same bytes after the header", () => {
  const ours = encodeRecords([
    {
      timestamp: 1_700_000_000_000,
      key: Buffer.from("k"),
      value: Buffer.from("v1"),
      headers: [{ key: "h", value: Buffer.from("x") }],
    },
    { timestamp: 1_700_000_000_005, key: null, value: Buffer.from("v2") },
  ]);
  assert.equal(ours.subarray(61).toString("hex"), GOLDEN.subarray(61).toString("hex"));
  assert.equal(ours.length, GOLDEN.length);
  checkBatch(ours);
});

test("record batch: every truncation is refused", () => {
  for (let cut = 0; cut < GOLDEN.length; cut++) {
    assert.throws(() => checkBatch(GOLDEN.subarray(0, cut)), { name: "StreamError" }, `cut at ${cut}`);
  }
});

test("record batch: every single flipped bit after the offset and leader epoch is noticed", () => {
  for (let at = 8; at < GOLDEN.length; at++) {
    if (at >= 12 && at < 16) continue;
    for (let bit = 0; bit < 8; bit++) {
      const bytes = Buffer.from(GOLDEN);
      bytes[at] = (bytes[at] as number) ^ (1 << bit);
      assert.throws(() => checkBatch(bytes), { name: "StreamError" }, `byte ${at} bit ${bit}`);
    }
  }
});

/** The golden batch with a field changed and the CRC made right again, as a wrong producer would send it. */
function withField(change: (batch: Buffer) => void): Buffer {
  const batch = Buffer.from(GOLDEN);
  change(batch);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

test("record batch: rules of the format, each broken once", () => {
  const rows: readonly [string, Buffer, string][] = [
    ["no bytes", Buffer.alloc(0), "INVALID_RECORD"],
    ["a second batch behind the first", Buffer.concat([GOLDEN, GOLDEN]), "INVALID_RECORD"],
    ["magic 1", withField((batch) => batch.writeInt8(1, 16)), "INVALID_RECORD"],
    ["magic 3", withField((batch) => batch.writeInt8(3, 16)), "CORRUPT_RECORD"],
    ["codec 5", withField((batch) => batch.writeInt16BE(5, 21)), "UNSUPPORTED_COMPRESSION_TYPE"],
    ["no records", withField((batch) => batch.writeInt32BE(0, 57)), "INVALID_RECORD"],
    ["more records than offsets", withField((batch) => batch.writeInt32BE(3, 57)), "INVALID_RECORD"],
    ["a control batch", withField((batch) => batch.writeInt16BE(0x20, 21)), "INVALID_RECORD"],
    [
      "a producer without a sequence",
      withField((batch) => {
        batch.writeBigInt64BE(5n, 43);
        batch.writeInt32BE(-1, 53);
      }),
      "INVALID_RECORD",
    ],
  ];
  for (const [what, batch, code] of rows) assert.throws(() => checkBatch(batch), { code }, what);
});

test("record batch: offset and leader epoch are stamped without touching the CRC", () => {
  const batch = Buffer.from(GOLDEN);
  stampOffset(batch, 123_456_789_012);
  assert.equal(checkBatch(batch).baseOffset, 123_456_789_012);
  assert.deepEqual(
    [...decodeRecords(batch)].map((each) => each.offset),
    [123_456_789_012, 123_456_789_013],
  );
});

test("record batch: producer numbers and append time are stamped with a new CRC", () => {
  const batch = Buffer.from(GOLDEN);
  stampProducer(batch, { producerId: 2n ** 62n + 5n, producerEpoch: 32767, baseSequence: 2 ** 31 - 1 });
  stampAppendTime(batch, 42);
  const header = checkBatch(batch);
  assert.deepEqual(
    [header.producerId, header.producerEpoch, header.baseSequence, isLogAppendTime(header)],
    [2n ** 62n + 5n, 32767, 2 ** 31 - 1, true],
  );
  assert.deepEqual(
    [...decodeRecords(batch)].map((each) => each.timestamp),
    [42, 42],
  );
});

test("record batch: a run of batches splits into its batches; a cut one is refused", () => {
  const run = Buffer.concat([GOLDEN, GOLDEN]);
  assert.equal([...splitBatches(run)].length, 2);
  assert.throws(() => [...splitBatches(run.subarray(0, run.length - 1))], { code: "CORRUPT_RECORD" });
  assert.equal(readBatchHeader(run, GOLDEN.length).recordCount, 2);
});
