/**
 * What this process has really written to disks, and what that makes of a record and of a day: the measure of an SD
 * card's wear.
 *
 * `write_bytes` of /proc counts what the process gave the file system to be written, in pages of 4 KiB: each page once
 * for every time that it had to go out, so a commit of a few bytes counts as a page, as it does on the card. It leaves
 * out the file system's own journal, and what the card itself moves about. Where the data lie in memory (tmpfs) it counts
 * nothing, and so nothing is told.
 */
import { readFile, statfs } from "node:fs/promises";

const PROC_IO = "/proc/self/io";
/** f_type of statfs(2): tmpfs and ramfs. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01021994, 0x858458f6];
/** The present rate is that of the last hour. */
export const WRITES_SAMPLE_MS = 60_000;
const SAMPLE_COUNT_MAX = 61;
const DAY_MS = 86_400_000;

export type DiskWrites = {
  /** Since the process started; null where the system does not say. */
  readonly writtenBytes: number | null;
  /** Of those, for each record committed since then; null while there is none. */
  readonly bytesPerRecord: number | null;
  /** At the rate of the last `rateSeconds`; null until that can be said. */
  readonly bytesPerDay: number | null;
  readonly rateSeconds: number;
};

/**
 * Bytes that the process, with all its threads, has caused to be written to storage since it started. Undefined where
 * the system does not say (it is Linux that does) or `directory` is not on storage.
 */
export async function diskBytesWritten(directory?: string, file = PROC_IO): Promise<number | undefined> {
  try {
    if (directory !== undefined && MEMORY_FILE_SYSTEMS.includes((await statfs(directory)).type)) return undefined;
    return parseProcIo(await readFile(file, "utf8"));
  } catch {
    // No such file, or a kernel that does not let us read it: then the number is not known, which is what we say.
    return undefined;
  }
}

/** `write_bytes` of /proc/PID/io; see proc(5). */
export function parseProcIo(text: string): number | undefined {
  const found = /^write_bytes: (\d+)$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

type WritesSample = { readonly atMs: number; readonly writtenBytes: number };

/** Samples in, rates out. `atMs` is of a clock that never jumps. */
export class DiskWriteMeter {
  readonly #samples: WritesSample[] = [];
  #askedAtMs = -Infinity;

  /** Whether the next sample is due. */
  isDue(atMs: number): boolean {
    return atMs - this.#askedAtMs >= WRITES_SAMPLE_MS;
  }

  add(atMs: number, writtenBytes: number | undefined): void {
    if (!this.isDue(atMs)) return;
    this.#askedAtMs = atMs;
    if (writtenBytes === undefined) return;
    this.#samples.push({ atMs, writtenBytes });
    if (this.#samples.length > SAMPLE_COUNT_MAX) this.#samples.shift();
  }

  /** `records`: committed since the process started. */
  report(atMs: number, writtenBytes: number | undefined, records: number): DiskWrites {
    if (writtenBytes === undefined)
      return { writtenBytes: null, bytesPerRecord: null, bytesPerDay: null, rateSeconds: 0 };
    const first = this.#samples[0];
    const elapsedMs = first === undefined ? 0 : atMs - first.atMs;
    const isRateKnown = first !== undefined && elapsedMs > 0;
    return {
      writtenBytes,
      bytesPerRecord: records > 0 ? Math.round(writtenBytes / records) : null,
      bytesPerDay: isRateKnown ? Math.round(((writtenBytes - first.writtenBytes) * DAY_MS) / elapsedMs) : null,
      rateSeconds: isRateKnown ? Math.round(elapsedMs / 1000) : 0,
    };
  }
}
