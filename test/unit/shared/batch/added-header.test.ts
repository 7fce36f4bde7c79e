import assert from "node:assert/strict";
import test from "node:test";
import { encodeHeader, withHeader } from "../../../../shared/batch/added-header.ts";
import { BatchBuilder, encodeHeaders } from "../../../../shared/batch/batch-builder.ts";
import { BatchMerger } from "../../../../shared/batch/merge.ts";
import { provisionalTimestamp } from "../../../../shared/batch/provisional-time.ts";
import { frameBatch, stampOffset } from "../../../../shared/batch/record-batch.ts";
import { decodeRecords } from "../../../../shared/batch/records.ts";
import { StreamError } from "../../../../shared/errors.ts";
import type { StoredRecord } from "../../../../shared/record.ts";

type Given = { timestamp: number; key?: string; value: string | null; headers?: [string, string][] };

function batchOf(records: readonly Given[], baseOffset: number): Buffer {
  const builder = new BatchBuilder();
  for (const { timestamp, key, value, headers = [] } of records) {
    builder.append(
      timestamp,
      key === undefined ? null : Buffer.from(key),
      value === null ? null : Buffer.from(value),
      encodeHeaders(headers.map(([name, text]) => ({ key: name, value: Buffer.from(text) }))),
    );
  }
  const open = builder.take();
  const fields = { codec: "none", lastOffsetDelta: open.recordCount - 1, ...open } as const;
  const batch = frameBatch(fields, new Uint8Array(open.buffer, 0, open.bytes));
  stampOffset(batch, baseOffset);
  return batch;
}

function joined(merger: BatchMerger): StoredRecord[] {
  const { baseOffset } = merger;
  const open = merger.take();
  const fields = { codec: "none", lastOffsetDelta: open.recordCount - 1, ...open } as const;
  const batch = frameBatch(fields, new Uint8Array(open.buffer, 0, open.bytes));
  stampOffset(batch, baseOffset);
  return [...decodeRecords(batch)];
}

function shown({ offset, timestamp, key, value, headers }: StoredRecord) {
  const pairs = headers.map((header) => `${header.key}=${header.value?.toString() ?? ""}`);
  return [offset, timestamp, key?.toString() ?? null, value?.toString() ?? null, pairs.join()];
}

test("added header: a record of a gateway without a clock gets its time and says so; the others keep their bytes", () => {
  const real = Date.UTC(2026, 10, 23);
  const sessions = [
    { number: 4, offsetMs: real, quality: "corrected" },
    { number: 6, offsetMs: real, quality: undefined },
  ] as const;
  const merger = new BatchMerger(10, { sessions });
  merger.add(
    batchOf(
      [
        { timestamp: provisionalTimestamp(4, 1000), key: "k", value: "a", headers: [["mqtt.qos", "1"]] },
        { timestamp: provisionalTimestamp(4, 2000), value: null },
        { timestamp: provisionalTimestamp(5, 1), key: "", value: "" },
        { timestamp: provisionalTimestamp(6, 7), value: "right", headers: [["mqtt.qos", "1"]] },
      ],
      10,
    ),
  );
  merger.add(batchOf([{ timestamp: real + 5000, key: "k", value: "b", headers: [["mqtt.qos", "1"]] }], 14));
  assert.deepEqual(joined(merger).map(shown), [
    [10, real + 1000, "k", "a", "mqtt.qos=1,time.quality=corrected"],
    [11, real + 2000, null, null, "time.quality=corrected"],
    [12, provisionalTimestamp(5, 1), "", "", "time.quality=estimated"],
    [13, real + 7, null, "right", "mqtt.qos=1"],
    [14, real + 5000, "k", "b", "mqtt.qos=1"],
  ]);
});

test("added header: the count of headers may need a byte more", () => {
  const headers = Array.from({ length: 63 }, (_, index): [string, string] => [`h${index}`, "v"]);
  const merger = new BatchMerger(0, { sessions: [{ number: 1, offsetMs: 0, quality: "estimated" }] });
  for (let offset = 0; offset < 200; offset++) {
    merger.add(batchOf([{ timestamp: provisionalTimestamp(1, offset), value: "v", headers }], offset));
  }
  const records = joined(merger);
  assert.equal(records.length, 200);
  assert.ok(records.every((record) => record.headers.length === 64 && record.headers[63]?.key === "time.quality"));
});

test("added header: a record that ends early is corrupt", () => {
  assert.throws(
    () => withHeader(Uint8Array.of(2), encodeHeader("a", "b")),
    (error) => {
      return error instanceof StreamError && error.code === "CORRUPT_RECORD";
    },
  );
});

test("added header: history is marked record by record, and ends where new records begin", () => {
  const real = Date.UTC(2026, 10, 23);
  const merger = new BatchMerger(11, { header: encodeHeader("historical", "true"), end: 14 });
  for (const baseOffset of [10, 12, 14]) {
    merger.add(
      batchOf(
        [
          { timestamp: real + baseOffset, key: "k", value: "a", headers: [["mqtt.qos", "1"]] },
          { timestamp: real + baseOffset + 1, value: null },
        ],
        baseOffset,
      ),
    );
  }
  assert.deepEqual(joined(merger).map(shown), [
    [11, real + 11, null, null, "historical=true"],
    [12, real + 12, "k", "a", "mqtt.qos=1,historical=true"],
    [13, real + 13, null, null, "historical=true"],
  ]);
});
