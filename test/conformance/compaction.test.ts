/** Compaction of the log: what must survive, what must go, and what must not change. Part of the log's specification. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { codecs, frameBatch, readBatchHeader, splitBatches, stampProducer } from "../../shared/batch/record-batch.ts";
import { DECOMPRESSED_BYTES_MAX } from "../../shared/batch/records.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import { DAY_MS, NOW, always, appendAll, batchOf, compact, consume, show } from "../support/compacting.ts";
import type { Pair } from "../support/compacting.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitUntil } from "../support/wait-until.ts";

async function withTopic(t: TestContext): Promise<{ log: WorkerLog; directory: string; at: LogPartition }> {
  const directory = tempDir(t);
  const log = await openLog(t, directory, { hasReaderThread: true });
  await log.createTopic({ name: "state", partitionCount: 1 });
  return { log, directory, at: log.partition("state", 0) };
}

test("compaction: the last value of each key stays, offsets do not move, the newest batch is left alone", async (t) => {
  const { log, at } = await withTopic(t);
  await appendAll(
    log,
    at,
    [
      ["a", "1"],
      ["b", "1"],
    ],
    [["a", "2"]],
    [
      ["b", "2"],
      ["c", "1"],
    ],
    [
      ["c", "2"],
      ["c", "3"],
    ],
  );

  const compacted = await compact(log, at);

  assert.deepEqual(show(await consume(log, at, 0)), ["2 a=2", "3 b=2", "4 c=1", "5 c=2", "6 c=3"]);
  assert.equal(compacted?.recordsRemoved, 2);
  assert.deepEqual([at.logStartOffset, at.logEndOffset], [0, 7]);
  const stored = await log.read({ partition: at, offset: 0, bytesMax: 1 << 20, atLeastOne: true });
  assert.equal(at.bytes, stored.length);
  assert.equal((await log.append(at, batchOf([["d", "1"]]), "fsync")).baseOffset, 7);
});

test("compaction: tombstones stay for delete.retention.ms after their first compaction, then they go", async (t) => {
  const { log, at } = await withTopic(t);
  await appendAll(log, at, [["a", "1"]], [["a", null]], [["z", "1"]]);
  await compact(log, at);
  assert.deepEqual(show(await consume(log, at, 0)), ["1 a=null", "2 z=1"]);

  assert.equal(await compact(log, at, {}, NOW + DAY_MS - 1), undefined);
  assert.equal((await compact(log, at, {}, NOW + DAY_MS))?.reason, "tombstones");
  assert.deepEqual(show(await consume(log, at, 0)), ["2 z=1"]);
  assert.equal(await compact(log, at, {}, NOW + 2 * DAY_MS), undefined, "nothing is left to go");
});

test("compaction: how far it came is remembered over a restart, and so are offsets, sizes and producers", async (t) => {
  const directory = tempDir(t);
  const first = await openLog(t, directory);
  await first.createTopic({ name: "state", partitionCount: 1 });
  const at = first.partition("state", 0);
  for (let i = 0; i < 5; i++) {
    const batch = batchOf([
      ["a", `${i}`],
      [`k${i}`, "1"],
    ]);
    stampProducer(batch, { producerId: 7n, producerEpoch: 0, baseSequence: i * 2 });
    await first.append(at, batch, "fsync");
  }
  assert.ok(await compact(first, at));
  const { bytes } = at;
  await first.close();

  const log = await openLog(t, directory);
  const again = log.partition("state", 0);
  assert.deepEqual([again.logStartOffset, again.logEndOffset, again.bytes], [0, 10, bytes]);
  assert.equal(await compact(log, again, { dirtyRatioMin: 0 }), undefined, "nothing new to compact");
  const duplicate = batchOf([
    ["a", "0"],
    ["k0", "1"],
  ]);
  stampProducer(duplicate, { producerId: 7n, producerEpoch: 0, baseSequence: 0 });
  assert.deepEqual(await log.append(again, duplicate, "fsync"), { baseOffset: 0, lastOffset: 1, duplicate: true });
  const [producer] = await log.producersOf(again);
  assert.deepEqual([producer?.producerId, producer?.epoch, producer?.lastSequence], [7n, 0, 9]);
});

test("compaction: a partition is left alone until enough of it is dirty", async (t) => {
  const { log, at } = await withTopic(t);
  const keys = Array.from({ length: 50 }, (_, i): Pair => [`k${i}`, "x".repeat(50)]);
  await appendAll(log, at, keys, keys, [["k0", "2"]]);
  assert.equal((await compact(log, at, { dirtyRatioMin: 0.5 }))?.reason, "dirty");
  await appendAll(log, at, [["k1", "2"]]);
  assert.equal(await compact(log, at, { dirtyRatioMin: 0.5 }), undefined);
});

test("compaction: more keys than the map holds are compacted in several runs, with the same outcome", async (t) => {
  const { log, at } = await withTopic(t);
  const pairs = (round: number) => Array.from({ length: 40 }, (_, i): Pair => [`k${i}`, `${round}`]);
  await appendAll(log, at, pairs(1), pairs(2), pairs(3), [["end", "1"]]);

  // Room for six keys: a run ends in the midst of a batch.
  const compacted = await log.compact(at, { policy: always, now: NOW, mapBytesMax: 8 * 24 });

  assert.ok((compacted?.runs ?? 0) > 10, `${compacted?.runs} runs`);
  assert.equal(compacted?.cleanEnd, 120);
  assert.deepEqual(show(await consume(log, at, 0)), [
    ...pairs(3).map(([key, value], i) => `${80 + i} ${key}=${value}`),
    "120 end=1",
  ]);
});

test("compaction: records without a key stay, and so do batches that cannot be looked into, with the tombstones behind", async (t) => {
  const { log, at } = await withTopic(t);
  const fields = { codec: "none", lastOffsetDelta: 0, recordCount: 1, baseTimestamp: NOW, maxTimestamp: NOW } as const;
  await appendAll(log, at, [
    ["a", "1"],
    [null, "x"],
  ]);
  await log.append(at, frameBatch(fields, Buffer.from("no records at all")), "fsync");
  await appendAll(log, at, [["a", null]], [["z", "1"]]);

  const compacted = await compact(log, at);
  assert.equal(compacted?.batchesOpaque, 1);
  assert.equal(await compact(log, at, {}, NOW + 9 * DAY_MS), undefined, "nobody comes back for that tombstone");
  await appendAll(log, at, [["y", "1"]], [["y", "2"]], [["end", "1"]]);
  await compact(log, at, {}, NOW + 9 * DAY_MS);

  assert.deepEqual(show(await consume(log, at, 3)), ["3 a=null", "4 z=1", "6 y=2", "7 end=1"]);
  const all = await log.read({ partition: at, offset: 0, bytesMax: 1 << 20, atLeastOne: true });
  assert.deepEqual(
    [...splitBatches(all)].map((batch) => readBatchHeader(batch).baseOffset),
    [0, 2, 3, 4, 6, 7],
  );
});

test("compaction: nothing that a producer can make of a batch's bytes stops it", async (t) => {
  const { log, at } = await withTopic(t);
  const fields = { lastOffsetDelta: 0, recordCount: 1, baseTimestamp: NOW, maxTimestamp: NOW };
  const xerial = Buffer.from("82534e4150505900" + "00000001" + "00000001" + "0000", "hex");
  const payloads = [Buffer.alloc(0), Buffer.from("no records at all"), xerial, Buffer.alloc(7), Buffer.alloc(50, 0xff)];
  const bomb = gzipSync(Buffer.alloc(DECOMPRESSED_BYTES_MAX + 1));
  await appendAll(log, at, [["a", "1"]]);
  for (const codec of codecs) {
    for (const payload of payloads) await log.append(at, frameBatch({ codec, ...fields }, payload), "os");
  }
  await log.append(at, frameBatch({ codec: "gzip", ...fields }, bomb), "os");
  await appendAll(log, at, [["a", "2"]], [["end", "1"]]);

  const compacted = await compact(log, at);

  assert.equal(compacted?.batchesOpaque, codecs.length * payloads.length + 1);
  assert.equal(compacted?.recordsRemoved, 1);
  assert.deepEqual(
    show(await consume(log, at, at.logEndOffset - 2)).map((line) => line.split(" ")[1]),
    ["a=2", "end=1"],
  );
});

test("compaction: look-ups by time stay right, though the newest times may be among what goes", async (t) => {
  const { log, at } = await withTopic(t);
  for (const [key, timestamp] of [
    ["a", 100],
    ["b", 900],
    ["c", 300],
    ["b", 200],
    ["d", 400],
    ["e", 500],
  ] as const) {
    await log.append(at, batchOf([[key, "1"]], { timestamp }), "fsync");
  }
  await compact(log, at);
  assert.deepEqual(show(await consume(log, at, 0)), ["0 a=1", "2 c=1", "3 b=1", "4 d=1", "5 e=1"]);
  const found = async (timestamp: number) => (await log.offsetForTimestamp(at, timestamp))?.offset;
  assert.deepEqual(
    [await found(0), await found(101), await found(301), await found(500), await found(501)],
    [0, 2, 4, 5, undefined],
  );
  assert.deepEqual(await log.maxTimestamp(at), { offset: 5, timestamp: 500 });
});

test("compaction: batches that were trimmed or whose topic was deleted meanwhile are left alone", async (t) => {
  const { log, at } = await withTopic(t);
  const state = (n: number) => Array.from({ length: 20 }, (_, i): Pair => [`k${i}`, `${n}`]);
  await appendAll(log, at, ...Array.from({ length: 30 }, (_, n) => state(n)));
  const [compacted] = await Promise.all([compact(log, at), log.trim(at, 590)]);
  assert.ok(compacted === undefined || compacted.cleanEnd <= 590);
  assert.deepEqual([at.logStartOffset, at.logEndOffset], [590, 600]);
  assert.deepEqual(
    (await consume(log, at, 590)).map(({ offset }) => offset),
    Array.from({ length: 10 }, (_, i) => 590 + i),
  );
  assert.equal(await compact(log, at), undefined);
  await waitUntil(() => at.bytes < 1000, { what: "the trimmed batches to be swept", deadlineMs: 5000 });

  await appendAll(log, at, state(30), state(31), state(32));
  const running = compact(log, at);
  await log.deleteTopic("state");
  await running.catch((error: unknown) =>
    assert.equal((error as { code?: unknown }).code, "UNKNOWN_TOPIC_OR_PARTITION"),
  );
});

test("compaction: a log that is trimmed to its end keeps its end", async (t) => {
  const directory = tempDir(t);
  const first = await openLog(t, directory);
  await first.createTopic({ name: "state", partitionCount: 1 });
  const at = first.partition("state", 0);
  await appendAll(
    first,
    at,
    [["a", "1"]],
    [
      ["a", "2"],
      ["a", "3"],
    ],
  );
  await first.trim(at, 2);
  await compact(first, at);
  assert.deepEqual(show(await consume(first, at, 2)), ["2 a=3"]);
  await first.trim(at, 3);
  await compact(first, at);
  await first.close();
  const log = await openLog(t, directory);
  assert.equal(log.partition("state", 0).logEndOffset, 3);
});

test("compaction: its work is dealt out over many commits, by the count of batches and by their bytes", async (t) => {
  const { log, at } = await withTopic(t);
  const commitsOf = async (work: () => Promise<unknown>): Promise<number> => {
    let commits = 0;
    const stop = log.onCommit(() => commits++);
    await work();
    stop();
    return commits;
  };
  await appendAll(log, at, ...Array.from({ length: 600 }, (_, n): Pair[] => [["a", `${n}`]]));
  // 598 batches to remove, 100 at a time, and the checkpoint.
  assert.ok((await commitsOf(() => compact(log, at))) >= 7);

  const large = "x".repeat(100_000);
  await appendAll(
    log,
    at,
    ...Array.from({ length: 10 }, (_, n): Pair[] => [
      ["a", "1"],
      [`k${n}`, large],
    ]),
    [["a", "2"]],
  );
  // Each of the ten batches loses a record, and 256 KiB of them is as much as one commit takes over.
  assert.ok((await commitsOf(() => compact(log, at))) >= 4);
});

test("compaction: closing the log ends it at its next step", async (t) => {
  const { log, directory, at } = await withTopic(t);
  const state = (n: number) => Array.from({ length: 1000 }, (_, i): Pair => [`k${i}`, `${n}`]);
  await appendAll(log, at, ...Array.from({ length: 50 }, (_, n) => state(n)), [["k0", "49"]]);
  const running = compact(log, at);
  const [closed, compacted] = await Promise.allSettled([log.close(), running]);
  assert.equal(closed.status, "fulfilled");
  if (compacted.status === "rejected") assert.equal((compacted.reason as { code?: unknown }).code, "CLOSING");

  const again = await openLog(t, directory);
  const reopened = again.partition("state", 0);
  await compact(again, reopened);
  const left = await consume(again, reopened, 0);
  assert.deepEqual(new Set(left.map(({ value }) => String(value))), new Set(["49"]));
  assert.equal(left.length, 1001);
});

test("compaction: a log that is full gets room by it", async (t) => {
  const { log, at } = await withTopic(t);
  const state = Array.from({ length: 20 }, (_, i): Pair => [`k${i}`, "x".repeat(500)]);
  for (let i = 0; i < 20; i++) await appendAll(log, at, state);
  const pages = (await log.query({ extension: "test", method: "pages", args: undefined })) as number;
  await log.query({ extension: "test", method: "capPages", args: pages });
  await assert.rejects(appendAll(log, at, state, state), { code: "LOG_FULL" });

  const compacted = await compact(log, at);

  assert.equal(compacted?.recordsRemoved, 18 * 20);
  await appendAll(log, at, state, state);
  assert.equal(at.logEndOffset, 22 * 20);
});

test("compaction: a damaged batch is stepped over and kept", async (t) => {
  const { log, directory, at } = await withTopic(t);
  await appendAll(log, at, [["a", "1"]], [["b", "1"]], [["a", "2"]], [["z", "1"]]);
  await log.close();
  const database = new Database(path.join(directory, "log.db"));
  database.prepare("UPDATE batch SET bytes = zeroblob(length(bytes)) WHERE key & 0xff = 1").run();
  database.close();

  const damaged: number[] = [];
  const again = await openLog(t, directory, { onDamage: ({ from }) => damaged.push(from) });
  const reopened = again.partition("state", 0);
  await compact(again, reopened);
  assert.deepEqual(show(await consume(again, reopened, 0)), ["2 a=2", "3 z=1"]);
  assert.ok(damaged.length > 0 && damaged.every((from) => from === 1));
});
