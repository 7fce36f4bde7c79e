/**
 * How often one address may ask to connect. What is to be held back is who guesses tokens and who hammers, not a site of
 * hundreds of agents behind one address that all come back at once because the hub was away:
 *
 *   the right token       let in, and not counted
 *   a wrong one, or none  counted; so many in a minute, and there is no further answer than "too often" until it is over
 *
 * A short token could be found by trying. Then an address with too many failures is not even heard, unless an agent of
 * that address is connected or was within TRUST_MS: who guesses there must not lock the site out. A long token is always
 * heard, because a whole fleet may come through one proxy, and a stranger with it.
 *
 * A hub without a token has nothing that could be guessed: it counts every attempt, and takes more of them. Addresses of
 * this machine are not counted.
 */
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import { LoginFailureLimiter } from "../access/login-failure-limiter.ts";

/** A token of so many characters is not found by trying. */
export const UNGUESSABLE_LENGTH = 20;
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

/** What agents have to show. */
export type UpgradeGuard = {
  readonly isAuthorized: (authorization: string | undefined) => boolean;
  readonly isGuessable: boolean;
};

export type UpgradeVerdict = "admitted" | "unauthorized" | "too-often";

export class UpgradeLimiter {
  readonly #clock: Clock;
  readonly #guard: UpgradeGuard | undefined;
  readonly #attempts: LoginFailureLimiter;
  readonly #connections = new Map<string, number>();
  /** When an address ceases to be trusted; in the order in which they were left. */
  readonly #left = new Map<string, number>();

  /** Without a guard everybody is let in. */
  constructor(clock: Clock, limits: UpgradeLimits, guard?: UpgradeGuard) {
    this.#clock = clock;
    this.#guard = guard;
    const { failuresPerMinuteMax, upgradesPerMinuteMax } = limits;
    const perMinuteMax = guard === undefined ? upgradesPerMinuteMax : failuresPerMinuteMax;
    this.#attempts = new LoginFailureLimiter(clock, perMinuteMax);
  }

  judge(address: string, authorization: string | undefined): UpgradeVerdict {
    const isBlocked = this.#attempts.isBlocked(address);
    if (isBlocked && !this.#isHeard(address)) return "too-often";
    if (this.#guard?.isAuthorized(authorization) === true) return "admitted";
    if (isBlocked) return "too-often";
    this.#attempts.countFailure(address);
    return this.#guard === undefined ? "admitted" : "unauthorized";
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

  /** After too many failures. Without a token there is nothing to be heard. */
  #isHeard(address: string): boolean {
    if (this.#guard === undefined) return false;
    if (!this.#guard.isGuessable || this.#connections.has(address)) return true;
    return this.#clock.monotonicMs() < (this.#left.get(address) ?? -Infinity);
  }
}
