/** Whether the disk under a directory takes writes: a file that is made, flushed and removed. */
import { randomBytes } from "node:crypto";
import { open, rm } from "node:fs/promises";
import path from "node:path";

const PROBE_BYTES = 512;
/** How often a program that only reads looks again. */
const PROBE_MS = 15_000;

export async function takesWrites(directory: string): Promise<boolean> {
  const file = path.join(directory, `probe-${randomBytes(4).toString("hex")}`);
  try {
    const handle = await open(file, "wx");
    try {
      await handle.writeFile(randomBytes(PROBE_BYTES));
      await handle.sync();
    } finally {
      await handle.close();
    }
    return true;
  } catch {
    return false;
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
  }
}

/** Calls `then`, perhaps more than once, when the disk takes writes again. */
export function whenWritable(directory: string, then: () => void): NodeJS.Timeout {
  return setInterval(() => {
    void takesWrites(directory).then((isWritable) => isWritable && then());
  }, PROBE_MS).unref();
}
