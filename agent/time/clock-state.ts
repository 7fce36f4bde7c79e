/**
 * Whether the system's clock can be believed, and what time it is if it cannot. Pure: readings in, a verdict out.
 *
 *                     ┌── the hub says the time, NTP has set the clock, somebody sets it to what can be ──┐
 *   start ─▶ unknown ─┘                                                                                  ▼
 *     └──────────────────────── the clock can be believed ─────────────────────────────────────────▶  known
 *
 * Not believed at a start is a clock
 *   behind     before this program was built, or before the time that was last known (a clock without a battery)
 *   restored   at the boot only minutes after the time that was last known on another one: systems without a battery save
 *              the time when they shut down and take it up again when they boot (fake-hwclock), as if none had passed
 *   ahead      years after the last known time
 *   unconfirmed   at a boot, by anybody: it may be the date of the card's image, or of a battery that ran out and was
 *              changed; a clock that is wrong by days and could be right looks like one that is right
 * None of that is proof. A doubt costs little: the records are stamped provisionally and get their time when the hub has
 * told it, which is before they leave.
 *
 * Once known, the time goes by the system clock as long as that moves like the monotonic one. A jump of more than
 * JUMP_MS is not followed until the hub says the same or the clock jumps back; from then on the time is counted by the
 * monotonic clock. So `known` never ends within a process.
 */
import type { Timestamp } from "../../shared/ids.ts";

/** At one moment: the wall clock, and the milliseconds of the monotonic clock since the boot. */
export type ClockReading = { readonly wallMs: Timestamp; readonly bootMs: number };

export type ClockSource = "system" | "ntp" | "hub";
export type ClockDoubt = "behind" | "restored" | "ahead" | "unconfirmed";

/** What an earlier process knew. */
export type SavedClock = {
  /** The time when it was saved. */
  readonly savedAtMs: Timestamp;
  /** To be added to the monotonic clock; means something within the same boot. */
  readonly offsetMs: number;
  /** Undefined where the system does not tell one boot from another. */
  readonly bootId: string | undefined;
};

export type ClockStart = {
  readonly reading: ClockReading;
  readonly bootId: string | undefined;
  readonly saved: SavedClock | undefined;
  /** No clock can be before it. */
  readonly builtAtMs: Timestamp;
  /** The system says that its clock is set by NTP. That it does not say so means nothing. */
  readonly isSynchronized: boolean;
};

/** The hub's time, and when the question left and the answer came. */
export type HubTime = { readonly hubMs: Timestamp; readonly askedAtBootMs: number; readonly answeredAtBootMs: number };

/** The two clocks drift apart by less between two looks; a step of NTP at work is smaller, too. */
export const JUMP_MS = 10_000;
/** A clock that was restored showed at most this much more than the last known time when the machine booted. */
export const RESTORED_MS = 600_000;
const DAY_MS = 86_400_000;
/** No gateway lies in a drawer for longer. */
export const AHEAD_MS = 3 * 365 * DAY_MS;

export class ClockState {
  readonly #floorMs: Timestamp;
  readonly #start: ClockStart;
  /** Wall clock less monotonic clock. */
  #offsetMs: number;
  #source: ClockSource | undefined;
  #doubt: ClockDoubt | undefined;
  #isFollowing = true;
  /** The system clock's offset when it was last looked at. */
  #systemOffsetMs: number;
  #isSynchronized: boolean;
  /** While the time was not known, the system clock was set. */
  #hasJumped = false;
  #wasRight = false;

