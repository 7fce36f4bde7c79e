/**
 * Judges an agent-world.ts that has come to rest: what the clients were promised, against what the hub holds, what was
 * declared lost, when the records say they came, and what the books of both sides say.
 */
import assert from "node:assert/strict";
import { PROVEN_AFTER, SLOT_COUNT } from "../../agent/ingest/duplicate-window-table.ts";
import { LEDGER_EXTENSION } from "../../agent/ledger/ledger-table.ts";
import type { LedgerContents } from "../../agent/ledger/ledger-table.ts";
import { isProvisional, PROVISIONAL_END } from "../../shared/batch/provisional-time.ts";
import { QUALITY_HEADER } from "../../shared/batch/merge.ts";
import { decodeRecords } from "../../shared/batch/records.ts";
import type { AgentWorld } from "./agent-world.ts";
import type { StoredPartition } from "./memory-disk.ts";
import type { PublisherOptions, Sent, VirtualPublisher } from "./virtual-publisher.ts";

/** What a clock that is called right may be wrong by, half of the longest way to the hub, and a step between two looks. */
const TIME_ERROR_MS_MAX = 5_000;

/** Read from a record: whose it is, and when it says it came. */
type Record = { readonly name: string; readonly timestampMs: number; readonly quality: string | undefined };

export type Findings = {
  readonly records: number;
  /** Stored twice, as QoS 1 allows outside of the duplicate window. */
  readonly twice: number;
  /** Acknowledged, and in the ledger. */
  readonly lost: number;
  /** Stored, and declared lost. */
  readonly declared: number;
  readonly estimated: number;
  readonly corrected: number;
};

/** @throws AssertionError at the first thing that is not as promised. */
export async function judge(world: AgentWorld): Promise<Findings> {
  const stored = new Map<string, number>();
  const findings = { records: 0, twice: 0, lost: 0, declared: 0, estimated: 0, corrected: 0 };
  const unstored = new Map<string, number>();
  for (const partition of world.disk.partitions) {
    const { topic, partition: index } = partition;
    const place = `${topic}/${index}`;
    const records = recordsOf(partition.everything.map(({ batch }) => batch));
    for (const { name } of records) stored.set(name, (stored.get(name) ?? 0) + 1);
    checkOrder(world, place, records);
    const left = records.filter((_, offset) => !isDeclared(world, partition, offset));
    const atHub = recordsAtHub(world.engine, topic, index);
    const names = (list: readonly Record[]): string[] => list.map(({ name }) => name);
    assert.deepEqual(names(atHub), names(left), `${place}: the hub has what was stored and not declared, in its order`);
    for (const record of atHub) checkTime(world, record, findings);
    findings.records += atHub.length;
    findings.declared += records.length - left.length;
    checkReasons(world, partition);
    const books = await checkBooks(world, partition, atHub.length);
    unstored.set(topic, (unstored.get(topic) ?? 0) + books.unstored);
  }
  for (const topic of new Set(world.publishers.map(({ options }) => options.topic.split("/")[0] as string))) {
    const publishers = world.publishers.filter(({ options }) => options.topic.startsWith(`${topic}/`));
    checkPromises({ topic, publishers, stored, unstored: unstored.get(topic) ?? 0 }, findings);
  }
  assert.deepEqual(world.alarms, []);
  return findings;
}

/** What is gone and not at the hub is in the agent's own ledger, also before it hears the hub. @throws AssertionError. */
export function judgeLedger({ disk, engine }: AgentWorld): void {
  const { rows } = disk.query({ extension: LEDGER_EXTENSION, method: "load", args: undefined }) as LedgerContents;
  for (const { topic, partition, logStartOffset, everything } of disk.partitions) {
    const atHub = new Set(recordsAtHub(engine, topic, partition).map(({ name }) => name));
    const own = rows.filter((row) => row.topic === topic && row.partition === partition);
    const records = recordsOf(everything.map(({ batch }) => batch));
    for (const [offset, { name }] of records.slice(0, logStartOffset).entries()) {
      const isNoted = own.some(({ from, to }) => from <= offset && offset <= to);
      assert.ok(
        isNoted || atHub.has(name),
        `${topic}/${partition}: ${offset} is gone, and the ledger does not say why`,
      );
    }
  }
}

/** A range was removed for the reason that the hub was told. */
function checkReasons({ losses }: AgentWorld, { topic, partition, trims }: StoredPartition): void {
  for (const { from, to, reason, ...at } of losses) {
    if (at.topic !== topic || at.partition !== partition || (reason !== "overflow" && reason !== "expired")) continue;
    for (let offset = from; offset <= to; offset++) {
      const trim = trims.find((each) => each.from <= offset && offset < each.end);
      assert.equal(reason, trim?.reason, `${topic}/${partition}: why ${offset} is gone`);
    }
  }
}

type Counts = { -readonly [Key in keyof Findings]: number };

