import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { compress } from "../../../../shared/batch/compression.ts";
import { crc32c } from "../../../../shared/batch/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  checkBatch,
  codecOf,
  codecs,
  isLogAppendTime,
  replacePayload,
  stampProducer,
} from "../../../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../../../shared/batch/records.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { RECORD_ERRORS_MAX, recordErrorsOf } from "../../../../hub/topics/record-errors.ts";
import { INSPECTED_BYTES_MAX, storedForm } from "../../../../hub/topics/stored-form.ts";
import { produceSettings } from "../../../../hub/topics/topic-configs.ts";

const NOW = 1_700_000_000_000;
const types = ["uncompressed", "gzip", "snappy", "lz4", "zstd"] as const;

const records = Array.from({ length: 50 }, (_, index) => ({
  timestamp: NOW - index,
  key: Buffer.from(`key ${index}`),
  value: Buffer.from("the same again and again ".repeat(8)),
  headers: [{ key: "h", value: Buffer.from("x") }],
}));

function store(batch: Buffer, config: Record<string, string>) {
  return storedForm(batch, checkBatch(batch), { settings: produceSettings(config, {}), now: NOW });
}

const shown = (batch: Buffer) =>
  Array.from(decodeRecords(batch), ({ offset, timestamp, key, value, headers }) => [
    offset,
    timestamp,
    String(key),
    String(value),
    headers.map((header) => `${header.key}=${String(header.value)}`).join(),
  ]);

const refusedWith =
  (code: string, indexes?: readonly number[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof StreamError);
    assert.equal(error.code, code);
    if (indexes !== undefined)
      assert.deepEqual(
        recordErrorsOf(error).map(({ batchIndex }) => batchIndex),
        indexes,
      );
    return true;
  };

test("as a rule the stored batch is the produced one, byte for byte", () => {
  for (const codec of codecs) {
    const batch = encodeRecords(records, codec);
    const stored = store(batch, {});
    assert.deepEqual(stored.batch, batch);
    const same = store(batch, { "compression.type": types[codecs.indexOf(codec)] ?? "" });
    assert.deepEqual(same.batch, batch, `${codec} stays ${codec}`);
  }
});

for (const [index, type] of types.entries()) {
  for (const [from, codec] of codecs.entries()) {
    if (from === index) continue;
    test(`compression.type ${type}: a ${codec} batch is stored in it, and holds the same`, () => {
      const batch = encodeRecords(records, codec);
      stampProducer(batch, { producerId: 7n, producerEpoch: 2, baseSequence: 40 });
      const before = checkBatch(batch);
      const { batch: stored, header } = store(batch, { "compression.type": type });
      assert.deepEqual(checkBatch(stored), header, "the CRC is right");
      assert.equal(codecOf(header), codecs[index]);
      assert.deepEqual(shown(stored), shown(batch));
      const { bytes: _, crc: __, attributes: ___, ...rest } = header;
      const { bytes: _bytes, crc: _crc, attributes: _attributes, ...expected } = before;
      assert.deepEqual(rest, expected, "times, counts and the producer's numbers stay");
    });
  }
}

test("the level of gzip and zstd is the topic's", () => {
  const batch = encodeRecords(records);
  const sizes = (type: string, levels: readonly string[]) =>
    levels.map((level) => {
      const config = { "compression.type": type, [`compression.${type}.level`]: level };
      return store(batch, config).batch.subarray(BATCH_HEADER_BYTES);
    });
  const [stored, fast, best, standard] = sizes("gzip", ["0", "1", "9", "-1"]);
  assert.ok((stored?.length ?? 0) > (fast?.length ?? 0) && (fast?.length ?? 0) >= (best?.length ?? 0));
  assert.deepEqual(standard, Buffer.from(compress("gzip", gunzipSync(best ?? Buffer.alloc(0)))));
  const plain = gunzipSync(best ?? Buffer.alloc(0));
  const [nine] = sizes("zstd", ["9"]);
  assert.deepEqual(nine, Buffer.from(compress("zstd", plain, 9)));
});

