/**
 * The log under load, for the power cuts: topics made and deleted, appends with and without a flush, trims, retention,
 * pairs of an extension. `DIRECTORY JOURNAL SEED LIFE ROUNDS WORKER DURABILITY`: goes on with what the lives before have left, and notes in the
 * journal what it asks for and what is acknowledged. Ends in order, unless it is killed.
 */
import { setImmediate as turn } from "node:timers/promises";
import { seededRandom } from "../../../bin/demo/random.ts";
import { splitBatches, readBatchHeader } from "../../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../../shared/batch/records.ts";
import type { LogPartition } from "../../../shared/log/partitioned-log.ts";
import { WorkerLog } from "../../../shared/log/worker-log.ts";
import { appendNote } from "./journal.ts";
import type { Note } from "./witness.ts";

const PUBLISHERS = 3;
const PARTITIONS = 2;
const RECORDS_MAX = 6;
const PADDING_MAX = 700;
const READ_BYTES_MAX = 64 * 1024;
const KEPT_RECORDS = 300;

const [directory = "", journal = "", seed = "0", life = "0", rounds = "0", worker = "", appends = ""] =
  process.argv.slice(2);
const random = seededRandom(Number(seed) * 1009 + Number(life));
const note = (each: Note): void => appendNote(journal, each);
const whole = (max: number): number => Math.floor(random.next() * max);

const log = await WorkerLog.open({
  directory,
  worker: new URL(worker),
  hasReaderThread: false,
  crashPointBeforeFsync: "hub-before-fsync",
  reserveBytes: 1 << 20,
});

async function makeTopic(topic: string): Promise<void> {
  if (log.topics.has(topic)) return;
  await log.createTopic({ name: topic, partitionCount: PARTITIONS });
  note({ type: "topic-made", topic });
}

const sequences = new Map<string, number>();
const nextKey = (publisher: string): string => {
  const number = sequences.get(publisher) ?? 0;
  sequences.set(publisher, number + 1);
  return `${publisher}/${number}`;
};

/** Each publisher stays with one partition, and waits for its answers, so that its order is known. */
async function publish(publisher: number, at: LogPartition, durability: "fsync" | "os"): Promise<void> {
  const { topic, partition } = at;
  const name = `${topic}-${publisher}-${life}`;
  const keys = Array.from({ length: 1 + whole(RECORDS_MAX) }, () => nextKey(name));
  const records = keys.map((key) => ({
    timestamp: 1,
    key: null,
    value: Buffer.from(`${key} ${"x".repeat(whole(PADDING_MAX))}`),
  }));
  note({ type: "sending", topic, keys });
  const { baseOffset } = await log.append(at, encodeRecords(records, "none"), durability);
  if (durability === "fsync") note({ type: "acked", topic, partition, offset: baseOffset, keys });
}

/** What a consumer would be given: it remembers that. */
async function read(at: LogPartition, from: number): Promise<number> {
  const end = log.readableEndOffset(at);
  const offset = Math.max(from, at.logStartOffset);
  if (offset >= end) return offset;
  const bytes = await log.read({ partition: at, offset, end, bytesMax: READ_BYTES_MAX, atLeastOne: true });
  let next = offset;
  for (const batch of splitBatches(bytes)) {
    for (const record of decodeRecords(batch, readBatchHeader(batch))) {
      if (record.offset < offset || record.offset >= end) continue;
      const [key = ""] = Buffer.from(record.value ?? [])
        .toString("latin1")
        .split(" ", 1);
      note({ type: "read", topic: at.topic, partition: at.partition, offset: record.offset, keys: [key] });
      next = record.offset + 1;
    }
  }
  return next;
}

async function trim(at: LogPartition): Promise<void> {
  const { topic, partition } = at;
  // Retention by size keeps less than this, whatever it takes; so much is asked for.
  const before = at.logEndOffset;
  if (before - at.logStartOffset < KEPT_RECORDS) return;
  note({ type: "trimming", topic, partition, before });
  if (random.next() < 1 / 2) await log.trim(at, before - KEPT_RECORDS);
  else await log.retain(at, { bytesMax: at.bytes >> 1, ageMsMax: undefined });
}

async function commit(name: string, value: number): Promise<void> {
  note({ type: "committing", name, value });
  await log.call([{ extension: "test", method: "put", args: { name, value: String(value) } }]);
  note({ type: "committed", name, value });
}

await makeTopic("flushed");
await makeTopic("mixed");
const positions = new Map<LogPartition, number>();
let shortLived: string | undefined;
for (let round = 0; round < Number(rounds); round++) {
  const work: Promise<unknown>[] = [];
  for (let publisher = 0; publisher < PUBLISHERS; publisher++) {
    const flushed = log.partition("flushed", publisher % PARTITIONS);
    const mixed = log.partition("mixed", publisher % PARTITIONS);
    work.push(publish(publisher, flushed, "fsync"));
    work.push(publish(publisher, mixed, appends === "mixed" && random.next() < 1 / 2 ? "os" : "fsync"));
  }
  if (round % 3 === 0) work.push(commit("group", Number(life) * 1e6 + round));
  await Promise.all(work);
  for (const topic of log.topics.values()) {
    for (const at of topic.partitions) {
      if (random.next() < 1 / 3) positions.set(at, await read(at, positions.get(at) ?? 0));
      // Its commits are not flushed at once either.
      if (appends === "mixed" && random.next() < 1 / 20) await trim(at);
    }
  }
  if (round % 10 === 5) {
    shortLived = `short-${life}-${round}`;
    await makeTopic(shortLived);
    await publish(0, log.partition(shortLived, 0), "fsync");
  }
  if (round % 10 === 9 && shortLived !== undefined) {
    note({ type: "topic-deleting", topic: shortLived });
    await log.deleteTopic(shortLived);
    note({ type: "topic-deleted", topic: shortLived });
  }
  await turn();
}
process.stdout.write("done\n");
await log.close();
