/**
 * Where reading begins, as people write it (`--from`, `groups reset --to`); pure.
 *
 *   earliest            the oldest record that is still kept
 *   latest              only what comes from now on
 *   1500                an offset, in every partition
 *   15m  36h  7d        that long ago (s, m, h, d)
 *   2026-03-01T08:00Z   a moment, ISO 8601; without a zone it is local time
 *   @1772352000000      a moment, milliseconds since 1970
 */
import type { Offset, Timestamp } from "../shared/ids.ts";
import { UsageError } from "./failure.ts";

export type StartPosition =
  | { readonly type: "earliest" }
  | { readonly type: "latest" }
  | { readonly type: "offset"; readonly offset: Offset }
  | { readonly type: "timestamp"; readonly timestamp: Timestamp };

export const START_POSITION_FORMS = "earliest, latest, an offset (1500), an age (15m, 36h, 7d) or an ISO 8601 time";

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws UsageError when `text` is none of the forms above. */
export function parseStartPosition(text: string, now: Timestamp): StartPosition {
  if (text === "earliest" || text === "latest") return { type: text };
  if (/^\d+$/.test(text)) return { type: "offset", offset: safeInteger(text) };
  const moment = /^@(\d+)$/.exec(text)?.[1];
  if (moment !== undefined) return { type: "timestamp", timestamp: safeInteger(moment) };
  const age = /^-?(\d+)([smhd])$/.exec(text);
  if (age !== null) return { type: "timestamp", timestamp: now - Number(age[1]) * (unitMs[age[2] ?? ""] ?? 0) };
  const parsed = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(parsed)) throw new UsageError(`'${text}' is not a position: give ${START_POSITION_FORMS}`);
  return { type: "timestamp", timestamp: parsed };
}

function safeInteger(digits: string): number {
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw new UsageError(`'${digits}' is too large`);
  return value;
}
