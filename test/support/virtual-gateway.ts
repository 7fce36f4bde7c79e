/**
 * The machine under an agent: what time it really is, its clocks, which boots and people turn, and the timers of the
 * process on it. Time moves only when the test says so.
 */
import type { ClockFacts } from "../../agent/time/agent-clock.ts";
import type { Clock } from "../../shared/clock.ts";

/** The part of node:test's mocked timers that is needed. */
export type MockedTimers = {
  enable(options: { readonly apis: ("setTimeout" | "setInterval")[] }): void;
  reset(): void;
  tick(ms: number): void;
};

/** Timers that look at the clock see it right to this. */
const STEP_MS = 250;
const EPOCH_MS = Date.UTC(2026, 10, 23, 8);

export class VirtualGateway {
  readonly #timers: MockedTimers;
  /** What time it really is; the hub and NTP know it. */
  trueMs = EPOCH_MS;
  /** What the system clock shows too much. */
  aheadMs = 0;
  bootNumber = 0;
  #bootedAtMs = 0;
  #synchronizedAtMs: number | undefined;

  constructor(timers: MockedTimers) {
    this.#timers = timers;
    this.boot({ offMs: 0, aheadMs: 0 });
  }

  get bootId(): string {
    return `boot-${this.bootNumber}`;
  }

  get isSynchronized(): boolean {
    return this.#synchronizedAtMs !== undefined;
  }

  get wallMs(): number {
    return this.trueMs + this.aheadMs;
  }

  /** The machine was off for so long, and comes back with this clock. */
  boot({ offMs, aheadMs }: { readonly offMs: number; readonly aheadMs: number }): void {
    this.trueMs += offMs;
    this.aheadMs = aheadMs;
    this.bootNumber++;
    this.#bootedAtMs = this.trueMs - 5000;
    this.#synchronizedAtMs = undefined;
  }

  /** NTP sets the clock. */
  synchronize(errorMs: number): void {
    this.aheadMs = errorMs;
    this.#synchronizedAtMs = this.wallMs;
  }

  /** The timers of an earlier process end with it. */
  startProcess(): { readonly clock: Clock; readonly facts: ClockFacts } {
    this.#timers.reset();
    this.#timers.enable({ apis: ["setTimeout", "setInterval"] });
    const startedAtMs = this.trueMs;
    return {
      clock: { wallMs: () => this.wallMs, monotonicMs: () => this.trueMs - startedAtMs },
      facts: {
        bootMs: () => this.trueMs - this.#bootedAtMs,
        bootId: this.bootId,
        synchronizedAtMs: () => this.#synchronizedAtMs,
      },
    };
  }

  advance(ms: number): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      const step = Math.min(left, STEP_MS);
      this.trueMs += step;
      this.#timers.tick(step);
    }
  }
}
