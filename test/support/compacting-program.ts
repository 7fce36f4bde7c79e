/**
 * A program for the crash test of compaction: appends records of few keys to a log and compacts it all the while, until it
 * is killed or has done so for a number of rounds. `DIRECTORY ROUNDS FROM`: values count up from FROM. Writes
 * "key value" once a record is acknowledged.
 */
import { encodeRecords } from "../../shared/batch/records.ts";
import { openLog } from "./open-log.ts";

const KEY_COUNT = 40;
const RECORDS_PER_BATCH = 3;
const BATCHES_PER_ROUND = 400;

const [directory = "", rounds, from] = process.argv.slice(2);
const log = await openLog({ after: () => undefined }, directory);
if (!log.topics.has("state")) await log.createTopic({ name: "state", partitionCount: 1 });
const at = log.partition("state", 0);
const policy = { dirtyRatioMin: 0, lagMsMin: 0, lagMsMax: Infinity, deleteRetentionMs: 0 };
let value = Number(from);

async function appendOne(): Promise<void> {
  const records = Array.from({ length: RECORDS_PER_BATCH }, () => ({
    key: `k${value % KEY_COUNT}`,
    value: value++,
  }));
  const encoded = records.map((each) => ({
    timestamp: 1,
    key: Buffer.from(each.key),
    value: Buffer.from(`${each.value}`),
  }));
  await log.append(at, encodeRecords(encoded, "zstd"), "fsync");
  for (const each of records) process.stdout.write(`${each.key} ${each.value}\n`);
}

for (let round = 0; round < Number(rounds); round++) {
  await Promise.all(Array.from({ length: BATCHES_PER_ROUND }, appendOne));
  const compacting = log.compact(at, { policy, now: round });
  for (let i = 0; i < 20; i++) await appendOne();
  await compacting;
}
await log.close();
