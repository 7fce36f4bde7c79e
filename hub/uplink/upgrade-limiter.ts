/**
 * How often one address may ask to connect. What is to be held back is who guesses tokens and who hammers, not a site of
 * hundreds of agents behind one address that all come back at once because the hub was away:
 *
 *   the right token       let in, and not counted
 *   a wrong one, or none  counted; after so many in a minute the address is turned away unheard until the minute is over
 *   unless                an agent of that address is connected, or was within TRUST_MS: a neighbour's wrong token must not
 *                         lock a site out
 *
 * A hub without a token has nothing that could be guessed: it counts every attempt, and takes more of them. Addresses of
 * this machine are not counted.
 */
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import { LoginFailureLimiter } from "../access/login-failure-limiter.ts";

/** So long an address is heard after the last of its agents has gone. */
export const TRUST_MS = 3_600_000;
/** Addresses remembered whose agents have gone; beyond it the one that was left first is forgotten. */
export const LEFT_ADDRESSES_MAX = 10_000;

export type UpgradeLimits = {
  /** With a token: attempts from one address that failed, in a minute. */
  readonly failuresPerMinuteMax: number;
  /** Without one: attempts from one address, in a minute. */
  readonly upgradesPerMinuteMax: number;
};

export type UpgradeVerdict = "admitted" | "unauthorized" | "too-often";

export class UpgradeLimiter {
  readonly #clock: Clock;
  readonly #isAuthorized: ((authorization: string | undefined) => boolean) | undefined;
  readonly #attempts: LoginFailureLimiter;
  readonly #connections = new Map<string, number>();
  /** When an address ceases to be trusted; in the order in which they were left. */
  readonly #left = new Map<string, number>();

  /** Without `isAuthorized` everybody is let in. */
  constructor(clock: Clock, limits: UpgradeLimits, isAuthorized?: (authorization: string | undefined) => boolean) {
    this.#clock = clock;
    this.#isAuthorized = isAuthorized;
    const { failuresPerMinuteMax, upgradesPerMinuteMax } = limits;
    const perMinuteMax = isAuthorized === undefined ? upgradesPerMinuteMax : failuresPerMinuteMax;
    this.#attempts = new LoginFailureLimiter(clock, perMinuteMax);
  }

  judge(address: string, authorization: string | undefined): UpgradeVerdict {
    const isBlocked = this.#attempts.isBlocked(address);
    if (isBlocked && !this.#isTrusted(address)) return "too-often";
    if (this.#isAuthorized?.(authorization) === true) return "admitted";
    if (isBlocked) return "too-often";
    this.#attempts.countFailure(address);
    return this.#isAuthorized === undefined ? "admitted" : "unauthorized";
  }

  /** An agent that was admitted is connected. */
  joined(address: string): void {
    this.#connections.set(address, (this.#connections.get(address) ?? 0) + 1);
  }

  left(address: string): void {
    const count = (this.#connections.get(address) ?? 0) - 1;
    if (count > 0) {
      this.#connections.set(address, count);
      return;
    }
    this.#connections.delete(address);
    this.#left.delete(address);
    if (this.#left.size >= LEFT_ADDRESSES_MAX) {
      const [first] = this.#left.keys();
      if (first !== undefined) this.#left.delete(first);
    }
    if (!isLoopbackHost(address)) this.#left.set(address, this.#clock.monotonicMs() + TRUST_MS);
  }

  /** Without a token nobody has earned trust. */
  #isTrusted(address: string): boolean {
    if (this.#isAuthorized === undefined) return false;
    return this.#connections.has(address) || this.#clock.monotonicMs() < (this.#left.get(address) ?? -Infinity);
  }
}
