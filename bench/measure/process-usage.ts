/** What a process has used so far, from /proc (Linux). */
import { readFileSync } from "node:fs";

export type Usage = {
  /** User and system time of all threads. */
  readonly cpuSeconds: number;
  /** Bytes the process caused to be written to the block layer; what the page cache absorbed for good is not in it. */
  readonly diskBytes: number;
  /** Bytes given to write calls, to sockets too. */
  readonly writtenBytes: number;
  readonly residentBytes: number;
  /** The most it ever was. */
  readonly residentBytesPeak: number;
};

/** USER_HZ, fixed at 100 for programs on every architecture we run on. */
const TICKS_PER_SECOND = 100;
const KIB = 1024;

export function readUsage(pid: number): Usage {
  const io = keyedNumbers(`/proc/${pid}/io`);
  const status = keyedNumbers(`/proc/${pid}/status`);
  return {
    cpuSeconds: cpuTicks(readFileSync(`/proc/${pid}/stat`, "utf8")) / TICKS_PER_SECOND,
    diskBytes: io.get("write_bytes") ?? Number.NaN,
    writtenBytes: io.get("wchar") ?? Number.NaN,
    residentBytes: (status.get("VmRSS") ?? Number.NaN) * KIB,
    residentBytesPeak: (status.get("VmHWM") ?? Number.NaN) * KIB,
  };
}

/** The difference for what counts up, the later value for what does not. */
export function usageSince(before: Usage, after: Usage): Usage {
  return {
    ...after,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    diskBytes: after.diskBytes - before.diskBytes,
    writtenBytes: after.writtenBytes - before.writtenBytes,
  };
}

/** utime and stime are fields 14 and 15 of proc(5); the name in field 2 may hold blanks, so count from its end. */
export function cpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function keyedNumbers(file: string): ReadonlyMap<string, number> {
  const lines = readFileSync(file, "utf8").split("\n");
  return new Map(lines.map((line) => [line.split(":", 1)[0] ?? "", Number.parseInt(line.split(":")[1] ?? "", 10)]));
}
