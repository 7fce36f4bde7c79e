/**
 * What outlives the process of its time: the last known time with its boot, and the sessions without a clock
 * (shared/batch/provisional-time.ts). A session is on disk before the first record that is stamped with it.
 */
import type { Database } from "better-sqlite3";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { SavedClock } from "./clock-state.ts";

export const CLOCK_EXTENSION = "clock";

export type StoredSession = {
  readonly number: number;
  /** Null where the system does not tell one boot from another. */
  readonly bootId: string | null;
  readonly offsetMs: number;
  /** The time became known: the offset is right. Else it is a guess. */
  readonly isKnown: boolean;
  /** Known, and the system clock had shown it all along. */
  readonly wasRight: boolean;
};

/** Of the column `is_known`. */
const KNOWN = 1;
const KNOWN_AND_RIGHT = 2;

export type StoredClock = { readonly saved: SavedClock | undefined; readonly sessions: readonly StoredSession[] };

const SCHEMA = `
CREATE TABLE IF NOT EXISTS clock_known (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  saved_at REAL NOT NULL,
  offset_ms REAL NOT NULL,
  boot_id TEXT
);
CREATE TABLE IF NOT EXISTS clock_session (
  number INTEGER PRIMARY KEY,
  boot_id TEXT,
  offset_ms REAL NOT NULL,
  is_known INTEGER NOT NULL
);
`;

export const clockTable: LogExtension = {
  name: CLOCK_EXTENSION,
  schema: SCHEMA,
  copied: ["clock_known", "clock_session"],
  upkeep: ["save", "put", "forget"],
  prepare,
};

type SavedRow = { readonly savedAtMs: number; readonly offsetMs: number; readonly bootId: string | null };
type SessionRow = Omit<StoredSession, "isKnown" | "wasRight"> & { readonly isKnown: number };

function prepare(database: Database): ExtensionMethods {
  const saved = database.prepare<[], SavedRow>(
    "SELECT saved_at AS savedAtMs, offset_ms AS offsetMs, boot_id AS bootId FROM clock_known",
  );
  const sessions = database.prepare<[], SessionRow>(
    `SELECT number, boot_id AS bootId, offset_ms AS offsetMs, is_known AS isKnown FROM clock_session ORDER BY number`,
  );
  const save = database.prepare<[number, number, string | null]>(
    "INSERT OR REPLACE INTO clock_known VALUES (1, ?, ?, ?)",
  );
  const put = database.prepare<[number, string | null, number, number]>(
    "INSERT OR REPLACE INTO clock_session VALUES (?, ?, ?, ?)",
  );
  const clear = database.prepare<[]>("DELETE FROM clock_session");
  return {
    load: (): StoredClock => {
      const row = saved.get();
      return {
        saved: row === undefined ? undefined : { ...row, bootId: row.bootId ?? undefined },
        sessions: sessions.all().map(({ isKnown, ...session }) => {
          return { ...session, isKnown: isKnown >= KNOWN, wasRight: isKnown === KNOWN_AND_RIGHT };
        }),
      };
    },
    save: ({ savedAtMs, offsetMs, bootId }: SavedClock) => void save.run(savedAtMs, offsetMs, bootId ?? null),
    put: ({ number, bootId, offsetMs, isKnown, wasRight }: StoredSession) => {
      put.run(number, bootId, offsetMs, wasRight ? KNOWN_AND_RIGHT : Number(isKnown));
    },
    forget: () => void clear.run(),
  };
}
