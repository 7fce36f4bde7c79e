/** What the log lets grow old, and by which clock: its own, never a producer's and never one that was set. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { stampProducer } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import { PRODUCER_EXPIRY_MS } from "../../shared/log/producer-states.ts";
import { LOG_FORMAT } from "../../shared/log/schema.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import { always, appendAll, batchOf, consume, show } from "../support/compacting.ts";
import { addFormat1Producers, makeFormat1 } from "../support/old-formats.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;

const batchAt = (timestamp: number): Buffer => encodeRecords([{ timestamp, key: null, value: Buffer.from("v") }]);
const turn = (log: WorkerLog, args: { wallMs?: number; monotonicMs?: number }) =>
  log.query({ extension: "test", method: "turnClocks", args });
const pass = (log: WorkerLog, ms: number) => turn(log, { wallMs: ms, monotonicMs: ms });
const retain = (log: WorkerLog, at: LogPartition, ageMsMax: number) =>
  log.retain(at, { bytesMax: undefined, ageMsMax });

async function withTopic(t: TestContext): Promise<{ log: WorkerLog; directory: string; at: LogPartition }> {
  const directory = tempDir(t);
  const log = await openLog(t, directory, { hasReaderThread: true });
  await log.createTopic({ name: "events", partitionCount: 1 });
  return { log, directory, at: log.partition("events", 0) };
}

suite("retention by age", () => {
  test("a record is kept for as long as the topic says after it was stored, whatever its own timestamp", async (t) => {
    const { log, at } = await withTopic(t);
    const now = Date.now();
    await log.append(at, batchAt(now - 30 * DAY_MS), "fsync");
    await log.append(at, batchAt(now + 10 * YEAR_MS), "fsync");
    await retain(log, at, DAY_MS);
    await pass(log, 12 * HOUR_MS);
    await log.append(at, batchAt(0), "fsync");
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 0, "a clock 30 days behind makes nothing old");
    await pass(log, 11 * HOUR_MS);
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 0);
    await pass(log, HOUR_MS);
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 2, "a clock 10 years ahead keeps nothing");
    await pass(log, 12 * HOUR_MS);
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 3);
  });

  test("the end of what is too old is told without anything being taken away", async (t) => {
    const { log, at } = await withTopic(t);
    await log.append(at, batchAt(0), "fsync");
    assert.equal(await log.expiredEnd(at, DAY_MS), 0);
    await pass(log, 12 * HOUR_MS);
    await log.append(at, batchAt(0), "fsync");
    assert.equal(await log.expiredEnd(at, DAY_MS), 0);
    await pass(log, 12 * HOUR_MS);
    assert.equal(await log.expiredEnd(at, DAY_MS), 1);
    assert.equal(at.logStartOffset, 0);
  });

  test("nothing grows old because the hub's clock is set ahead, or ahead and back, while it runs or is off", async (t) => {
    const { log, directory, at } = await withTopic(t);
    await log.append(at, batchAt(0), "fsync");
    await retain(log, at, DAY_MS);
    await pass(log, 60_000);
    await turn(log, { wallMs: 5000 * DAY_MS });
    await log.append(at, batchAt(0), "fsync");
    await retain(log, at, DAY_MS);
    await turn(log, { wallMs: -5000 * DAY_MS });
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 0);
    await log.close();

    const again = await openLog(t, directory);
    const reopened = again.partition("events", 0);
    await turn(again, { wallMs: 5000 * DAY_MS });
    await retain(again, reopened, DAY_MS);
    assert.equal(reopened.logStartOffset, 0);
    await pass(again, DAY_MS);
    await retain(again, reopened, DAY_MS);
    assert.equal(reopened.logStartOffset, 2, "time that passes counts");
  });

  test("the time that a hub runs counts over its restarts", async (t) => {
    const { log, directory, at } = await withTopic(t);
    await log.append(at, batchAt(0), "fsync");
    await retain(log, at, DAY_MS);
    await pass(log, 20 * HOUR_MS);
    await log.close();
    const again = await openLog(t, directory);
    const reopened = again.partition("events", 0);
    await pass(again, 3 * HOUR_MS);
    await retain(again, reopened, DAY_MS);
    assert.equal(reopened.logStartOffset, 0);
    await pass(again, 2 * HOUR_MS);
    await retain(again, reopened, DAY_MS);
    assert.equal(reopened.logStartOffset, 1);
  });

  test("a topic that is deleted leaves no marks, and records of a topic made again have their own age", async (t) => {
    const { log, directory, at } = await withTopic(t);
    await log.append(at, batchAt(0), "fsync");
    await retain(log, at, DAY_MS);
    await log.deleteTopic("events");
    await log.createTopic({ name: "events", partitionCount: 1 });
    const next = log.partition("events", 0);
    await pass(log, 2 * DAY_MS);
    await log.append(next, batchAt(0), "fsync");
    await retain(log, next, DAY_MS);
    assert.equal(next.logStartOffset, 0);
    const database = new Database(path.join(directory, "log.db"), { readonly: true });
    assert.equal(database.prepare("SELECT count(*) FROM age_mark").pluck().get(), 1);
    database.close();
  });
});

suite("compaction by age", () => {
  test("records younger than min.compaction.lag.ms stay, whatever their timestamps", async (t) => {
    const { log, at } = await withTopic(t);
    for (const [value, timestamp] of [
      ["1", Date.now() + YEAR_MS],
      ["2", 0],
    ] as const) {
      await log.append(at, batchOf([["a", value]], { timestamp }), "fsync");
    }
    await log.markAge(at);
    await pass(log, 3000);
    await appendAll(log, at, [["a", "3"]], [["a", "4"]]);
    const lag = { policy: { ...always, lagMsMin: 5000 } };
    assert.equal(await log.compact(at, { ...lag, now: await log.markAge(at) }), undefined);
    await pass(log, 3000);
    await log.compact(at, { ...lag, now: await log.markAge(at) });
    assert.deepEqual(show(await consume(log, at, 0)), ["1 a=2", "2 a=3", "3 a=4"]);
    await pass(log, 3000);
    await log.compact(at, { ...lag, now: await log.markAge(at) });
    assert.deepEqual(show(await consume(log, at, 0)), ["2 a=3", "3 a=4"]);
  });

  test("what is older than max.compaction.lag.ms is compacted though little is dirty", async (t) => {
    const { log, at } = await withTopic(t);
    await appendAll(log, at, [["a", "1"]], [["a", "2"]], [["z", "1"]]);
    const policy = { ...always, dirtyRatioMin: 1, lagMsMax: HOUR_MS };
    assert.equal(await log.compact(at, { policy, now: await log.markAge(at) }), undefined);
    await turn(log, { wallMs: YEAR_MS });
    assert.equal(await log.compact(at, { policy, now: await log.markAge(at) }), undefined, "no clock was set");
    await pass(log, HOUR_MS + 1);
    assert.equal((await log.compact(at, { policy, now: await log.markAge(at) }))?.reason, "lag");
  });

  test("tombstones do not go because a clock is set ahead", async (t) => {
    const { log, at } = await withTopic(t);
    await appendAll(log, at, [["a", "1"]], [["a", null]], [["z", "1"]]);
    const compact = async () => log.compact(at, { policy: always, now: await log.markAge(at) });
    await compact();
    await turn(log, { wallMs: YEAR_MS });
    assert.equal(await compact(), undefined);
    assert.deepEqual(show(await consume(log, at, 0)), ["1 a=null", "2 z=1"]);
    await pass(log, DAY_MS);
    assert.equal((await compact())?.reason, "tombstones");
  });
});

suite("states of producers", () => {
  const produced = (producerId: bigint, baseSequence: number): Buffer => {
    const batch = batchAt(0);
    stampProducer(batch, { producerId, producerEpoch: 0, baseSequence });
    return batch;
  };
  const producers = async (log: WorkerLog, at: LogPartition) =>
    (await log.producersOf(at)).map(({ producerId }) => Number(producerId)).toSorted((a, b) => a - b);

  test("those that are not kept go when nothing was heard of them for a day, the others stay", async (t) => {
    const { log, at } = await withTopic(t);
    await log.append(at, produced(1n, 0), "fsync");
    await log.append(at, produced(2n, 0), "fsync", { keepsProducer: true });
    await log.append(at, produced(3n, 0), "fsync");
    await log.append(at, produced(1n << 62n, 0), "fsync", { keepsProducer: true });
    await pass(log, PRODUCER_EXPIRY_MS / 2);
    await log.append(at, produced(3n, 1), "fsync");
    await turn(log, { wallMs: YEAR_MS });
    await log.expireProducers();
    assert.deepEqual(await producers(log, at), [1, 2, 3, 2 ** 62], "no clock was set");
    await pass(log, PRODUCER_EXPIRY_MS / 2 + 1);
    await log.expireProducers();
    assert.deepEqual(await producers(log, at), [2, 3, 2 ** 62]);
    // As for a producer of which nothing is known.
    assert.equal((await log.append(at, produced(1n, 9), "fsync")).duplicate, false);
    assert.equal((await log.append(at, produced(2n, 0), "fsync")).duplicate, true);
    await assert.rejects(log.append(at, produced(2n, 5), "fsync"), { code: "OUT_OF_ORDER_SEQUENCE_NUMBER" });
    await pass(log, 2 * PRODUCER_EXPIRY_MS);
    await log.append(at, produced(2n, 1), "fsync");
    await log.expireProducers();
    assert.deepEqual(await producers(log, at), [2, 2 ** 62], "kept once, kept for good");
  });

  test("all of them are looked at, a part each time", async (t) => {
    const { log, at } = await withTopic(t);
    const count = 12_000;
    await Promise.all(
      Array.from({ length: count }, (_, i) =>
        log.append(at, produced(BigInt(i), 0), "os", { keepsProducer: i % 2 > 0 }),
      ),
    );
    await pass(log, PRODUCER_EXPIRY_MS + 1);
    await log.expireProducers();
    const left = (await producers(log, at)).length;
    assert.ok(left > count / 2 && left < count, `${left}`);
    await log.expireProducers();
    await log.expireProducers();
    assert.equal((await producers(log, at)).length, count / 2);
    // More than are kept in memory: those that are not there come from the disk.
    assert.equal((await log.append(at, produced(1n, 0), "fsync")).duplicate, true);
    assert.equal((await log.append(at, produced(BigInt(count - 1), 0), "fsync")).duplicate, true);
  });
});

suite("the log's format", () => {
  /** With a batch and two producers. */
  function makeOldLog(directory: string): void {
    mkdirSync(directory, { recursive: true });
    const database = makeFormat1(path.join(directory, "log.db"));
    database.exec("INSERT INTO topic VALUES ('events', zeroblob(16), '{}')");
    database.exec("INSERT INTO partition (id, topic, partition) VALUES (1, 'events', 0)");
    const batch = batchAt(Date.now() - YEAR_MS);
    database.prepare("INSERT INTO batch VALUES (?, 0, 0, ?)").run(1n << 42n, batch);
    addFormat1Producers(database, [3n, 4n], 3);
    database.close();
  }

  const versionOf = (directory: string): unknown => {
    const database = new Database(path.join(directory, "log.db"), { readonly: true });
    try {
      return database.pragma("user_version", { simple: true });
    } finally {
      database.close();
    }
  };

  test("a log of the version before is brought to this one, with all that is in it", async (t) => {
    const directory = path.join(tempDir(t), "log");
    makeOldLog(directory);
    const log = await openLog(t, directory);
    const at = log.partition("events", 0);
    assert.deepEqual([at.logStartOffset, at.logEndOffset], [0, 1]);
    assert.equal((await consume(log, at, 0)).length, 1);
    assert.equal(versionOf(directory), LOG_FORMAT);
    await retain(log, at, DAY_MS);
    await pass(log, DAY_MS - HOUR_MS);
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 0, "what was there before is as old as the upgrade");
    await pass(log, 2 * HOUR_MS);
    await retain(log, at, DAY_MS);
    assert.equal(at.logStartOffset, 1);
    await log.expireProducers();
    const left = (await log.producersOf(at)).map(({ producerId, lastSequence }) => [producerId, lastSequence]);
    assert.deepEqual(left, [[4n, 4]], "an id that was given to a Kafka client ends, an agent's stays");
  });

  test("a log of the version before whose tables were not made yet, as a crash may leave it", async (t) => {
    const directory = path.join(tempDir(t), "log");
    mkdirSync(directory);
    const database = new Database(path.join(directory, "log.db"));
    database.pragma("user_version = 1");
    database.close();
    const log = await openLog(t, directory);
    await log.createTopic({ name: "events", partitionCount: 1 });
    assert.equal(versionOf(directory), LOG_FORMAT);
  });

  test("an upgrade that fails leaves the log as it was", async (t) => {
    const directory = path.join(tempDir(t), "log");
    makeOldLog(directory);
    const database = new Database(path.join(directory, "log.db"));
    // The last step of the upgrade cannot be done.
    database.exec("CREATE VIEW age_mark AS SELECT 1; CREATE VIEW producer_by_id AS SELECT 1");
    database.close();
    await assert.rejects(openLog(t, directory));
    assert.equal(versionOf(directory), 1);
    const again = new Database(path.join(directory, "log.db"));
    again.exec("DROP VIEW age_mark; DROP VIEW producer_by_id");
    again.close();
    const log = await openLog(t, directory);
    assert.equal((await log.producersOf(log.partition("events", 0))).length, 2);
  });

  test("a log of a newer version is refused, and not touched", async (t) => {
    const directory = path.join(tempDir(t), "log");
    mkdirSync(directory);
    const database = new Database(path.join(directory, "log.db"));
    database.pragma(`user_version = ${LOG_FORMAT + 1}`);
    database.close();
    await assert.rejects(openLog(t, directory), { code: "LOG_VERSION" });
    assert.equal(versionOf(directory), LOG_FORMAT + 1);
  });
});
