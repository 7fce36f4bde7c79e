/**
 * What publishers, readers and groups know at some point of the journal, told by the test's notes, against what a log
 * holds after a cut there. Pure.
 *
 *   missing    acknowledged, or shown to a reader, and not there, or another record has its offset
 *   repeated   a record is there twice
 *   unordered  the records of a publisher are not in the order in which they were sent
 *   unknown    nobody had sent it by then
 *   gap        offsets are not dense, or begin later than anybody asked for
 *   topic      a topic that was acknowledged is not there, or one that was deleted is
 *   damaged    bytes or pages are wrong: readers pass them by and tell, but on a disk that keeps its promises there are none
 *   returned   of a key of a compacted topic there is only something older than what was acknowledged or shown last
 *   committed  a group's offset is behind what was acknowledged, ahead of what anybody committed, or of the log
 *   noted      what is gone is not in the ledger, or too much is (power-full-log.test.ts)
 */
import { checkCompacted } from "./compacted-topic.ts";
import type { KeyedRecord } from "./compacted-topic.ts";
import type { ProducerPlan } from "./producer-records.ts";

export type Note =
  | { readonly type: "topic-made"; readonly topic: string; readonly cleanup?: Cleanup }
  | { readonly type: "topic-deleting" | "topic-deleted"; readonly topic: string }
  | { readonly type: "producer"; readonly plan: ProducerPlan }
  | {
      readonly type: "sending";
      readonly topic: string;
      readonly keys: readonly string[];
      /** Of a producer that sends it again after a cut. */
      readonly by?: { readonly producer: string; readonly batch: number };
    }
  /** `offset` of the first; unknown to an MQTT publisher. */
  | {
      readonly type: "acked" | "read";
      readonly topic: string;
      readonly partition?: number;
      readonly offset?: number;
      readonly keys: readonly string[];
      /** A session that was offline has it to come. */
      readonly isQueued?: boolean;
    }
  | { readonly type: "subscribed"; readonly filter: string }
  /** The hub is about to come back; records that waited for it have begun to arrive there. */
  | { readonly type: "returning" | "returned" }
  /** An empty payload takes the topic's message away. */
  | { readonly type: "retaining"; readonly topic: string; readonly number: number; readonly payload: string }
  | { readonly type: "retained"; readonly topic: string; readonly number: number }
  | { readonly type: "trimming"; readonly topic: string; readonly partition: number; readonly before: number }
  | { readonly type: "committing" | "committed"; readonly name: string; readonly value: number };

/** What becomes of old records by themselves. */
export type Cleanup = { readonly type: "compact" } | { readonly type: "retain"; readonly bytesMin: number };

export type FoundPartition = {
  readonly topic: string;
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
  /** By offset. */
  readonly keys: ReadonlyMap<number, string>;
  /** Those with an id of their own; by offset, in its order. */
  readonly keyed: ReadonlyMap<number, KeyedRecord>;
};
export type Found = {
  /** What is wrong in what is stored, in words. */
  readonly damages: readonly string[];
  readonly topics: ReadonlySet<string>;
  readonly partitions: readonly FoundPartition[];
  readonly committed: ReadonlyMap<string, number>;
};

export const findingKinds = [
  "missing",
  "repeated",
  "unordered",
  "unknown",
  "gap",
  "topic",
  "damaged",
  "returned",
  "committed",
  "noted",
] as const;
export type Finding = { readonly kind: (typeof findingKinds)[number]; readonly text: string };

type TopicKnowledge = {
  isMade: boolean;
  deletion: "none" | "asked" | "acked";
  cleanup: Cleanup | undefined;
  readonly sent: Set<string>;
  /** Where offsets are known: "partition/offset" to key. */
  readonly placed: Map<string, { readonly partition: number; readonly offset: number; readonly key: string }>;
  /** Key to the place where it was first. */
  readonly places: Map<string, string>;
  /** Told to be at two places. */
  readonly twice: string[];
  /** Acknowledged without an offset. */
  readonly acked: Set<string>;
  readonly trimmed: Map<number, number>;
};

/** Keys are "publisher/number", counting up. */
function publisherAndNumber(key: string): readonly [string, number] {
  const slash = key.lastIndexOf("/");
  return [key.slice(0, slash), Number(key.slice(slash + 1))];
}

export class Witness {
  readonly #topics = new Map<string, TopicKnowledge>();
  readonly #committed = new Map<string, { acked: number; readonly asked: Set<number> }>();
  #ackedCount = 0;

  /** Records that were acknowledged or shown so far. */
  get ackedCount(): number {
    return this.#ackedCount;
  }

  hear(note: Note): void {
    switch (note.type) {
      case "topic-made":
        this.#topic(note.topic).isMade = true;
        this.#topic(note.topic).cleanup = note.cleanup;
        return;
      case "producer":
      case "subscribed":
      case "returning":
      case "returned":
      case "retaining":
      case "retained":
        return;
      case "topic-deleting":
        this.#topic(note.topic).deletion = "asked";
        return;
      case "topic-deleted":
        this.#topic(note.topic).deletion = "acked";
        return;
      case "sending":
        for (const key of note.keys) this.#topic(note.topic).sent.add(key);
        return;
      case "acked":
      case "read":
        return this.#place(note);
      case "trimming": {
        const { trimmed } = this.#topic(note.topic);
        trimmed.set(note.partition, Math.max(note.before, trimmed.get(note.partition) ?? 0));
        return;
      }
      case "committing":
        this.#commits(note.name).asked.add(note.value);
        return;
      case "committed":
        this.#commits(note.name).acked = note.value;
        return;
    }
  }

