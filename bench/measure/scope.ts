/** What a measurement starts ends with it, also when it fails. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { After } from "../../test/support/clean-up.ts";

export async function inScope<Result>(body: (t: After) => Promise<Result>): Promise<Result> {
  const cleanUps: (() => unknown)[] = [];
  try {
    return await body({ after: (cleanUp: () => unknown) => void cleanUps.push(cleanUp) });
  } finally {
    for (const cleanUp of cleanUps) await cleanUp();
  }
}

/** The same, with a new directory in TMPDIR, which is what decides on the disk. */
export function inDirectory<Result>(body: (t: After, directory: string) => Promise<Result>): Promise<Result> {
  const directory = mkdtempSync(path.join(tmpdir(), "tributary-bench-"));
  return inScope((t) => body(t, directory)).finally(() => rmSync(directory, { recursive: true, force: true }));
}
