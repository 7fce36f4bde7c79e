/** How often one address may ask to connect. Addresses of this machine may as often as they like. */
import type { Clock } from "../../shared/clock.ts";

const WINDOW_MS = 60_000;
/** Addresses remembered; beyond it the one whose minute began first is forgotten. */
export const ADDRESSES_MAX = 10_000;

export class UpgradeLimiter {
  readonly #clock: Clock;
  readonly #upgradesPerMinuteMax: number;
  /** In the order in which their minutes began. */
  readonly #windows = new Map<string, { readonly startMs: number; count: number }>();

  constructor(clock: Clock, upgradesPerMinuteMax: number) {
    this.#clock = clock;
    this.#upgradesPerMinuteMax = upgradesPerMinuteMax;
  }

  admit(address: string): boolean {
    if (isLoopback(address)) return true;
    const nowMs = this.#clock.monotonicMs();
    const window = this.#windows.get(address);
    if (window !== undefined && nowMs - window.startMs < WINDOW_MS) {
      window.count++;
      return window.count <= this.#upgradesPerMinuteMax;
    }
    this.#windows.delete(address);
    if (this.#windows.size >= ADDRESSES_MAX) {
      const [oldest] = this.#windows.keys();
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    this.#windows.set(address, { startMs: nowMs, count: 1 });
    return true;
  }
}

/** IPv4 addresses reach a dual-stack listener as ::ffff:127.0.0.1. */
function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}
