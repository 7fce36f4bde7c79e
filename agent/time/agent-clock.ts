/**
 * The agent's time: what records are stamped with, what people are shown, and what is told of a record that was stamped
 * before the time was known (docs/adr/0014).
 *
 *   system clock, NTP's mark, hub's welcome ─▶ clock-state ─▶ stamp() ─▶ records
 *                                                  │ known                  │ provisional until then
 *                                                  ▼                        ▼
 *                                        log: last known time, sessions ─▶ uplink turns them into real ones
 */
import { readFileSync, statSync } from "node:fs";
import os from "node:os";
import { provisionalTimestamp } from "../../shared/batch/provisional-time.ts";
import type { ClockSession } from "../../shared/batch/provisional-time.ts";
import type { Clock } from "../../shared/clock.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Offset, Timestamp } from "../../shared/ids.ts";
import type { Durability } from "../../shared/record.ts";
import type { ExtensionCall, LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import { ClockSessions } from "./clock-sessions.ts";
import { ClockState, JUMP_MS } from "./clock-state.ts";
import type { ClockDoubt, ClockReading, ClockSource } from "./clock-state.ts";
import { CLOCK_EXTENSION } from "./clock-table.ts";
import type { StoredClock, StoredSession } from "./clock-table.ts";

/** There was no such program before. */
const BUILT_AT_MS: Timestamp = Date.UTC(2025, 0, 1);
const LOOK_MS = 1000;
const MS_PER_SECOND = 1000;
const NS_PER_MS = 1e6;
/** What a power cut takes from the last known time. Every write wears the card. */
const SAVE_MS = 600_000;
/** Sessions are not looked at before: there is no hurry. */
const FORGET_MS = 60_000;
/** Less than a jump, so that none is stamped unseen. */
const STEP_MS_MAX = JUMP_MS / 2;
const BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id";
/** systemd-timesyncd touches it whenever it has set the clock. */
const SYNCHRONIZED_FILE = "/run/systemd/timesync/synchronized";

/** What the machine says of its time; tests give their own. */
export type ClockFacts = {
  /** Milliseconds since the boot; goes on while the machine sleeps. */
  readonly bootMs: () => number;
  readonly bootId: string | undefined;
  /** When NTP last set the clock, by that clock; undefined where nobody says so. */
  readonly synchronizedAtMs: () => number | undefined;
};

/** Who stamps records before they are in the log. */
export interface Stamper {
  /** Stands for everything that was stamped until now. */
  mark(): number;
  /** Whether nothing of it is still on its way into the log. */
  isPast(mark: number): boolean;
}

export type AgentClockOptions = {
  readonly log: Pick<PartitionedLog, "call" | "query" | "topics">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly facts?: ClockFacts;
};

export type ClockStatus = {
  readonly isKnown: boolean;
  readonly source: ClockSource | null;
  /** Why the system clock is not believed. */
  readonly doubt: ClockDoubt | "jumped" | null;
  /** What the system clock shows more than the time that records are stamped with; negative: less. */
  readonly systemAheadMs: number;
  /** Times without a clock whose records may still wait. */
  readonly sessions: number;
};

/** By `Clock.monotonicMs()`. */
export type HubTimeSample = { readonly hubMs: Timestamp; readonly askedAtMs: number; readonly answeredAtMs: number };

export class AgentClock implements Clock {
  readonly #options: AgentClockOptions;
  readonly #facts: ClockFacts;
  readonly #state: ClockState;
  readonly #sessions: ClockSessions;
  /** Of this process; 0 while it has none. */
  #session = 0;
  /** The session, until the log has it as it is now: there may be no room. */
  #unstored: StoredSession | undefined;
  #isStoring = false;
  #lastWallMs: Timestamp;
  /** Asking for the time since the boot costs more than `Clock.monotonicMs()`, so that it is asked now and then. */
  #bootAtZeroMs = 0;
  #synchronizedAtMs: number | undefined;
  #isFollowing: boolean;
  #savedAtMs = -Infinity;
  #knownAtMs = 0;
  #stamper: Stamper | undefined;
  /** Of what was stamped provisionally. */
  #stampMark: number | undefined;
  /** Records stamped provisionally lie before these ends. */
  #provisionalEnds: readonly { readonly partition: LogPartition; readonly end: Offset }[] | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: AgentClockOptions, facts: ClockFacts, { saved, sessions }: StoredClock) {
    this.#options = options;
    this.#facts = facts;
    this.#synchronizedAtMs = facts.synchronizedAtMs();
    const reading = this.#read();
    this.#lastWallMs = reading.wallMs;
    this.#sessions = new ClockSessions(sessions);
    this.#state = new ClockState({
      reading,
      bootId: facts.bootId,
      saved,
      builtAtMs: BUILT_AT_MS,
      isSynchronized: this.#synchronizedAtMs !== undefined,
    });
    this.#isFollowing = this.#state.isFollowing;
  }

  /** Resolves when records may be stamped. */
  static async open(options: AgentClockOptions): Promise<AgentClock> {
    const stored = (await options.log.query(toCall("load", undefined))) as StoredClock;
    const clock = new AgentClock(options, options.facts ?? machineFacts, stored);
    await clock.#begin();
    return clock;
  }

  /** What `stamper` holds back or has under way counts as not yet in the log; from before its first stamp. */
  follow(stamper: Stamper): void {
    this.#stamper = stamper;
  }

  /** For a record that has come just now. */
  stamp(): Timestamp {
    const wallMs = this.#options.clock.wallMs();
    const step = wallMs - this.#lastWallMs;
    if (step < STEP_MS_MAX && step > -STEP_MS_MAX) {
      this.#lastWallMs = wallMs;
      if (this.#isFollowing) return wallMs;
    } else {
      this.#look();
    }
    if (this.#state.isKnown) return this.wallMs();
    return provisionalTimestamp(this.#session, this.#bootMs());
  }

  /**
   * Goes with every commit of what was stamped: were records in the log and their session not, the next boot would take its
   * number, and their time would be that of another.
   */
  calls(): readonly ExtensionCall[] {
    return this.#unstored === undefined ? [] : [toCall("put", this.#unstored)];
  }

  /** The time, or the best guess at it. */
  wallMs(): Timestamp {
    return Math.round(this.#state.offsetMs + this.#bootMs());
  }

  monotonicMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** A hub has said what time it is. */
  hear({ hubMs, askedAtMs, answeredAtMs }: HubTimeSample): void {
    this.#look();
    const bootAtZeroMs = this.#bootAtZeroMs;
    const answer = { hubMs, askedAtBootMs: bootAtZeroMs + askedAtMs, answeredAtBootMs: bootAtZeroMs + answeredAtMs };
    this.#change(() => {
      if (this.#state.hear(answer)) return;
      const hub = new Date(hubMs).toISOString();
      this.#options.logger.warn({ hub }, "the hub's clock cannot be right; it is not believed");
    });
  }

  /** To turn provisional timestamps into real ones. */
  sessions(): readonly ClockSession[] {
    return this.#sessions.list();
  }

  status(): ClockStatus {
    const { isKnown, source, doubt, isFollowing, systemAheadMs } = this.#state;
    return {
      isKnown,
      source: source ?? null,
      doubt: doubt ?? (isKnown && !isFollowing ? "jumped" : null),
      systemAheadMs: Math.round(systemAheadMs),
      sessions: this.#sessions.count,
    };
  }

  /** Saves the last known time. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#state.isKnown) await this.#store([this.#saveCall()]).catch(() => undefined);
  }

  async #begin(): Promise<void> {
    const { logger } = this.#options;
    if (this.#state.isKnown) {
      // Processes of this boot that did not know it.
      this.#saveKnown();
      if (!this.#isFollowing) this.#tell();
    } else {
      const session = this.#sessions.begin(this.#facts.bootId, this.#state.offsetMs);
      this.#session = session.number;
      this.#unstored = session;
      await this.#storeSession().catch((error: unknown) => {
        // A full log takes no records either; when there is room, the session goes with the first of them.
        if (!toStreamError(error).retriable) throw error;
      });
      const { doubt } = this.#state;
      const fields = { doubt, system: new Date(this.#lastWallMs).toISOString(), session: session.number };
      if (doubt === "unconfirmed") logger.info(fields, "nobody has confirmed the system clock yet");
      else
        logger.warn(fields, "the system clock cannot be right: records get their time when the hub or NTP has told it");
    }
    this.#timer = setInterval(() => {
      this.#look();
      this.#forgetSessions();
    }, LOOK_MS).unref();
  }

  #look(): void {
    const synchronizedAtMs = this.#facts.synchronizedAtMs();
    const isJustSynchronized = synchronizedAtMs !== undefined && synchronizedAtMs !== this.#synchronizedAtMs;
    this.#synchronizedAtMs = synchronizedAtMs;
    const reading = this.#read();
    this.#lastWallMs = reading.wallMs;
    this.#change(() => this.#state.look(reading, isJustSynchronized));
    if (this.#unstored !== undefined) this.#storeSessionSoon();
    else if (this.#state.isKnown && reading.bootMs - this.#savedAtMs >= SAVE_MS) this.#persist([this.#saveCall()]);
  }

  /**
   * When no record is left that they could be needed for. A hub that falls back to a backup is sent again what is still in
   * the log, so it does not do that it has everything; and under load there is always something it does not have yet.
   */
  #forgetSessions(): void {
    if (this.#sessions.count === 0 || !this.#state.isKnown) return;
    if (this.monotonicMs() - this.#knownAtMs < FORGET_MS) return;
    // A full log may hold back for hours what came before the time was known.
    if (this.#stampMark !== undefined && this.#stamper?.isPast(this.#stampMark) === false) return;
    const { topics } = this.#options.log;
    // What came before is in the log by now, and nothing is stamped so any more.
    this.#provisionalEnds ??= [...topics.values()].flatMap((topic) =>
      topic.partitions.map((partition) => ({ partition, end: partition.logEndOffset })),
    );
    const isLeft = this.#provisionalEnds.some(({ partition, end }) => {
      const isThere = topics.get(partition.topic)?.partitions.includes(partition) === true;
      return isThere && partition.logStartOffset < end;
    });
    if (isLeft) return;
    this.#sessions.forget();
    this.#unstored = undefined;
    this.#persist([toCall("forget", undefined)]);
  }

  #change(work: () => void): void {
    const wasKnown = this.#state.isKnown;
    const wasFollowing = this.#isFollowing;
    work();
    const { isKnown, isFollowing, source } = this.#state;
    this.#isFollowing = isFollowing;
    if (isKnown && !wasKnown) {
      this.#knownAtMs = this.monotonicMs();
      this.#stampMark = this.#stamper?.mark();
      this.#options.logger.info({ source, time: new Date(this.wallMs()).toISOString() }, "the time is known");
      this.#saveKnown();
    } else if (isKnown && wasFollowing !== isFollowing) this.#tell();
  }

  /** The time is known: it is written down, and what it says of the session. */
  #saveKnown(): void {
    const { bootId } = this.#facts;
    const open = this.#session === 0 && bootId !== undefined ? this.#sessions.openOf(bootId) : this.#session;
    const resolved =
      open === undefined ? undefined : this.#sessions.resolve(open, this.#state.offsetMs, this.#state.wasRight);
    this.#persist([this.#saveCall()]);
    if (resolved === undefined) return;
    this.#unstored = resolved;
    this.#storeSessionSoon();
  }

  #tell(): void {
    const { logger } = this.#options;
    const fields = {
      systemAheadMs: Math.round(this.#state.systemAheadMs),
      time: new Date(this.wallMs()).toISOString(),
    };
    if (this.#isFollowing) logger.info(fields, "the system clock is right again");
    else
      logger.warn(
        fields,
        "the system clock has jumped; records are stamped by the monotonic clock until the hub agrees",
      );
  }

  #saveCall() {
    this.#savedAtMs = this.#bootMs();
    return toCall("save", {
      savedAtMs: this.wallMs(),
      offsetMs: this.#state.offsetMs,
      bootId: this.#facts.bootId,
    });
  }

  /** Not awaited: until it is written, the next start finds what it found before, and hears the time again. */
  #persist(calls: readonly ExtensionCall[]): void {
    this.#store(calls).catch((error: unknown) => {
      const { code, message } = toStreamError(error);
      this.#options.logger.warn({ code, reason: message }, "the time could not be saved");
    });
  }

  async #store(calls: readonly ExtensionCall[], durability: Durability = "os"): Promise<void> {
    await this.#options.log.call(calls, durability);
  }

  /** Tried again at every look. */
  #storeSessionSoon(): void {
    if (!this.#isStoring) this.#storeSession().catch(() => undefined);
  }

  async #storeSession(): Promise<void> {
    const session = this.#unstored;
    this.#isStoring = true;
    try {
      await this.#store(this.calls(), "fsync");
      if (this.#unstored === session) this.#unstored = undefined;
    } finally {
      this.#isStoring = false;
    }
  }

  #read(): ClockReading {
    this.#bootAtZeroMs = this.#facts.bootMs() - this.#options.clock.monotonicMs();
    return { wallMs: this.#options.clock.wallMs(), bootMs: this.#bootMs() };
  }

  #bootMs(): number {
    return this.#bootAtZeroMs + this.#options.clock.monotonicMs();
  }
}

function toCall(method: string, args: unknown): ExtensionCall {
  return { extension: CLOCK_EXTENSION, method, args };
}

const machineFacts: ClockFacts = {
  // A container may have an uptime of its own, which begins anew; the kernel's clock goes on under it, but not in sleep.
  bootMs: () => Math.max(os.uptime() * MS_PER_SECOND, Number(process.hrtime.bigint()) / NS_PER_MS),
  bootId: orUndefined(() => readFileSync(BOOT_ID_FILE, "latin1").trim()),
  synchronizedAtMs: () => orUndefined(() => statSync(SYNCHRONIZED_FILE).mtimeMs),
};

/** What a system does not have. */
function orUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
