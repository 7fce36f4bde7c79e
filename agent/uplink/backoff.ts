/**
 * When to try again: full jitter, so that a thousand agents do not come back in step after the hub was away. How long
 * depends on what the failed attempt has cost the hub:
 *
 *   heard by the hub     wait = random(0..1) * min(max, min * 2^failures)
 *   not heard (refused   wait = random(0..1) * between min and max: 1 % of the time since the first of them
 *   by its system, or    so what the agent adds to an outage is in proportion to it, and a hub that was away for a
 *   no way there)        minute is found within a second; after a day the fleet still spreads over max
 *
 * A connection that did not last counts as a failure that was heard, so that flapping slows down too; attempts that were
 * not heard leave the count of those alone.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export type BackoffLimits = { readonly retryMinMs: number; readonly retryMaxMs: number };

export type Failure = {
  /** How long the connection lasted from its welcome; undefined when there was none. */
  readonly connectedMs: number | undefined;
  /** Nothing of the attempt reached the hub's program. */
  readonly isUnheard: boolean;
  /** By a clock that never jumps. */
  readonly nowMs: number;
  /** At least 0 and below 1. */
  readonly random: number;
};

/** A connection has to last so long after the welcome to count as one. */
export const STABLE_CONNECTION_MS = 10_000;
/** Of the time for which the hub hears nothing, what a wait adds at the most. */
const UNHEARD_SHARE = 0.01;
/** 2^30 of any minimum is beyond any maximum. */
const DOUBLINGS_MAX = 30;

export class Backoff {
  readonly #limits: BackoffLimits;
  #failures = 0;
  #heardFailures = 0;
  #unheardSinceMs: number | undefined;

  constructor(limits: BackoffLimits) {
    this.#limits = limits;
  }

  /** Since the last connection that lasted. */
  get failures(): number {
    return this.#failures;
  }

  /** The time to wait before the next attempt. */
  failed({ connectedMs, isUnheard, nowMs, random }: Failure): number {
    if (connectedMs !== undefined && connectedMs >= STABLE_CONNECTION_MS) {
      this.#failures = 0;
      this.#heardFailures = 0;
    } else {
      this.#failures++;
      if (!isUnheard) this.#heardFailures++;
    }
    return Math.round(random * (isUnheard ? this.#unheardBoundMs(nowMs) : this.#heardBoundMs()));
  }

  #unheardBoundMs(nowMs: number): number {
    const { retryMinMs, retryMaxMs } = this.#limits;
    this.#unheardSinceMs ??= nowMs;
    return Math.min(retryMaxMs, Math.max(retryMinMs, UNHEARD_SHARE * (nowMs - this.#unheardSinceMs)));
  }

  #heardBoundMs(): number {
    const { retryMinMs, retryMaxMs } = this.#limits;
    this.#unheardSinceMs = undefined;
    const doublings = Math.min(Math.max(0, this.#heardFailures - 1), DOUBLINGS_MAX);
    return Math.min(retryMaxMs, retryMinMs * 2 ** doublings);
  }
}
