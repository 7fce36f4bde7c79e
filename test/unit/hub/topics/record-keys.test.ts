import assert from "node:assert/strict";
import { test } from "node:test";
import { compress } from "../../../../shared/batch/compression.ts";
import { checkBatch, codecs, frameBatch } from "../../../../shared/batch/record-batch.ts";
import type { Codec } from "../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../shared/batch/records.ts";
import { StreamError } from "../../../../shared/errors.ts";
import {
  RECORD_ERRORS_MAX,
  UNPACKED_BYTES_ALWAYS_ALLOWED,
  UNPACKED_BYTES_MAX,
  UNPACKED_RATIO_MAX,
  checkKeys,
  recordErrorsOf,
} from "../../../../hub/topics/record-keys.ts";

const MIB = 1024 * 1024;

function check(
  keys: readonly (string | null)[],
  { codec = "none", value = "v" }: { codec?: Codec; value?: string } = {},
): void {
  const records = keys.map((key) => ({
    timestamp: 1,
    key: key === null ? null : Buffer.from(key),
    value: Buffer.from(value),
  }));
  const batch = encodeRecords(records, codec);
  checkKeys(batch, checkBatch(batch));
}

function refusal(keys: readonly (string | null)[], codec: Codec = "none"): StreamError {
  try {
    check(keys, { codec });
  } catch (error) {
    assert.ok(error instanceof StreamError);
    return error;
  }
  return assert.fail("not refused");
}

test("keys: records that have one are accepted in every codec, an empty key too", () => {
  for (const codec of codecs) check(["a", "", "b"], { codec });
});

test("keys: each record without one is named, by its place in the batch, in every codec", () => {
  for (const codec of codecs) {
    const error = refusal(["a", null, "b", null], codec);
    assert.deepEqual([error.code, error.wire], ["INVALID_RECORD", 87]);
    assert.deepEqual(
      recordErrorsOf(error).map(({ batchIndex }) => batchIndex),
      [1, 3],
      codec,
    );
  }
});

test("keys: an answer names no more records than its limit", () => {
  assert.equal(recordErrorsOf(refusal(Array.from({ length: 1000 }, () => null))).length, RECORD_ERRORS_MAX);
  assert.deepEqual(recordErrorsOf(new StreamError("INVALID_RECORD", "of the whole batch")), []);
});

test("keys: a batch that becomes much more than it is, and much, is refused as too large with every codec", () => {
  const much = "x".repeat(MIB);
  for (const codec of codecs.slice(1)) {
    // One megabyte is allowed whatever the ratio; ten are too much for any.
    check(["a"], { codec, value: "x".repeat(UNPACKED_BYTES_ALWAYS_ALLOWED - 100) });
    const keys = Array.from({ length: UNPACKED_BYTES_MAX / MIB + 2 }, (_, i) => `k${i}`);
    assert.throws(() => check(keys, { codec, value: much }), { code: "MESSAGE_TOO_LARGE" }, codec);
  }
  const keys = ["a", "b", "c"];
  assert.ok(UNPACKED_RATIO_MAX < 1000);
  assert.throws(
    () => check(keys, { codec: "zstd", value: much }),
    { code: "MESSAGE_TOO_LARGE" },
    "3 MiB of next to nothing",
  );
});

test("keys: plain records are as large as their batch, which has a limit of its own", () => {
  check(
    Array.from({ length: 10 }, (_, i) => `k${i}`),
    { value: "x".repeat(MIB) },
  );
});

test("keys: records that cannot be read are refused for good, not as damage on the way", () => {
  const fields = { lastOffsetDelta: 0, recordCount: 1, baseTimestamp: 0, maxTimestamp: 0 };
  const garbage = Buffer.from("these are no records at all");
  for (const codec of codecs) {
    const batch = frameBatch({ codec, ...fields }, compress(codec, garbage));
    assert.throws(() => checkKeys(batch, checkBatch(batch)), { code: "INVALID_RECORD" }, codec);
    if (codec === "none") continue;
    const broken = frameBatch({ codec, ...fields }, garbage);
    assert.throws(
      () => checkKeys(broken, checkBatch(broken)),
      { name: "StreamError", code: /INVALID_RECORD|MESSAGE_TOO_LARGE/ },
      codec,
    );
  }
});
