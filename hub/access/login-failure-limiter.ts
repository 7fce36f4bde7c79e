/** How often one address may fail to log in: who guesses passwords waits. Addresses of this machine are not counted. */
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";

const WINDOW_MS = 60_000;
/** Addresses remembered; beyond it the one whose minute began first is forgotten. */
export const ADDRESSES_MAX = 10_000;

export class LoginFailureLimiter {
  readonly #clock: Clock;
  readonly #failuresPerMinuteMax: number;
  /** In the order in which their minutes began. */
  readonly #windows = new Map<string, { readonly startMs: number; count: number }>();

  constructor(clock: Clock, failuresPerMinuteMax: number) {
    this.#clock = clock;
    this.#failuresPerMinuteMax = failuresPerMinuteMax;
  }

  /** True for the rest of a minute in which there were too many failures. */
  isBlocked(address: string): boolean {
    const window = this.#current(address);
    return window !== undefined && window.count >= this.#failuresPerMinuteMax;
  }

  countFailure(address: string): void {
    if (isLoopbackHost(address)) return;
    const window = this.#current(address);
    if (window !== undefined) {
      window.count++;
      return;
    }
    this.#windows.delete(address);
    if (this.#windows.size >= ADDRESSES_MAX) {
      const [oldest] = this.#windows.keys();
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    this.#windows.set(address, { startMs: this.#clock.monotonicMs(), count: 1 });
  }

  #current(address: string) {
    const window = this.#windows.get(address);
    return window !== undefined && this.#clock.monotonicMs() - window.startMs < WINDOW_MS ? window : undefined;
  }
}
