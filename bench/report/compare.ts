/** Whether ours to the peers' has become worse than it was recorded. Only ratios: absolute times are the machine's. */
import { OURS, ratio, rowsOf } from "./results.ts";
import type { Results } from "./results.ts";

export type Change = {
  readonly row: string;
  readonly peer: string;
  readonly metric: string;
  readonly recorded: number;
  readonly now: number;
  /** How much worse, as a share: 0.5 is half as fast, or twice the cost; below 0 it is better. */
  readonly worse: number;
};

export type Comparison = {
  readonly changes: readonly Change[];
  /** Recorded, and not measured now: rows, peers, metrics. */
  readonly missing: readonly string[];
};

export function compare(recorded: Results, now: Results, { isIdle = false } = {}): Comparison {
  const changes: Change[] = [];
  const missing: string[] = [];
  const guarded = recorded.metrics.filter(
    (metric) => metric.isGuarded === true || (isIdle && metric.isGuardedWhenIdle === true),
  );
  const peers = recorded.contenders.map(({ name }) => name).filter((name) => name !== OURS);
  for (const row of rowsOf(recorded)) {
    for (const peer of peers) {
      for (const { key, title, better } of guarded) {
        const before = ratio(recorded, row, peer, key);
        // A peer that has no such cost has no ratio.
        if (Number.isNaN(before)) continue;
        const after = ratio(now, row, peer, key);
        if (Number.isNaN(after)) missing.push(`${row}, ${peer}: ${title}`);
        else {
          const worse = 1 - (better === "more" ? after / before : before / after);
          changes.push({ row, peer, metric: title, recorded: before, now: after, worse });
        }
      }
    }
  }
  return { changes, missing };
}
