/** Time that moves only when a test says so: a clock and the timers that hang on it. */
import type { Clock } from "../../shared/clock.ts";
import type { RunningTimer, Timers } from "../../hub/group/deadline-timers.ts";

type Scheduled = { readonly atMs: number; readonly onExpiry: () => void };

export class VirtualTimers implements Timers, Clock {
  #nowMs = 0;
  readonly #scheduled = new Set<Scheduled>();
  /** Timers started since the beginning: what starting them costs. */
  startedCount = 0;

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  get runningCount(): number {
    return this.#scheduled.size;
  }

  start(delayMs: number, onExpiry: () => void): RunningTimer {
    this.startedCount += 1;
    const scheduled = { atMs: this.#nowMs + delayMs, onExpiry };
    this.#scheduled.add(scheduled);
    return { cancel: () => void this.#scheduled.delete(scheduled) };
  }

  /** Lets time pass; timers fire in their order, and what they set off settles before the next one fires. */
  async advance(ms: number): Promise<void> {
    await settled();
    const untilMs = this.#nowMs + ms;
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#scheduled.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.onExpiry();
      await settled();
    }
    this.#nowMs = untilMs;
  }

  /** The process stands still: time passes and no timer fires until the next `advance`, which finds them late. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  /** The process is gone, and its timers with it. */
  cancelAll(): void {
    this.#scheduled.clear();
  }

  #next(untilMs: number): Scheduled | undefined {
    let earliest: Scheduled | undefined;
    for (const scheduled of this.#scheduled) {
      const isEarlier = earliest === undefined || scheduled.atMs < earliest.atMs;
      if (scheduled.atMs <= untilMs && isEarlier) earliest = scheduled;
    }
    return earliest;
  }
}

/** Every promise that can settle without time or I/O has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
