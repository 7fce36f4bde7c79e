/** How many connections there are, in all and from each address, and how fast an address opens new ones. Pure. */
import type { LimitName, MqttLimits } from "./limits.ts";

type AddressCount = { open: number; secondStartedMs: number; opened: number };

const SECOND_MS = 1000;
/** Addresses without a connection are forgotten when there are more than this. */
const ADDRESSES_MAX = 4096;

export class ConnectionCounts {
  readonly #limits: MqttLimits;
  readonly #addresses = new Map<string, AddressCount>();
  #open = 0;

  constructor(limits: MqttLimits) {
    this.#limits = limits;
  }

  get open(): number {
    return this.#open;
  }

  /** Counts a new connection, or names the limit that forbids it. `nowMs` is monotonic. */
  tryOpen(address: string, isLoopback: boolean, nowMs: number): LimitName | undefined {
    const limit = this.#judge(this.#address(address, nowMs), isLoopback);
    if (limit === undefined) this.#open++;
    return limit;
  }

  closed(address: string): void {
    this.#open--;
    const count = this.#addresses.get(address);
    if (count !== undefined) count.open--;
  }

  #judge(count: AddressCount, isLoopback: boolean): LimitName | undefined {
    if (this.#open >= this.#limits.connectionsMax) return "connectionsMax";
    if (!isLoopback) {
      if (count.open >= this.#limits.connectionsPerAddressMax) return "connectionsPerAddressMax";
      if (count.opened >= this.#limits.connectsPerAddressPerSecondMax) return "connectsPerAddressPerSecondMax";
    }
    count.open++;
    count.opened++;
    return undefined;
  }

  #address(address: string, nowMs: number): AddressCount {
    const known = this.#addresses.get(address);
    if (known !== undefined) {
      if (nowMs - known.secondStartedMs >= SECOND_MS) {
        known.secondStartedMs = nowMs;
        known.opened = 0;
      }
      return known;
    }
    if (this.#addresses.size >= ADDRESSES_MAX) {
      for (const [other, count] of this.#addresses) if (count.open === 0) this.#addresses.delete(other);
    }
    const count = { open: 0, secondStartedMs: nowMs, opened: 0 };
    this.#addresses.set(address, count);
    return count;
  }
}
