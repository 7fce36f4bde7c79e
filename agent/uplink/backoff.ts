/**
 * When to try again: full jitter, so that a thousand agents do not come back in step after the hub was away. The first
 * attempts follow fast; a connection that did not last counts as a failure, so that flapping slows down too.
 *
 *   wait = random(0..1) * min(max, min * 2^failures)
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export type BackoffLimits = { readonly retryMinMs: number; readonly retryMaxMs: number };

/** A connection has to last so long after the welcome to count as one. */
export const STABLE_CONNECTION_MS = 10_000;
/** 2^30 of any minimum is beyond any maximum. */
const DOUBLINGS_MAX = 30;

/** `random` is at least 0 and below 1. */
export function retryDelayMs({ retryMinMs, retryMaxMs }: BackoffLimits, failures: number, random: number): number {
  return Math.round(random * Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures, DOUBLINGS_MAX)));
}

/** `connectedMs`: how long the connection lasted from its welcome; undefined when there was none. */
export function failuresAfter(failures: number, connectedMs: number | undefined): number {
  return connectedMs !== undefined && connectedMs >= STABLE_CONNECTION_MS ? 0 : failures + 1;
}
