import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

/** A directory of its own for a test, gone afterwards. */
export function tempDir(t: After): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), "tributary-test-"));
  onCleanUp(t, () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
