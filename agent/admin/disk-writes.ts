/** What this process has really written to disks: the measure of an SD card's wear. */
import { readFile } from "node:fs/promises";

const PROC_IO = "/proc/self/io";

/**
 * Bytes that the process, with all its threads, has caused to be written to storage since it started. Undefined where
 * the system does not say (it is Linux that does).
 */
export async function diskBytesWritten(file = PROC_IO): Promise<number | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch {
    // No such file, or a kernel that does not let us read it: then the number is not known, which is what we say.
    return undefined;
  }
  return parseProcIo(text);
}

/** `write_bytes` of /proc/PID/io; see proc(5). */
export function parseProcIo(text: string): number | undefined {
  const found = /^write_bytes: (\d+)$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
