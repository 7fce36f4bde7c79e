/** The times of this gateway without a clock, of which records may still wait. Pure. */
import { SESSIONS_MAX } from "../../shared/batch/provisional-time.ts";
import type { ClockSession, TimeQuality } from "../../shared/batch/provisional-time.ts";
import { JUMP_MS } from "./clock-state.ts";
import type { StoredSession } from "./clock-table.ts";

export class ClockSessions {
  readonly #sessions: Map<number, StoredSession>;

  constructor(stored: readonly StoredSession[]) {
    this.#sessions = new Map(stored.map((session) => [session.number, session]));
  }

  get count(): number {
    return this.#sessions.size;
  }

  /**
   * The session of a process that starts without a clock. Processes of one boot share one, for their monotonic clock is
   * the same. Beyond SESSIONS_MAX the last one is shared by boots that have nothing in common, and stays a guess.
   */
  begin(bootId: string | undefined, offsetMs: number): StoredSession {
    const last = [...this.#sessions.values()].at(-1);
    const isSameBoot = bootId !== undefined && last?.bootId === bootId && !last.isKnown;
    if (isSameBoot) return last;
    const number = Math.min((last?.number ?? 0) + 1, SESSIONS_MAX);
    const isShared = this.#sessions.has(number);
    const begun = { number, bootId: isShared ? null : (bootId ?? null), offsetMs, isKnown: false, wasRight: false };
    this.#sessions.set(number, begun);
    return begun;
  }

  /** The session in which an earlier process of this boot stamped records, if it did not learn the time. */
  openOf(bootId: string): number | undefined {
    return [...this.#sessions.values()].find((session) => session.bootId === bootId && !session.isKnown)?.number;
  }

  /** The time has become known; `wasRight`: to this process, the system clock had shown it. Undefined for a shared session. */
  resolve(number: number, offsetMs: number, wasRight: boolean): StoredSession | undefined {
    const session = this.#sessions.get(number);
    if (session === undefined || number >= SESSIONS_MAX) return undefined;
    // To the one that began the session, too.
    const isRight = wasRight && Math.abs(session.offsetMs - offsetMs) <= JUMP_MS;
    const resolved = { ...session, offsetMs, isKnown: true, wasRight: isRight };
    this.#sessions.set(number, resolved);
    return resolved;
  }

  /** No record of any is left. */
  forget(): void {
    this.#sessions.clear();
  }

  /** For the records on their way to the hub. */
  list(): ClockSession[] {
    return Array.from(this.#sessions.values(), (session) => {
      const { number, offsetMs } = session;
      return { number, offsetMs, quality: qualityOf(session) };
    });
  }
}

function qualityOf({ isKnown, wasRight }: StoredSession): TimeQuality | undefined {
  if (!isKnown) return "estimated";
  return wasRight ? undefined : "corrected";
}
