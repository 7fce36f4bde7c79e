/**
 * Judges what a topic holds against what the publishers know (G1, G2). Pure: feed it every record of the topic, in the
 * order of each partition, and ask for the findings.
 *
 *   missing      acknowledged, and not there
 *   duplicated   there more often than it may be: once, and at QoS 1 once more for every time its own client sent it
 *                again with DUP; at QoS 0 and 2 never
 *   unordered    a message's first occurrence comes after that of a later one of the same client, or in another partition
 *   unknown      nobody sent it
 *   gap          offsets of a partition are not dense from 0, or one comes twice
 *
 * A message that was sent and not acknowledged may be there or not: its outcome is unknown to its client too.
 */
import type { PublishHistory } from "./publish-history.ts";

export const findingKinds = ["missing", "duplicated", "unordered", "unknown", "gap"] as const;
export type FindingKind = (typeof findingKinds)[number];

export type CheckedRecord = {
  readonly partition: number;
  readonly offset: number;
  readonly client: string;
  readonly sequence: number;
};

export type Verdict = {
  readonly recordCount: number;
  readonly ackedCount: number;
  /** Second and further occurrences that QoS 1 allows. */
  readonly allowedDuplicateCount: number;
  readonly counts: Readonly<Record<FindingKind, number>>;
  /** The first few of each kind, in words. */
  readonly samples: readonly string[];
};

const SAMPLES_PER_KIND_MAX = 5;

type ClientState = {
  readonly history: PublishHistory;
  /** By sequence. */
  readonly occurrences: number[];
  highest: number;
  partition: number | undefined;
};

export type CheckerOptions = {
  /** False for topics without a key, whose records are spread over the partitions. */
  readonly isKeyed?: boolean;
  /**
   * The agent had to drop some. Of a message that its client sent again, the copy in its place may be among them; so
   * only messages that were sent once must be in order.
   */
  readonly isLossy?: boolean;
};

export class Checker {
  readonly #clients = new Map<string, ClientState>();
  readonly #nextOffsets = new Map<number, number>();
  readonly #counts: Record<FindingKind, number> = { missing: 0, duplicated: 0, unordered: 0, unknown: 0, gap: 0 };
  readonly #samples: string[] = [];
  readonly #isKeyed: boolean;
  readonly #isLossy: boolean;
  #recordCount = 0;
  #allowedDuplicateCount = 0;

  constructor(histories: Iterable<PublishHistory>, options: CheckerOptions = {}) {
    this.#isKeyed = options.isKeyed ?? true;
    this.#isLossy = options.isLossy ?? false;
    for (const history of histories) {
      if (this.#clients.has(history.client)) throw new Error(`two histories of the client ${history.client}`);
      this.#clients.set(history.client, { history, occurrences: [], highest: -1, partition: undefined });
    }
  }

  add(record: CheckedRecord): void {
    this.#recordCount++;
    this.#checkOffset(record);
    const client = this.#clients.get(record.client);
    if (client === undefined || record.sequence >= client.history.sentCount) {
      this.#find("unknown", record, "was never sent");
      return;
    }
    const before = client.occurrences[record.sequence] ?? 0;
    client.occurrences[record.sequence] = before + 1;
    if (before === 0) this.#checkOrder(client, record);
    else this.#checkRepetition(client, record, before);
  }

  verdict(): Verdict {
    let ackedCount = 0;
    let missing = 0;
    const samples = [...this.#samples];
    for (const { history, occurrences } of this.#clients.values()) {
      ackedCount += history.ackedCount;
      for (let sequence = 0; sequence < history.sentCount; sequence++) {
        if (!history.isAcked(sequence) || (occurrences[sequence] ?? 0) > 0) continue;
        missing++;
        if (missing <= SAMPLES_PER_KIND_MAX) samples.push(`missing: ${history.client}/${sequence} was acknowledged`);
      }
    }
    return {
      recordCount: this.#recordCount,
      ackedCount,
      allowedDuplicateCount: this.#allowedDuplicateCount,
      counts: { ...this.#counts, missing },
      samples,
    };
  }

  #checkOffset(record: CheckedRecord): void {
    const expected = this.#nextOffsets.get(record.partition) ?? 0;
    if (record.offset !== expected) this.#find("gap", record, `${expected} was to come`);
    this.#nextOffsets.set(record.partition, Math.max(expected, record.offset + 1));
  }

  #checkOrder(client: ClientState, record: CheckedRecord): void {
    if (!this.#isKeyed) return;
    client.partition ??= record.partition;
    if (client.partition !== record.partition) {
      this.#find("unordered", record, `the client's first record is in partition ${client.partition}`);
    } else if (record.sequence < client.highest && !this.#mayComeLate(client, record)) {
      this.#find("unordered", record, `${client.highest} came before it`);
    }
    client.highest = Math.max(client.highest, record.sequence);
  }

  #mayComeLate({ history }: ClientState, { sequence }: CheckedRecord): boolean {
    return this.#isLossy && history.qos === 1 && history.resends(sequence) > 0;
  }

  #checkRepetition({ history }: ClientState, record: CheckedRecord, before: number): void {
    const allowed = history.qos === 1 ? history.resends(record.sequence) : 0;
    if (before <= allowed) this.#allowedDuplicateCount++;
    else this.#find("duplicated", record, `it is there ${before + 1} times and was sent again ${allowed} times`);
  }

  #find(kind: FindingKind, record: CheckedRecord, text: string): void {
    const count = ++this.#counts[kind];
    if (count > SAMPLES_PER_KIND_MAX) return;
    const { client, sequence, partition, offset } = record;
    this.#samples.push(`${kind}: ${client}/${sequence} at partition ${partition}, offset ${offset}: ${text}`);
  }
}

/** @throws with the samples when there is any finding. */
export function assertFlawless(verdict: Verdict): void {
  if (findingKinds.every((kind) => verdict.counts[kind] === 0)) return;
  const counts = findingKinds.map((kind) => `${verdict.counts[kind]} ${kind}`).join(", ");
  const context = `${verdict.recordCount} records, ${verdict.ackedCount} acknowledged`;
  throw new Error(`${counts} (${context})\n${verdict.samples.join("\n")}`);
}