  constructor(start: ClockStart) {
    this.#start = start;
    const { saved, builtAtMs, reading, bootId } = start;
    this.#isSynchronized = start.isSynchronized;
    this.#floorMs = Math.max(builtAtMs, saved?.savedAtMs ?? 0);
    this.#systemOffsetMs = reading.wallMs - reading.bootMs;
    this.#offsetMs = this.#systemOffsetMs;
    if (saved !== undefined && bootId !== undefined && isSameBoot(saved, start)) {
      // It was known in this boot already: whatever the clock was set to since, the monotonic one went on.
      this.#source = "system";
      this.#isFollowing = isClose(this.#systemOffsetMs, saved.offsetMs);
      if (!this.#isFollowing) this.#offsetMs = saved.offsetMs;
    } else {
      this.#judge(reading);
      if (this.#source === undefined) this.#offsetMs = Math.max(this.#floorMs, reading.wallMs) - reading.bootMs;
      if (this.#doubt === "ahead") this.#offsetMs = this.#floorMs - reading.bootMs;
    }
  }

  get isKnown(): boolean {
    return this.#source !== undefined;
  }

  get source(): ClockSource | undefined {
    return this.#source;
  }

  /** Why the clock was not believed; undefined once it is known. */
  get doubt(): ClockDoubt | undefined {
    return this.#source === undefined ? this.#doubt : undefined;
  }

  /** The time has become known, and it is what the system clock had shown since the process began. */
  get wasRight(): boolean {
    return this.#wasRight;
  }

  /** The time is that of the system clock. */
  get isFollowing(): boolean {
    return this.isKnown && this.#isFollowing;
  }

  /** What the system clock shows too much, against the time. */
  get systemAheadMs(): number {
    return this.#systemOffsetMs - this.#offsetMs;
  }

  /** To be added to the monotonic clock: the time, or the best guess while it is not known. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /**
   * Looks at the clocks again; now and then, and whenever the wall clock has moved oddly. `isJustSynchronized`: NTP has
   * set the clock since the last look.
   */
  look(reading: ClockReading, isJustSynchronized: boolean): void {
    const before = this.#systemOffsetMs;
    this.#systemOffsetMs = reading.wallMs - reading.bootMs;
    this.#isSynchronized ||= isJustSynchronized;
    if (!this.isKnown) {
      const isUnconfirmed = this.#doubt === "unconfirmed";
      const isSet = isJustSynchronized || this.#systemOffsetMs - before > JUMP_MS;
      this.#hasJumped ||= !isClose(this.#systemOffsetMs, before);
      if (isSet) this.#judge(reading, !isUnconfirmed);
      if (this.isKnown) this.#becomeKnown(this.#systemOffsetMs);
      else if (isUnconfirmed && reading.wallMs >= this.#floorMs) this.#offsetMs = this.#systemOffsetMs;
      return;
    }
    if (isJustSynchronized && reading.wallMs >= this.#start.builtAtMs) {
      this.#source = "ntp";
      this.#offsetMs = this.#systemOffsetMs;
    }
    this.#isFollowing = isClose(this.#systemOffsetMs, this.#offsetMs);
    if (this.#isFollowing) this.#offsetMs = this.#systemOffsetMs;
  }

  /**
   * The hub's word goes before everything but NTP's, to what the way of its message leaves open. False if its clock cannot
   * be right itself: a hub is a machine that may have lost its battery, and must not take its agents along.
   */
  hear({ hubMs, askedAtBootMs, answeredAtBootMs }: HubTime): boolean {
    if (!this.#isPossible(hubMs, answeredAtBootMs)) return false;
    const offsetMs = hubMs - (askedAtBootMs + answeredAtBootMs) / 2;
    const slackMs = JUMP_MS + (answeredAtBootMs - askedAtBootMs) / 2;
    if (this.isKnown) {
      if (Math.abs(offsetMs - this.#offsetMs) <= slackMs) return true;
      if (this.#isSynchronized && this.#isFollowing) return true;
    }
    const wasKnown = this.isKnown;
    this.#source = "hub";
    this.#isFollowing = Math.abs(this.#systemOffsetMs - offsetMs) <= slackMs;
    const known = this.#isFollowing ? this.#systemOffsetMs : offsetMs;
    if (wasKnown) this.#offsetMs = known;
    else this.#becomeKnown(known);
    return true;
  }

  #becomeKnown(offsetMs: number): void {
    this.#offsetMs = offsetMs;
    this.#wasRight = this.#doubt === "unconfirmed" && !this.#hasJumped && isClose(offsetMs, this.#systemOffsetMs);
  }

  #isPossible(hubMs: Timestamp, bootMs: number): boolean {
    if (hubMs < this.#start.builtAtMs) return false;
    // A system clock may be the date of its image, years ago; what NTP or a hub has said is not.
    const isVouched = this.#source === "ntp" || this.#source === "hub";
    return !isVouched || hubMs - (this.#offsetMs + bootMs) <= AHEAD_MS;
  }

  /** Sets the source if the clock can be believed, else the doubt. `isSet`: somebody has set what was in doubt. */
  #judge({ wallMs, bootMs }: ClockReading, isSet = false): void {
    const { saved, builtAtMs, bootId } = this.#start;
    if (this.#isSynchronized && wallMs >= builtAtMs) {
      this.#source = "ntp";
      return;
    }
    this.#doubt = undefined;
    // Where boots cannot be told apart, most starts are of the program alone.
    const isNewBoot = saved === undefined || bootId !== undefined;
    if (wallMs < this.#floorMs) this.#doubt = "behind";
    else if (saved !== undefined && wallMs - saved.savedAtMs > AHEAD_MS) this.#doubt = "ahead";
    // As it was when the machine booted: this may be a later process of the boot.
    else if (saved !== undefined && bootId !== undefined && wallMs - bootMs - saved.savedAtMs < RESTORED_MS) {
      this.#doubt = "restored";
    } else if (isNewBoot && !isSet) this.#doubt = "unconfirmed";
    else this.#source = "system";
  }
}

/** In a container the uptime may begin anew while the kernel's boot id stays: then `offsetMs` means nothing any more. */
function isSameBoot({ bootId, savedAtMs, offsetMs }: SavedClock, start: ClockStart): boolean {
  return bootId === start.bootId && start.reading.bootMs >= savedAtMs - offsetMs;
}

function isClose(one: number, other: number): boolean {
  return Math.abs(one - other) <= JUMP_MS;
}
