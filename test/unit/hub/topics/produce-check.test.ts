/** One test a row of what Kafka checks on produce, in its order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "../../../../shared/batch/crc32c.ts";
import { encodeRecords } from "../../../../shared/batch/records.ts";
import { stampProducer } from "../../../../shared/batch/record-batch.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { checkProduced } from "../../../../hub/topics/produce-check.ts";
import { produceSettings } from "../../../../hub/topics/topic-configs.ts";

const NOW = 1_700_000_000_000;
const golden = Buffer.from(
  "0000000000000000000000480000000002813191d20000000000010000018bcfe568000000018bcfe56805" +
    "ffffffffffffffffffff00000000000000021a000000026b047631020268027810000a020104763200",
  "hex",
);

/** A valid batch with some of its header changed; the CRC is right unless `crc` is false. */
function batch(change: (bytes: Buffer) => void = () => undefined, crc = true): Buffer {
  const bytes = encodeRecords([
    { timestamp: NOW, key: Buffer.from("k"), value: Buffer.from("v1") },
    { timestamp: NOW + 5, key: null, value: Buffer.from("v2") },
  ]);
  change(bytes);
  if (crc) bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

function check(records: Buffer | null, config: Record<string, string> = {}, produceVersion = 9) {
  return checkProduced(records, { settings: produceSettings(config, {}), produceVersion, now: NOW });
}

test("a batch as producers write it passes, with base sequence 0 and no producer too", () => {
  assert.equal(check(golden).recordCount, 2);
  assert.equal(check(batch()).recordCount, 2);
});

const rows: readonly [
  what: string,
  records: Buffer | null,
  wire: number,
  config?: Record<string, string>,
  version?: number,
][] = [
  ["no records", null, 87],
  ["empty records", Buffer.alloc(0), 87],
  ["the old format 1", batch((b) => b.writeInt8(1, 16)), 87],
  ["the old format 0, with its shorter length", batch((b) => b.writeInt8(0, 16)).subarray(0, 40), 87],
  ["a format that does not exist", batch((b) => b.writeInt8(3, 16)), 2],
  ["two batches", Buffer.concat([batch(), batch()]), 87],
  ["bytes after the batch", Buffer.concat([batch(), Buffer.alloc(3)]), 87],
  ["a length below a header", batch((b) => b.writeInt32BE(48, 8)), 2],
  ["a length beyond the bytes", batch((b) => b.writeInt32BE(1000, 8)), 2],
  ["a cut header", batch().subarray(0, 20), 2],
  ["zstd from a producer that is too old", batch((b) => b.writeInt16BE(4, 21)), 76, {}, 6],
  ["a base offset", batch((b) => b.writeInt32BE(1, 4)), 87],
  ["a batch larger than max.message.bytes", batch(), 10, { "max.message.bytes": "70" }],
  ["a wrong CRC", batch((b) => b.writeInt8(0x7f, b.length - 1), false), 2],
  ["a codec that does not exist", batch((b) => b.writeInt16BE(5, 21)), 76],
  ["no record", batch((b) => b.writeInt32BE(0, 57)), 87],
  ["a negative last offset delta", batch((b) => b.writeInt32BE(-1, 23)), 87],
  ["more records than the last offset delta tells", batch((b) => b.writeInt32BE(3, 57)), 87],
  [
    "more records than there can be in its bytes, which would take as many offsets",
    batch((b) => {
      b.writeInt32BE(2 ** 31 - 2, 23);
      b.writeInt32BE(2 ** 31 - 1, 57);
    }),
    87,
  ],
  ["a control batch", batch((b) => b.writeInt16BE(0x20, 21)), 87],
  ["a transactional batch", batch((b) => b.writeInt16BE(0x10, 21)), 53],
  ["a timestamp type set by the client", batch((b) => b.writeInt16BE(0x08, 21)), 32],
  [
    "a producer id without a sequence",
    batch((b) => stampProducer(b, { producerId: 1n, producerEpoch: 0, baseSequence: -1 })),
    87,
  ],
  [
    "too old a timestamp",
    batch((b) => b.writeBigInt64BE(BigInt(NOW - 1001), 35)),
    32,
    { "message.timestamp.before.max.ms": "1000" },
  ],
  [
    "a timestamp too far ahead",
    batch((b) => b.writeBigInt64BE(BigInt(NOW + 1001), 35)),
    32,
    { "message.timestamp.after.max.ms": "1000" },
  ],
];

for (const [what, records, wire, config, version] of rows) {
  test(`${what} is refused with ${wire}`, () => {
    assert.throws(
      () => check(records, config, version),
      (error: unknown) => error instanceof StreamError && error.wire === wire,
    );
  });
}

test("a batch cut at any length is refused", () => {
  for (let cut = 0; cut < golden.length; cut++) {
    assert.throws(() => check(golden.subarray(0, cut)), StreamError, `cut at ${cut}`);
  }
});

test("timestamps do not matter where the hub sets them", () => {
  const config = { "message.timestamp.type": "LogAppendTime", "message.timestamp.after.max.ms": "0" };
  assert.equal(check(batch(), config).recordCount, 2);
});

test("zstd is stored from producers that may use it", () => {
  assert.equal(
    check(
      batch((b) => b.writeInt16BE(4, 21)),
      {},
      7,
    ).recordCount,
    2,
  );
});
