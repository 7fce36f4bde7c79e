import type { Clock } from "../../shared/clock.ts";

/** Connections that one address other than loopback may open in a minute. */
const UPGRADES_PER_MINUTE_MAX = 10;
const MINUTE_MS = 60_000;
/** Addresses remembered; beyond it the count starts anew, which only lets somebody in early. */
const ADDRESSES_MAX = 10_000;

/** Counts connection attempts by address in windows of a minute. */
export class UpgradeRate {
  readonly #clock: Clock;
  readonly #counts = new Map<string, number>();
  #windowEndsMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  admits(address: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#windowEndsMs || this.#counts.size >= ADDRESSES_MAX) {
      this.#counts.clear();
      this.#windowEndsMs = nowMs + MINUTE_MS;
    }
    const count = (this.#counts.get(address) ?? 0) + 1;
    this.#counts.set(address, count);
    return count <= UPGRADES_PER_MINUTE_MAX;
  }
}
