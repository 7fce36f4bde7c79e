/** What a log at its cap has kept of what was acknowledged. Pure. */
import type { Finding, Note } from "./witness.ts";

/** Of each publisher the log keeps the newest: from its oldest message there on, all that were acknowledged. */
export function checkNewest(keys: readonly string[], notes: readonly Note[]): Finding[] {
  const there = new Set(keys);
  const oldest = new Map<string, number>();
  for (const key of keys) {
    const [client = "", number] = key.split("/");
    oldest.set(client, Math.min(oldest.get(client) ?? Infinity, Number(number)));
  }
  const findings: Finding[] = [];
  for (const note of notes) {
    if (note.type !== "acked") continue;
    for (const key of note.keys) {
      const [client = "", number] = key.split("/");
      if (there.has(key) || Number(number) < (oldest.get(client) ?? Infinity)) continue;
      findings.push({ kind: "missing", text: `${key} was acknowledged, and older ones are there` });
    }
  }
  return findings;
}
