import assert from "node:assert/strict";
import test from "node:test";
import { constants, createZstdCompress, zstdCompressSync } from "node:zlib";
import { zstdContentBytes } from "../../../../shared/batch/zstd-size.ts";

for (const bytes of [0, 1, 255, 256, 257, 65_791, 65_792, 65_793, 1_000_000]) {
  test(`zstd size: a frame of ${bytes} bytes says so`, () => {
    assert.equal(zstdContentBytes(zstdCompressSync(Buffer.alloc(bytes, "sensor"))), bytes);
  });
}

test("zstd size: eight bytes, a window and a dictionary's number before it", () => {
  const eight = Buffer.from("28b52ffd" + "c0" + "58" + "0000000001000000", "hex");
  assert.equal(zstdContentBytes(eight), 2 ** 32);
  for (const [flag, id] of ["", "07", "0700", "07000000"].entries()) {
    const frame = Buffer.from(`28b52ffd${(0x80 | flag).toString(16)}58${id}10270000`, "hex");
    assert.equal(zstdContentBytes(frame), 10_000);
  }
});

test("zstd size: a stream does not know it", async () => {
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
  compress.end(Buffer.alloc(1000));
  const chunks: Buffer[] = [];
  for await (const chunk of compress) chunks.push(chunk as Buffer);
  assert.equal(zstdContentBytes(Buffer.concat(chunks)), undefined);
});

test("zstd size: something else, or a frame that is cut", () => {
  const whole = zstdCompressSync(Buffer.alloc(1_000_000));
  for (let length = 0; length < 9; length++) assert.equal(zstdContentBytes(whole.subarray(0, length)), undefined);
  assert.equal(zstdContentBytes(whole.subarray(0, 9)), 1_000_000);
  assert.equal(zstdContentBytes(Buffer.from("no frame at all")), undefined);
});
