/**
 * Timestamps of a gateway that does not know what time it is: which of its times without a clock ("sessions") it was, and
 * how far into it.
 *
 *   timestamp = session · SESSION_MS + milliseconds of the monotonic clock      always below PROVISIONAL_END
 *
 * No record of ours was made before November 2004, so such a timestamp is told from a real one by itself, in whatever
 * batch it lies and whatever became of the process that wrote it. It is turned into a real one when the record leaves the
 * log (docs/adr/0014); until then order is kept, for a session counts up, and so do sessions.
 */
import type { Timestamp } from "../ids.ts";

/** 198 days without a clock; what comes later is stamped as if it came then. */
export const SESSION_MS = 2 ** 34;
/** Boots without a clock whose records wait; those beyond share the last number, and are only estimated. */
export const SESSIONS_MAX = 63;
/** 3 November 2004. */
export const PROVISIONAL_END: Timestamp = (SESSIONS_MAX + 1) * SESSION_MS;

/** `corrected`: right to about the round trip to who told the time. `estimated`: order and distances are right, not the hour. */
export type TimeQuality = "corrected" | "estimated";

export type ClockSession = {
  readonly number: number;
  /** To be added to the milliseconds of the monotonic clock. */
  readonly offsetMs: number;
  /** Undefined: the clock was right all along, which nobody could know. Nothing has to be said of it. */
  readonly quality: TimeQuality | undefined;
};

export function provisionalTimestamp(session: number, monotonicMs: number): Timestamp {
  return session * SESSION_MS + Math.min(Math.max(0, Math.floor(monotonicMs)), SESSION_MS - 1);
}

export function isProvisional(timestamp: Timestamp): boolean {
  return timestamp >= SESSION_MS && timestamp < PROVISIONAL_END;
}

/** A session that nobody knows any more leaves the timestamp as it is. */
export function resolveTimestamp(
  timestamp: Timestamp,
  sessions: readonly ClockSession[],
): { readonly timestamp: Timestamp; readonly quality: TimeQuality | undefined } {
  const number = Math.floor(timestamp / SESSION_MS);
  const session = sessions.find((each) => each.number === number);
  if (session === undefined) return { timestamp, quality: "estimated" };
  return { timestamp: Math.round(session.offsetMs + (timestamp % SESSION_MS)), quality: session.quality };
}
