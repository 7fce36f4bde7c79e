import assert from "node:assert/strict";
import test from "node:test";
import { releaseMemory } from "../../../shared/release-memory.ts";

const MIB = 1024 * 1024;

test("release memory: a large buffer's is free at once, without a garbage collection", () => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let each = 0; each < 400; each++) {
    const bytes = Buffer.alloc(MIB / 4);
    releaseMemory(bytes);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  // Of 100 MiB.
  assert.ok(most < MIB, `${most} bytes`);
});

test("release memory: whoever uses it too late finds nothing", () => {
  const bytes = Buffer.alloc(MIB, 7);
  const part = bytes.subarray(100, 200);
  releaseMemory(part);
  assert.deepEqual([bytes.length, part.length, bytes[0]], [0, 0, undefined]);
  releaseMemory(bytes);
});

test("release memory: what others use, too, and what is small is left alone", () => {
  const small = Buffer.alloc(1000, 1);
  releaseMemory(small);
  assert.equal(small[999], 1);
  const cutFromBlock = Buffer.allocUnsafe(1100).fill(2);
  const neighbour = Buffer.allocUnsafe(1100).fill(3);
  releaseMemory(cutFromBlock);
  assert.deepEqual([cutFromBlock[1099], neighbour[0]], [2, 3]);
  const shared = new Uint8Array(new SharedArrayBuffer(MIB)).fill(4);
  releaseMemory(shared);
  assert.equal(shared[MIB - 1], 4);
});
