/**
 * How late the main thread is with what is due: whatever occupies it (a large message, a collection of garbage, a core that
 * others use) shows here first, and in every answer.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "./clock.ts";
import type { MetricValue } from "./metrics-text.ts";

type Histogram = ReturnType<typeof monitorEventLoopDelay>;

/** How often it looks. */
const RESOLUTION_MS = 20;
/** A reading is of so long at least, and of what has passed since the last reading at the most. */
export const WINDOW_MS_MIN = 60_000;
const NS_PER_MS = 1e6;
const MS_PER_SECOND = 1000;

/** Milliseconds; of all looks, half were less late than `p50`. */
export type EventLoopDelay = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };

/** For a metric, in seconds. */
export const quantilesOf = ({ p50Ms, p99Ms, maxMs }: EventLoopDelay): readonly MetricValue[] =>
  [
    { quantile: "0.5", ms: p50Ms },
    { quantile: "0.99", ms: p99Ms },
    { quantile: "1", ms: maxMs },
  ].map(({ quantile, ms }) => ({ value: ms / MS_PER_SECOND, labels: { quantile } }));

export class EventLoopDelayMeter {
  readonly #clock: Clock;
  #current: Histogram;
  #currentSinceMs: number;
  /** Complete: what is shown until the current one says as much. */
  #last: EventLoopDelay | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#currentSinceMs = clock.monotonicMs();
    this.#current = begin();
  }

  read(): EventLoopDelay {
    const now = delayOf(this.#current);
    const shown = this.#last === undefined ? now : worseOf(this.#last, now);
    if (this.#clock.monotonicMs() - this.#currentSinceMs >= WINDOW_MS_MIN) {
      this.#last = now;
      this.#current.disable();
      this.#current = begin();
      this.#currentSinceMs = this.#clock.monotonicMs();
    }
    return shown;
  }

  stop(): void {
    this.#current.disable();
  }
}

function begin(): Histogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

/** The histogram holds the times between looks, of which the resolution is meant. */
function delayOf(histogram: Histogram): EventLoopDelay {
  const late = (ns: number): number => (histogram.count === 0 ? 0 : Math.max(0, round(ns / NS_PER_MS - RESOLUTION_MS)));
  return { p50Ms: late(histogram.percentile(50)), p99Ms: late(histogram.percentile(99)), maxMs: late(histogram.max) };
}

const round = (ms: number): number => Math.round(ms * 10) / 10;

const worseOf = (a: EventLoopDelay, b: EventLoopDelay): EventLoopDelay => ({
  p50Ms: Math.max(a.p50Ms, b.p50Ms),
  p99Ms: Math.max(a.p99Ms, b.p99Ms),
  maxMs: Math.max(a.maxMs, b.maxMs),
});
