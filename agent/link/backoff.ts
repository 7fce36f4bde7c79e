/** Waiting between attempts: full jitter, so that agents that lost the hub together do not come back together. Pure. */

export type Backoff = { readonly minMs: number; readonly maxMs: number };

/**
 * Between 0 and min(maxMs, minMs · 2^attempt), but never less than a tenth of minMs: no busy loop.
 * `attempt` counts from 0; `random` is in [0, 1).
 */
export function backoffMs({ minMs, maxMs }: Backoff, attempt: number, random: number): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 40));
  return Math.max(minMs / 10, Math.round(ceiling * random));
}
