import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { makeDirectory } from "../../../../shared/log/make-directory.ts";
import { tempDir } from "../../../support/temp-dir.ts";

test("make directory: all levels that are missing; one that is there stays", (t) => {
  const directory = path.join(tempDir(t), "a", "b", "c");
  makeDirectory(directory);
  const file = path.join(directory, "kept");
  writeFileSync(file, "");
  makeDirectory(directory);
  assert.ok(statSync(file).isFile());
});

test("make directory: a file in its place or above it is LOG_DIRECTORY, which names both", (t) => {
  const file = path.join(tempDir(t), "file");
  writeFileSync(file, "");
  for (const directory of [file, path.join(file, "below"), path.join(file, "far", "below")]) {
    assert.throws(
      () => makeDirectory(directory),
      ({ code, message }: Error & { code?: string }) =>
        code === "LOG_DIRECTORY" && message.startsWith(`LOG_DIRECTORY: ${directory} `) && message.includes("director"),
    );
  }
});

test("make directory: where nothing can be made is LOG_DIRECTORY, not an endless attempt", () => {
  assert.throws(() => makeDirectory("/proc/tributary/data"), { code: "LOG_DIRECTORY" });
});
