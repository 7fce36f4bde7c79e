import assert from "node:assert/strict";
import { test } from "node:test";
import { readBatchHeader } from "../../../../shared/batch/record-batch.ts";
import { RecordScanner } from "../../../../shared/batch/record-scan.ts";
import { encodeRecords, recordsSection } from "../../../../shared/batch/records.ts";

const batch = encodeRecords([
  { timestamp: 1000, key: Buffer.from("a"), value: Buffer.from("1") },
  { timestamp: 990, key: null, value: Buffer.alloc(0), headers: [{ key: "h", value: null }] },
  { timestamp: 1005, key: Buffer.alloc(0), value: null },
]);
const header = readBatchHeader(batch);
const section = recordsSection(batch, header);

function scan(bytes: Buffer, over: Partial<typeof header> = {}): string[] {
  const scanner = new RecordScanner(bytes, { ...header, ...over });
  const seen: string[] = [];
  while (scanner.next()) {
    const { offsetDelta, timestampDelta, key, hasValue, start, end } = scanner;
    seen.push(`${offsetDelta} ${timestampDelta} ${key === null ? "null" : `"${String(key)}"`} ${hasValue}`);
    assert.equal(bytes[start], (end - start - 1) * 2, "a record is its length and as many bytes");
  }
  return seen;
}

test("record scan: each record's place, deltas and key, and whether it has a value", () => {
  assert.deepEqual(scan(section), [`0 0 "a" true`, `1 -10 null true`, `2 5 "" false`]);
});

test("record scan: records that end early, late, or are fewer than announced are refused", () => {
  const refused = { code: "CORRUPT_RECORD" };
  for (let cut = 0; cut < section.length; cut++) assert.throws(() => scan(section.subarray(0, cut)), refused);
  assert.throws(() => scan(Buffer.concat([section, Buffer.from([0])])), refused);
  assert.throws(() => scan(section, { recordCount: 4 }), refused);
  assert.throws(() => scan(section, { recordCount: 2 }), refused);
});

test("record scan: offsets that do not ascend, or lie beyond the batch, are refused", () => {
  assert.throws(() => scan(section, { lastOffsetDelta: 1 }), { code: "CORRUPT_RECORD" });
  const twice = Buffer.concat([section.subarray(0, 9), section.subarray(0, 9)]);
  assert.equal(scan(section.subarray(0, 9), { recordCount: 1 }).length, 1);
  assert.throws(() => scan(twice, { recordCount: 2 }), { code: "CORRUPT_RECORD" });
});

test("record scan: a key or value that reaches beyond its record is refused", () => {
  for (const [at, value] of [
    [4, 40],
    [4, 3],
    [6, 40],
  ] as const) {
    const bytes = Buffer.from(section);
    bytes[at] = value;
    assert.throws(() => scan(bytes), { code: "CORRUPT_RECORD" }, `byte ${at} = ${value}`);
  }
});
