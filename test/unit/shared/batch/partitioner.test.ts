import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur2 as platformaticMurmur2 } from "@platformatic/kafka";
import fc from "fast-check";
import { murmur2, partitionForKey, positiveHash } from "../../../../shared/batch/partitioner.ts";

// org.apache.kafka.common.utils.UtilsTest.testMurmur2
const vectors = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
] as const;

for (const [key, hash] of vectors) {
  test(`murmur2: "${key}" -> Kafka's ${hash}`, () => {
    assert.equal(murmur2(Buffer.from(key)), hash);
  });
}

test("murmur2: any bytes -> what @platformatic/kafka's client computes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.equal(murmur2(bytes), platformaticMurmur2(Buffer.from(bytes)));
    }),
  );
});

test("positive hash: the sign bit is cleared, not the number negated", () => {
  assert.equal(positiveHash(Buffer.from("21")), -973932308 & 0x7fffffff);
  assert.notEqual(positiveHash(Buffer.from("21")), 973932308);
});

test("partition: any key and count -> within the count, and the same each time", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.integer({ min: 1, max: 10_000 }), (key, count) => {
      const partition = partitionForKey(key, count);
      assert.ok(Number.isInteger(partition) && partition >= 0 && partition < count);
      assert.equal(partitionForKey(Uint8Array.from(key), count), partition);
    }),
  );
});
