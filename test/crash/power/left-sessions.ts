/**
 * What a cut has left of the agent's retained messages and of the queue of a session that is offline, against what was answered
 * before it. PUBREC leaves after both are on the disk, PUBACK before (agent/mqtt/mqtt-broker.ts): of QoS 1 any may be missing.
 */
import path from "node:path";
import Database from "better-sqlite3";
import type { Finding, Note } from "./witness.ts";

export type LeftSessions = {
  /** By topic, as text. */
  readonly retained: ReadonlyMap<string, string>;
  readonly subscriptions: ReadonlySet<string>;
  /** Keys of the messages for the session, in their order. */
  readonly queued: readonly string[];
};

/** Of the session that the test leaves offline. */
export const OFFLINE_CLIENT = "offline";

export function readSessions(directory: string): LeftSessions {
  const database = new Database(path.join(directory, "log.db"), { readonly: true });
  try {
    const tables = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'mqtt_outgoing'").get();
    if (tables === undefined) return { retained: new Map(), subscriptions: new Set(), queued: [] };
    const retained = database
      .prepare<[], { topic: string; payload: Buffer | string }>("SELECT topic, payload FROM mqtt_retained")
      .all();
    const subscriptions = database
      .prepare<[string], { topic: string }>("SELECT topic FROM mqtt_subscription WHERE client_id = ?")
      .all(OFFLINE_CLIENT);
    const queued = database
      .prepare<[string], { payload: Buffer | string }>(
        "SELECT payload FROM mqtt_outgoing WHERE client_id = ? ORDER BY sequence",
      )
      .all(OFFLINE_CLIENT);
    return {
      retained: new Map(retained.map(({ topic, payload }) => [topic, firstWord(payload)])),
      subscriptions: new Set(subscriptions.map(({ topic }) => topic)),
      queued: queued.map(({ payload }) => firstWord(payload)),
    };
  } finally {
    database.close();
  }
}

const firstWord = (payload: Buffer | string): string => payload.toString().split(" ", 1)[0] ?? "";

type Retained = { readonly sent: Map<number, string>; answered: number };

export function checkSessions({ retained, subscriptions, queued }: LeftSessions, notes: readonly Note[]): Finding[] {
  const findings: Finding[] = [];
  const sent = new Set<string>();
  const owed = new Set<string>();
  const states = new Map<string, Retained>();
  for (const note of notes) {
    if (note.type === "subscribed" && !subscriptions.has(note.filter)) {
      findings.push({ kind: "missing", text: `the subscription to ${note.filter}` });
    }
    if (note.type === "sending") for (const key of note.keys) sent.add(key);
    if (note.type === "acked" && note.isQueued === true) for (const key of note.keys) owed.add(key);
    if (note.type !== "retaining" && note.type !== "retained") continue;
    const state = states.get(note.topic) ?? { sent: new Map(), answered: -1 };
    states.set(note.topic, state);
    if (note.type === "retaining") state.sent.set(note.number, note.payload);
    else state.answered = Math.max(state.answered, note.number);
  }
  const newest = new Map<string, number>();
  const seen = new Set<string>();
  for (const key of queued) {
    if (!sent.has(key)) findings.push({ kind: "unknown", text: `${key} is queued` });
    if (seen.has(key)) findings.push({ kind: "repeated", text: `${key} is queued twice` });
    seen.add(key);
    const [client = "", number] = key.split("/");
    const before = newest.get(client) ?? -1;
    if (Number(number) < before) findings.push({ kind: "unordered", text: `${key} is queued after ${before}` });
    newest.set(client, Number(number));
  }
  for (const key of owed) if (!seen.has(key)) findings.push({ kind: "missing", text: `${key} is not queued` });
  for (const [topic, state] of states) {
    const found = retained.get(topic) ?? "";
    // What follows the newest answer may have been stored or not.
    const allowed = [...state.sent].filter(([number]) => number >= state.answered).map(([, payload]) => payload);
    if (state.answered === -1) allowed.push("");
    if (allowed.includes(found)) continue;
    findings.push({ kind: "returned", text: `${topic} retains '${found}', number ${state.answered} was answered` });
  }
  return findings;
}
