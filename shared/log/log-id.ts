import { randomBytes } from "node:crypto";
import type { Database } from "better-sqlite3";

/** The log's own name: 16 random bytes in base64url, 22 characters, as Kafka names a cluster. Made once, kept for good. */
export function ensureLogId(database: Database): string {
  const read = database.prepare<[], { value: string }>("SELECT value FROM meta WHERE name = 'log-id'");
  const known = read.get();
  if (known !== undefined) return known.value;
  const id = randomBytes(16).toString("base64url");
  database.prepare("INSERT INTO meta (name, value) VALUES ('log-id', ?)").run(id);
  return id;
}
