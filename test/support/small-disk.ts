/** A disk that is soon full: a tmpfs. Takes root on Linux. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmdirSync, statfsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const BLOCKS_BYTES = [65_536, 4096, 1] as const;

/** A directory on a disk of its own. */
export function smallDisk(t: After, mebibytes: number): string {
  assert.ok(process.platform === "linux" && process.getuid?.() === 0, "mounting a tmpfs takes root on Linux");
  const disk = mkdtempSync(path.join(os.tmpdir(), "tributary-small-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", disk]);
  // Lazily: a log that a failed test left open must not keep the directory.
  onCleanUp(t, () => {
    execFileSync("umount", ["--lazy", disk]);
    rmdirSync(disk);
  });
  return disk;
}

export const freeBytes = (disk: string): number => statfsSync(disk).bavail * statfsSync(disk).bsize;

/** What somebody else writes until no more than `sparedBytes` are left. Returns the file. */
export function fillUp(disk: string, sparedBytes = 0): string {
  const file = path.join(disk, "of-somebody-else");
  for (const bytes of BLOCKS_BYTES) {
    try {
      while (freeBytes(disk) - bytes >= sparedBytes) appendFileSync(file, Buffer.alloc(bytes));
      if (sparedBytes > 0) return file;
      for (;;) appendFileSync(file, Buffer.alloc(bytes));
    } catch (error) {
      assert.equal((error as { code?: string }).code, "ENOSPC");
    }
  }
  return file;
}
