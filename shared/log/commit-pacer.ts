/**
 * When the next commit may start.
 *
 * `intervalMs` spaces commits always, to spare a disk. `lingerMs` does so only while that pays: a flush costs about the
 * same however much it carries, so many messages a flush are cheap and one message a flush is dear. But to wait is of
 * no use when nothing comes meanwhile, because the publishers themselves wait for their answers. Nobody says which kind
 * they are, so it is tried: if as many messages come while commits linger as came before, they linger on.
 *
 *   plain ── a period has passed, enough came, and the pause is over ──▶ lingering ── fewer come ──▶ plain, the pause doubled
 *     ▲                                                                      │
 *     └──────────── after LINGERING_MS_MAX: what comes without may have changed (no pause) ◀─┘
 */
import type { Durability } from "../record.ts";

export type CommitPace = {
  /** Commits start at least so far apart. */
  readonly intervalMs: number;
  /** And so far while many messages come; 0: never. */
  readonly lingerMs: number;
};

/** Over which messages are counted. */
const PERIOD_MS = 128;
/** A wait must bring so many messages, or it does not make up for the time. */
const MESSAGES_PER_WAIT_MIN = 2;
/** And spare so many commits for each that is left. Publishers that wait would send by as much less, so they are noticed. */
const COMMITS_SPARED_MIN = 1.5;
/** Of the messages that came without lingering: less is more than chance. */
const SHARE_MIN = 0.8;
const LINGERING_MS_MAX = 2000;
/** A trial in vain takes one period. */
const PAUSE_MS = { min: 250, max: 16_000 } as const;

export class CommitPacer {
  readonly #pace: CommitPace;
  #startedAtMs = -Infinity;
  #isFlushed = false;
  #periodAtMs = -Infinity;
  #periodMessages = 0;
  #periodCommits = 0;
  /** Since when commits linger, and how many messages a millisecond came before. */
  #lingering: { readonly sinceMs: number; readonly plainRate: number } | undefined;
  #resumeAtMs = -Infinity;
  #pauseMs: number = PAUSE_MS.min;

  constructor(pace: CommitPace) {
    this.#pace = pace;
  }

  /** Of the next commit; on the clock that `began` is told. */
  get dueAtMs(): number {
    const { intervalMs, lingerMs } = this.#pace;
    // Without a flush a commit is cheap, and whoever chose that did not choose to wait.
    const isLingering = this.#lingering !== undefined && this.#isFlushed;
    return this.#startedAtMs + Math.max(intervalMs, isLingering ? lingerMs : 0);
  }

  /** A commit of so many messages has begun. */
  began(nowMs: number, { messages, durability }: { messages: number; durability: Durability }): void {
    this.#startedAtMs = nowMs;
    this.#isFlushed = durability === "fsync";
    this.#periodMessages += messages;
    this.#periodCommits++;
    const periodMs = nowMs - this.#periodAtMs;
    if (periodMs < PERIOD_MS) return;
    const rate = this.#periodMessages / periodMs;
    if (this.#lingering === undefined) this.#considerLingering(nowMs, rate, periodMs / this.#periodCommits);
    else this.#considerEnd(nowMs, rate, this.#lingering);
    this.#periodAtMs = nowMs;
    this.#periodMessages = 0;
    this.#periodCommits = 0;
  }

  #considerLingering(nowMs: number, rate: number, apartMs: number): void {
    const { lingerMs } = this.#pace;
    if (nowMs < this.#resumeAtMs || apartMs * COMMITS_SPARED_MIN > lingerMs) return;
    if (rate * lingerMs >= MESSAGES_PER_WAIT_MIN) this.#lingering = { sinceMs: nowMs, plainRate: rate };
  }

  #considerEnd(nowMs: number, rate: number, { sinceMs, plainRate }: { sinceMs: number; plainRate: number }): void {
    if (rate < plainRate * SHARE_MIN) {
      this.#lingering = undefined;
      this.#resumeAtMs = nowMs + this.#pauseMs;
      this.#pauseMs = Math.min(PAUSE_MS.max, this.#pauseMs * 2);
    } else if (nowMs - sinceMs >= LINGERING_MS_MAX) {
      this.#lingering = undefined;
      this.#pauseMs = PAUSE_MS.min;
    }
  }
}
