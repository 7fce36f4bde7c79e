/**
 * The timers of one group over the program's timers. A session timer is started again with every heartbeat and almost
 * never expires; so starting it again only moves its deadline, and the one system timer under it looks, when it fires,
 * whether the deadline has moved on:
 *
 *   start(10 s)        start(10 s)                  fires: 4 s left, waits for them        fires: due
 *   |------------------|----------------------------|-------------------------------------|
 *   0                  4 s                          10 s                                   14 s
 */
import type { Clock } from "../../shared/clock.ts";

/** What a timer is for; those of members carry the member's id. */
type NamedTimer = { readonly kind: string; readonly memberId?: string };

/** The system's timers, so that tests can turn time by hand. */
export interface Timers {
  start(delayMs: number, onExpiry: () => void): RunningTimer;
}

export interface RunningTimer {
  cancel(): void;
}

export const systemTimers: Timers = {
  start(delayMs, onExpiry) {
    const timeout = setTimeout(onExpiry, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};

/**
 * A timer this late tells that the process stood still (stopped, starved, swapped out). Members may have been heard by
 * the socket and not by us, so nobody is judged before what they sent in the meantime has been read.
 */
const STALL_MS = 1_000;
/** Kafka clients heartbeat every 3 s. */
const STALL_GRACE_MS = 3_000;

type Entry<Timer> = {
  readonly timer: Timer;
  deadlineMs: number;
  /** Undefined once the timer is due. */
  running: { readonly timer: RunningTimer; readonly firesAtMs: number } | undefined;
};

export class DeadlineTimers<Timer extends NamedTimer> {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #onDue: (timer: Timer) => void;
  readonly #entries = new Map<string, Entry<Timer>>();

  constructor(rim: { clock: Clock; timers: Timers }, onDue: (timer: Timer) => void) {
    this.#clock = rim.clock;
    this.#timers = rim.timers;
    this.#onDue = onDue;
  }

  start(timer: Timer, delayMs: number): void {
    const key = keyOf(timer);
    const nowMs = this.#clock.monotonicMs();
    const deadlineMs = nowMs + delayMs;
    const entry = this.#entries.get(key);
    if (entry?.running !== undefined && entry.running.firesAtMs <= deadlineMs) {
      entry.deadlineMs = deadlineMs;
      return;
    }
    entry?.running?.timer.cancel();
    const fresh: Entry<Timer> = { timer, deadlineMs, running: undefined };
    this.#entries.set(key, fresh);
    this.#arm(key, fresh, nowMs);
  }

  cancel(timer: Timer): void {
    const key = keyOf(timer);
    this.#entries.get(key)?.running?.timer.cancel();
    this.#entries.delete(key);
  }

  has(timer: Timer): boolean {
    return this.#entries.has(keyOf(timer));
  }

  /**
   * True, once, when the timer is due and was neither cancelled nor started again since `onDue` told so: between the two
   * the event may have waited for the disk, and the member may have been heard.
   */
  takeDue(timer: Timer): boolean {
    const key = keyOf(timer);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.running !== undefined) return false;
    return this.#entries.delete(key);
  }

  cancelAll(): void {
    for (const entry of this.#entries.values()) entry.running?.timer.cancel();
    this.#entries.clear();
  }

  #arm(key: string, entry: Entry<Timer>, nowMs: number): void {
    const timer = this.#timers.start(Math.max(entry.deadlineMs - nowMs, 0), () => this.#onFired(key, entry));
    entry.running = { timer, firesAtMs: entry.deadlineMs };
  }

  #onFired(key: string, entry: Entry<Timer>): void {
    const nowMs = this.#clock.monotonicMs();
    const firesAtMs = entry.running?.firesAtMs ?? entry.deadlineMs;
    entry.running = undefined;
    if (nowMs - firesAtMs > STALL_MS) entry.deadlineMs = Math.max(entry.deadlineMs, nowMs + STALL_GRACE_MS);
    if (entry.deadlineMs > nowMs) return this.#arm(key, entry, nowMs);
    this.#onDue(entry.timer);
  }
}

function keyOf({ kind, memberId }: NamedTimer): string {
  return memberId === undefined ? kind : `${kind} ${memberId}`;
}
