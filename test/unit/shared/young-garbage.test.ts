import assert from "node:assert/strict";
import test from "node:test";
import { YoungGarbage } from "../../../shared/young-garbage.ts";

const MIB = 1024 * 1024;

test("young garbage: looked through after every 2 MiB", () => {
  let looks = 0;
  const garbage = new YoungGarbage(() => looks++);
  for (let each = 0; each < 10; each++) garbage.add(MIB / 2);
  assert.equal(looks, 2);
  garbage.add(100 * MIB);
  assert.equal(looks, 3);
});

test("young garbage: memory of buffers that nobody uses any more is given back", () => {
  const garbage = new YoungGarbage();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let each = 0; each < 400; each++) {
    garbage.add(Buffer.alloc(MIB / 4).length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  // Of 100 MiB.
  assert.ok(most < 20 * MIB, `${most} bytes`);
});