  check(found: Found): Finding[] {
    const findings: Finding[] = [];
    for (const [name, topic] of this.#topics) {
      if (topic.isMade && topic.deletion === "none" && !found.topics.has(name)) {
        findings.push({ kind: "topic", text: `${name} was made and is gone` });
      }
      if (topic.deletion === "acked" && found.topics.has(name)) {
        findings.push({ kind: "topic", text: `${name} was deleted and is there` });
      }
      if (topic.deletion === "none") findings.push(...checkTopic(name, topic, found.partitions));
    }
    for (const [name, { acked, asked }] of this.#committed) {
      const value = found.committed.get(name) ?? -1;
      if (value < acked) findings.push({ kind: "committed", text: `${name} is ${value}, ${acked} was acknowledged` });
      if (value !== -1 && !asked.has(value)) {
        findings.push({ kind: "committed", text: `${name} is ${value}, which nobody committed` });
      }
      const at = found.partitions.find(({ topic, partition }) => name.endsWith(`/${topic}/${partition}`));
      if (at !== undefined && value > at.end) {
        findings.push({ kind: "committed", text: `${name} is ${value}, the log ends at ${at.end}` });
      }
    }
    for (const text of found.damages) findings.push({ kind: "damaged", text });
    return findings;
  }

  #place({ topic, partition, offset, keys }: Extract<Note, { type: "acked" | "read" }>): void {
    const { placed, places, twice, acked } = this.#topic(topic);
    for (const [index, key] of keys.entries()) {
      if (partition === undefined || offset === undefined) {
        if (acked.has(key)) continue;
        acked.add(key);
      } else {
        const place = `${partition}/${offset + index}`;
        const first = places.get(key);
        if (first !== undefined && first !== place) twice.push(`${key} at ${first} and at ${place}`);
        if (placed.has(place)) continue;
        places.set(key, place);
        placed.set(place, { partition, offset: offset + index, key });
      }
      this.#ackedCount++;
    }
  }

  #topic(name: string): TopicKnowledge {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = {
        isMade: false,
        deletion: "none",
        cleanup: undefined,
        sent: new Set(),
        placed: new Map(),
        places: new Map(),
        twice: [],
        acked: new Set(),
        trimmed: new Map(),
      };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  #commits(name: string): { acked: number; readonly asked: Set<number> } {
    let commits = this.#committed.get(name);
    if (commits === undefined) this.#committed.set(name, (commits = { acked: -1, asked: new Set() }));
    return commits;
  }
}

function checkTopic(name: string, topic: TopicKnowledge, all: readonly FoundPartition[]): Finding[] {
  const partitions = all.filter((each) => each.topic === name);
  const findings = topic.twice.map((text): Finding => ({ kind: "repeated", text: `${name}: ${text}` }));
  if (topic.cleanup?.type === "compact") return [...findings, ...checkCompacted(name, topic, partitions)];
  const byNumber = new Map(partitions.map((each) => [each.partition, each]));
  for (const { partition, offset, key } of topic.placed.values()) {
    const at = byNumber.get(partition);
    if (at !== undefined && offset < at.start) continue;
    const there = at?.keys.get(offset);
    if (there !== key) {
      const text = `${name}/${partition}: ${key} was at offset ${offset}, there is ${there ?? "nothing"}`;
      findings.push({ kind: "missing", text });
    }
  }
  const seen = new Set<string>();
  for (const partition of partitions) findings.push(...checkPartition(partition, topic, seen));
  // Without offsets nobody can say what a trim took.
  if (topic.trimmed.size === 0) {
    for (const key of topic.acked) {
      if (!seen.has(key)) findings.push({ kind: "missing", text: `${name}: ${key} was acknowledged` });
    }
  }
  return findings;
}

function checkPartition(at: FoundPartition, topic: TopicKnowledge, seen: Set<string>): Finding[] {
  const findings: Finding[] = [];
  const where = `${at.topic}/${at.partition}`;
  const startMax = topic.trimmed.get(at.partition) ?? 0;
  if (topic.cleanup?.type === "retain") {
    const { bytesMin } = topic.cleanup;
    if (at.start > 0 && at.bytes < bytesMin)
      findings.push({ kind: "gap", text: `${where} holds only ${at.bytes} bytes` });
  } else if (at.start > startMax)
    findings.push({ kind: "gap", text: `${where} starts at ${at.start}, not ${startMax}` });
  const newest = new Map<string, number>();
  for (let offset = at.start; offset < at.end; offset++) {
    const key = at.keys.get(offset);
    if (key === undefined) {
      findings.push({ kind: "gap", text: `${where} has nothing at ${offset}` });
      continue;
    }
    if (!topic.sent.has(key)) findings.push({ kind: "unknown", text: `${where}: ${key} at ${offset}` });
    if (seen.has(key)) findings.push({ kind: "repeated", text: `${where}: ${key} at ${offset}` });
    seen.add(key);
    const [publisher, number] = publisherAndNumber(key);
    const before = newest.get(publisher) ?? -1;
    if (number < before) findings.push({ kind: "unordered", text: `${where}: ${key} after ${publisher}/${before}` });
    newest.set(publisher, Math.max(before, number));
  }
  return findings;
}
