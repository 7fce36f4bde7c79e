import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { snappyCompress } from "@platformatic/wasm-utils";
import { compress, decompress } from "../../../../shared/batch/compression.ts";
import { codecs } from "../../../../shared/batch/record-batch.ts";

const text = Buffer.from("tributary ".repeat(2000));

test("compression: what each codec compresses comes back", () => {
  for (const codec of codecs) assert.deepEqual(decompress(codec, compress(codec, text), text.length), text, codec);
});

test("compression: a block that would become too large is refused with every codec", () => {
  for (const codec of codecs) {
    assert.throws(
      () => decompress(codec, compress(codec, text), text.length - 1),
      { code: "MESSAGE_TOO_LARGE" },
      codec,
    );
  }
});

test("compression: bytes that are not of the codec are refused", () => {
  for (const codec of codecs.slice(1)) {
    assert.throws(() => decompress(codec, Buffer.from("not compressed at all"), 1000), { name: "StreamError" }, codec);
  }
});

test("compression: snappy in snappy-java's blocks, as Java clients write it", () => {
  const blocks = [text.subarray(0, 5000), text.subarray(5000)].map((part) => {
    const block = snappyCompress(part);
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    return Buffer.concat([length, block]);
  });
  const header = Buffer.from("82534e4150505900" + "00000001" + "00000001", "hex");
  assert.deepEqual(decompress("snappy", Buffer.concat([header, ...blocks]), text.length), text);
  const cut = Buffer.concat([header, ...blocks]).subarray(0, -1);
  assert.throws(() => decompress("snappy", cut, text.length), { code: "CORRUPT_RECORD" });
});

test("compression: a gzip bomb costs no more than the limit", () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  assert.throws(() => decompress("gzip", bomb, 1_000_000), { code: "MESSAGE_TOO_LARGE" });
});
