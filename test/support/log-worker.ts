/**
 * A log worker for tests: a key-value extension, a way to cap the database so that it is full early,
 * clocks that can be turned, and ways to fail.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import type { Database } from "better-sqlite3";
import { systemClock } from "../../shared/clock.ts";
import { serveLog } from "../../shared/log/serve-log.ts";

let flushes = 0;
const { fdatasyncSync } = fs;
fs.fdatasyncSync = (handle) => {
  flushes++;
  fdatasyncSync(handle);
};
syncBuiltinESMExports();

/** What `turnClocks` has added to the system's. */
const turned = { wallMs: 0, monotonicMs: 0 };
const clock = {
  wallMs: () => systemClock.wallMs() + turned.wallMs,
  monotonicMs: () => systemClock.monotonicMs() + turned.monotonicMs,
};

const extensions = [
  {
    name: "test",
    schema: "CREATE TABLE IF NOT EXISTS test_pair (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    prepare: (database: Database) => ({
      put: ({ name, value }: { name: string; value: string | null }) => {
        database.prepare("INSERT OR REPLACE INTO test_pair VALUES (?, ?)").run(name, value);
      },
      get: (name: string) => database.prepare("SELECT value FROM test_pair WHERE name = ?").pluck().get(name),
      synchronous: () => database.pragma("synchronous", { simple: true }),
      capPages: (pages: number) => database.pragma(`max_page_count = ${pages}`, { simple: true }),
      pages: () => database.pragma("page_count", { simple: true }),
      failDisk: () => {
        throw Object.assign(new Error("the disk failed"), { code: "SQLITE_IOERR_FSYNC" });
      },
      // Ends this thread alone.
      endThread: () => process.exit(3),
      // Of the WAL, without a commit; SQLite's own are not among them.
      flushes: () => flushes,
      commits: () => database.prepare("SELECT count(*) FROM batch").pluck().get(),
      turnClocks: ({ wallMs = 0, monotonicMs = 0 }: { wallMs?: number; monotonicMs?: number }) => {
        turned.wallMs += wallMs;
        turned.monotonicMs += monotonicMs;
      },
    }),
  },
];
serveLog(extensions, clock);
