import assert from "node:assert/strict";
import { test } from "node:test";
import { needsPlainBatches, toPlainBatches } from "../../../../hub/kafka/plain-batches.ts";
import { checkBatch, stampOffset, stampProducer } from "../../../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../../../shared/batch/records.ts";

const records = [1, 2, 3].map((i) => ({ timestamp: i, key: null, value: Buffer.from(`value ${i}`.repeat(20)) }));

function stored(codec: "zstd" | "gzip" | "none", offset: number): Buffer {
  const batch = encodeRecords(records, codec);
  stampProducer(batch, { producerId: 7n, producerEpoch: 1, baseSequence: 5 });
  stampOffset(batch, offset);
  return batch;
}

test("plain batches: zstd goes out uncompressed, with offsets, times and producer as stored, and a right CRC", () => {
  const [plain] = toPlainBatches([stored("zstd", 40)]);
  assert.ok(plain);
  const header = checkBatch(plain);
  assert.deepEqual([header.attributes & 7, header.baseOffset, header.producerId, header.baseSequence], [0, 40, 7n, 5]);
  assert.deepEqual([...decodeRecords(plain)], [...decodeRecords(stored("zstd", 40))]);
});

test("plain batches: every other codec stays as it is, and chunks of several batches are taken apart", () => {
  const gzip = stored("gzip", 3);
  const chunk = Buffer.concat([stored("zstd", 0), gzip]);
  const plain = toPlainBatches([chunk, stored("none", 6)]);
  assert.equal(plain.length, 3);
  assert.deepEqual(plain[1], gzip);
});

test("plain batches: who gets them", () => {
  const rows: readonly [string, number, boolean, boolean][] = [
    ["KafkaJS: Fetch 11, ApiVersions 2", 11, false, true],
    ["librdkafka 2.0: Fetch 11, ApiVersions 3", 11, true, false],
    ["newer clients: Fetch 12 and later", 12, false, false],
  ];
  for (const [who, version, isIdentified, expected] of rows) {
    assert.equal(needsPlainBatches(version, { isIdentified }), expected, who);
  }
});