/** Acknowledged: stored once, or counted as dropped. */
function checkPromises(
  the: {
    readonly topic: string;
    readonly publishers: readonly VirtualPublisher[];
    readonly stored: ReadonlyMap<string, number>;
    readonly unstored: number;
  },
  findings: Counts,
): void {
  /** What the ledger must have, and may have at the most. */
  let owed = 0;
  let possible = 0;
  for (const { messages, options } of the.publishers) {
    for (const sent of messages) {
      const name = `${options.name}/${sent.sequence}`;
      const times = the.stored.get(name) ?? 0;
      if (times === 0 && sent.isAcknowledged) owed++;
      // A second attempt that is taken for a new message may be dropped, and counted, too.
      const isAlone = options.qos !== 1 || isInWindow(options, sent);
      if (times === 0 || !isAlone) possible += Math.max(0, sent.readAtMs.length - times);
      if (times <= 1) continue;
      const isAllowed = options.qos === 1 && !isInWindow(options, sent) && times <= sent.readAtMs.length;
      assert.ok(
        isAllowed,
        `${name} (QoS ${options.qos}) is stored ${times} times and was read ${sent.readAtMs.length} times`,
      );
      findings.twice += times - 1;
    }
  }
  const text = `${the.topic}: ${the.unstored} dropped by the ledger, ${owed} to ${possible} by the clients`;
  assert.ok(owed <= the.unstored && the.unstored <= possible, text);
  findings.lost += owed;
}

/**
 * Whether a second attempt is known for one (duplicate-window.ts): the client's identifiers do not come back, and it has
 * shown so.
 */
function isInWindow({ messageIds }: PublisherOptions, { sequence }: Sent): boolean {
  return messageIds.first > SLOT_COUNT && sequence >= PROVEN_AFTER;
}

/**
 * A client's messages in one partition begin in the order in which it sent them. A second attempt that is not known for
 * one may be of a message that was dropped.
 */
function checkOrder(world: AgentWorld, place: string, records: readonly Record[]): void {
  const seen = new Set<string>();
  const highest = new Map<string, number>();
  for (const { name } of records) {
    if (seen.has(name)) continue;
    seen.add(name);
    const [client, sequence] = split(name);
    const last = highest.get(client) ?? -1;
    highest.set(client, Math.max(sequence, last));
    if (sequence > last) continue;
    const { sent, options } = find(world, name);
    const isAgain = options.qos === 1 && !isInWindow(options, sent) && sent.readAtMs.length > 1;
    assert.ok(isAgain, `${place}: ${name} comes after ${last}`);
  }
}

function isDeclared(world: AgentWorld, { topic, partition }: StoredPartition, offset: number): boolean {
  return world.losses.some(
    (loss) => loss.topic === topic && loss.partition === partition && loss.from <= offset && offset <= loss.to,
  );
}

function checkTime(world: AgentWorld, { name, timestampMs, quality }: Record, findings: Counts): void {
  assert.ok(!isProvisional(timestampMs) && timestampMs >= PROVISIONAL_END, `${name} is at the hub without a time`);
  const { sent, options } = find(world, name);
  if (quality === "estimated") {
    findings.estimated++;
    const boots = sent.readInBoots.filter((boot) => !world.bootsWithTime.has(boot));
    assert.ok(boots.length > 0, `${name} is only estimated, and the time became known in its boot`);
    return;
  }
  if (quality === "corrected") findings.corrected++;
  // Messages that wait for their topic to be made get their time then.
  const [topic] = options.topic.split("/");
  const madeAtMs = world.topicMadeAtMs.filter((made) => made.topic === topic).map(({ atMs }) => atMs);
  const isRight = sent.readAtMs.some((readAtMs) =>
    [readAtMs, ...madeAtMs.filter((atMs) => atMs > readAtMs)].some(
      (stampedAtMs) => Math.abs(timestampMs - stampedAtMs) <= TIME_ERROR_MS_MAX,
    ),
  );
  const text = `${name} (${quality ?? "exact"}) says ${timestampMs}, and came at ${sent.readAtMs.join(", ")}`;
  assert.ok(isRight, text);
}

async function checkBooks(world: AgentWorld, { topic, partition }: StoredPartition, hubCount: number) {
  const place = `${topic}/${partition}`;
  const { agent, unstored, hubAhead, hubStored, hubLost } = await world.books(topic, partition);
  assert.equal(agent.delivered + agent.pending + agent.dropped, agent.accepted, `${place}: accepted`);
  assert.equal(agent.pending, 0, `${place}: nothing is pending`);
  assert.equal(hubAhead, 0, `${place}: no side lost anything in silence`);
  assert.equal(hubStored, hubCount, `${place}: the hub counts what it holds`);
  assert.equal(agent.delivered, hubStored, `${place}: delivered`);
  assert.equal(agent.dropped, hubLost, `${place}: dropped`);
  return { unstored };
}

function find(world: AgentWorld, name: string): { readonly sent: Sent; readonly options: PublisherOptions } {
  const [client, sequence] = split(name);
  const publisher = world.publishers.find(({ options }) => options.name === client);
  const sent = publisher?.messages[sequence];
  if (publisher === undefined || sent === undefined) throw new Error(`nobody sent ${name}`);
  return { sent, options: publisher.options };
}

function split(name: string): [client: string, sequence: number] {
  const [client = "", sequence] = name.split("/");
  return [client, Number(sequence)];
}

function recordsAtHub(engine: AgentWorld["engine"], topic: string, partition: number): Record[] {
  if (!engine.topics.has(topic)) return [];
  const at = { topic, partition };
  const { logStartOffset: offset } = engine.offsets(at);
  return recordsOf(engine.read({ ...at, offset, bytesMax: 2 ** 30, atLeastOne: true }).batches);
}

function recordsOf(batches: readonly Buffer[]): Record[] {
  return batches.flatMap((batch) =>
    Array.from(decodeRecords(batch), ({ timestamp, value, headers }) => ({
      name: String(value),
      timestampMs: timestamp,
      quality: headers.find(({ key }) => key === QUALITY_HEADER)?.value?.toString(),
    })),
  );
}
