import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { takesWrites } from "../../../shared/disk-probe.ts";
import { tempDir } from "../../support/temp-dir.ts";

test("disk probe: a directory that takes writes, and nothing of the probe remains", async (t) => {
  const directory = tempDir(t);
  assert.equal(await takesWrites(directory), true);
  assert.deepEqual(readdirSync(directory), []);
});

test("disk probe: one that takes none", async (t) => {
  assert.equal(await takesWrites(path.join(tempDir(t), "missing")), false);
  assert.equal(await takesWrites("/proc/self"), false);
});
