import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";

/** A directory of its own for a test, gone afterwards. */
export function tempDir(t: Pick<TestContext, "after">): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), "tributary-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
