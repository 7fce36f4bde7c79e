/** Says when a measurement was one of the load generator. */
import type { LoadResult } from "./load-program.ts";

const BUSY_SHARE_MAX = 0.9;

export function warnIfLimit(what: string, { busyShare, late }: LoadResult): void {
  const percent = Math.round(busyShare * 100);
  if (busyShare > BUSY_SHARE_MAX)
    process.stderr.write(`!!! ${what}: THE LOAD WAS THE LIMIT (${percent} % of a core)\n`);
  if (late > 0) process.stderr.write(`!!! ${what}: ${late} messages were due and not sent: the windows were full\n`);
}