test("LogAppendTime and another codec: the hub's time, a right CRC, and the records' own deltas kept", () => {
  const batch = encodeRecords(records, "gzip");
  const config = { "compression.type": "lz4", "message.timestamp.type": "LogAppendTime" };
  const { batch: stored, header } = store(batch, config);
  assert.deepEqual(checkBatch(stored), header);
  assert.ok(isLogAppendTime(header));
  assert.deepEqual([header.maxTimestamp, codecOf(header)], [NOW, "lz4"]);
  assert.ok([...decodeRecords(stored)].every(({ timestamp }) => timestamp === NOW));
});

test("a batch that becomes larger than max.message.bytes is refused, as one that came so large", () => {
  const batch = encodeRecords(records, "gzip");
  const config = { "compression.type": "uncompressed", "max.message.bytes": String(batch.length) };
  assert.throws(() => store(batch, config), refusedWith("MESSAGE_TOO_LARGE"));
});

test("INSPECTED_BYTES_MAX: a small batch of very much is not unpacked", () => {
  const large = encodeRecords([{ timestamp: NOW, key: null, value: Buffer.alloc(INSPECTED_BYTES_MAX) }], "gzip");
  assert.throws(() => store(large, { "compression.type": "zstd" }), refusedWith("MESSAGE_TOO_LARGE"));
});

test("records that cannot be read are refused for good, though the CRC is right", () => {
  const batch = encodeRecords(records, "gzip");
  const broken = replacePayload(batch, Buffer.from("no gzip at all, and long enough for it".repeat(10)), "gzip");
  assert.throws(() => store(broken, { "compression.type": "zstd" }), refusedWith("INVALID_RECORD"));
  const more = replacePayload(encodeRecords(records), Buffer.alloc(600, 1), "none");
  assert.throws(() => store(more, { "compression.type": "zstd" }), refusedWith("INVALID_RECORD"));
});

test("offsets within the batch have to be in a row", () => {
  const batch = encodeRecords(
    [records[0], records[1]].map((each) => ({ timestamp: NOW, key: null, value: each?.value ?? null })),
  );
  // Record 0: length (2 bytes), attributes, timestamp delta, offset delta.
  batch[BATCH_HEADER_BYTES + 4] = 2;
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  assert.throws(() => store(batch, { "compression.type": "zstd" }), refusedWith("INVALID_RECORD", [0]));
});

test("each record's time is held against the topic's limits, and those that fail are named", () => {
  const times = [NOW - 5000, NOW, NOW - 1000, NOW - 1001];
  const batch = encodeRecords(times.map((timestamp) => ({ timestamp, key: null, value: Buffer.from("v") })));
  assert.throws(
    () => store(batch, { "message.timestamp.before.max.ms": "1000" }),
    refusedWith("INVALID_TIMESTAMP", [0, 3]),
  );
  const ahead = encodeRecords(
    [NOW + 1001, NOW].map((timestamp) => ({ timestamp, key: null, value: null })),
    "zstd",
  );
  assert.throws(
    () => store(ahead, { "message.timestamp.after.max.ms": "1000" }),
    refusedWith("INVALID_TIMESTAMP", [0]),
  );
  assert.deepEqual(store(batch, { "message.timestamp.before.max.ms": "5000" }).batch, batch);
  const config = { "message.timestamp.before.max.ms": "1", "message.timestamp.type": "LogAppendTime" };
  assert.equal(store(batch, config).header.recordCount, 4, "the hub's time is always right");
});

test("RECORD_ERRORS_MAX: an answer names so many records and no more", () => {
  const late = Array.from({ length: RECORD_ERRORS_MAX + 20 }, () => ({ timestamp: 0, key: null, value: null }));
  const expected = Array.from({ length: RECORD_ERRORS_MAX }, (_, index) => index);
  const config = { "message.timestamp.before.max.ms": "1000" };
  assert.throws(() => store(encodeRecords(late), config), refusedWith("INVALID_TIMESTAMP", expected));
});
