import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { BatchBuilder, noHeaders } from "../../shared/batch/batch-builder.ts";
import { readBatchHeader, splitBatches, stampProducer } from "../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../shared/batch/records.ts";
import type { StreamError } from "../../shared/errors.ts";
import { systemClock } from "../../shared/clock.ts";
import type { CommitPart, LogAppended, LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import { batchKey } from "../../shared/log/schema.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitUntil } from "../support/wait-until.ts";

function batchOf(values: readonly string[], timestamp = 1000): Buffer {
  return encodeRecords(values.map((value, i) => ({ timestamp: timestamp + i, key: null, value: Buffer.from(value) })));
}

function produced(values: readonly string[], numbers: { epoch: number; sequence: number; id?: bigint }): Buffer {
  const batch = batchOf(values);
  stampProducer(batch, { producerId: numbers.id ?? 7n, producerEpoch: numbers.epoch, baseSequence: numbers.sequence });
  return batch;
}

async function withTopic(
  t: TestContext,
  partitionCount = 1,
): Promise<{ log: WorkerLog; directory: string; at: LogPartition }> {
  const directory = tempDir(t);
  const log = await openLog(t, directory);
  await log.createTopic({ name: "events", partitionCount });
  return { log, directory, at: log.partition("events", 0) };
}

async function valuesFrom(log: WorkerLog, partition: LogPartition, offset: number): Promise<string[]> {
  const bytes = await log.read({ partition, offset, bytesMax: 1 << 20, atLeastOne: true });
  return [...splitBatches(bytes)].flatMap((batch) =>
    [...decodeRecords(batch)]
      .filter((each) => each.offset >= offset)
      .map((each) => `${each.offset}:${String(each.value)}`),
  );
}

test("log: appended batches get dense offsets and read back as they were", async (t) => {
  const { log, at } = await withTopic(t);

  assert.deepEqual(await log.append(at, batchOf(["a", "b"]), "fsync"), {
    baseOffset: 0,
    lastOffset: 1,
    duplicate: false,
  });
  assert.deepEqual(await log.append(at, batchOf(["c"]), "fsync"), { baseOffset: 2, lastOffset: 2, duplicate: false });

  assert.equal(at.logEndOffset, 3);
  assert.deepEqual(await valuesFrom(log, at, 0), ["0:a", "1:b", "2:c"]);
  assert.deepEqual(await valuesFrom(log, at, 1), ["1:b", "2:c"]);
});

test("log: a reopened database holds topics, partitions, offsets, sizes and its id", async (t) => {
  const directory = tempDir(t);
  const first = await openLog(t, directory);
  await first.createTopic({ name: "events", partitionCount: 3, config: { "retention.ms": "5" } });
  await first.append(first.partition("events", 2), batchOf(["a", "b"]), "fsync");
  const { bytes } = first.partition("events", 2);
  await first.close();

  const second = await openLog(t, directory);

  assert.equal(second.id, first.id);
  assert.equal(second.topics.get("events")?.partitions.length, 3);
  assert.deepEqual(second.topics.get("events")?.config, { "retention.ms": "5" });
  assert.deepEqual(second.topics.get("events")?.id, first.topics.get("events")?.id);
  assert.equal(second.partition("events", 2).logEndOffset, 2);
  assert.equal(second.partition("events", 2).bytes, bytes);
  assert.ok(bytes > 0);
});

test("log: closed, it leaves an empty WAL with its index, so that a disk that is mounted read-only can be read", async (t) => {
  const { log, directory, at } = await withTopic(t);
  await log.append(at, batchOf(["a"]), "fsync");
  await log.close();
  assert.equal(statSync(path.join(directory, "log.db-wal")).size, 0);
  assert.ok(existsSync(path.join(directory, "log.db-shm")));

  const again = await openLog(t, directory);
  assert.equal(again.integrity.incidents.length, 0);
  assert.deepEqual(await valuesFrom(again, again.partition("events", 0), 0), ["0:a"]);
});

test("log: synchronous is FULL on a new file, on a reopened one, and again after an `os` commit", async (t) => {
  const directory = tempDir(t);
  const synchronous = { extension: "test", method: "synchronous", args: undefined };
  const first = await openLog(t, directory);
  assert.equal(await first.query(synchronous), 2);
  await first.close();

  const second = await openLog(t, directory);
  assert.equal(await second.query(synchronous), 2, "better-sqlite3 reopens a WAL database with NORMAL");
  await second.createTopic({ name: "events", partitionCount: 1 });
  await second.append(second.partition("events", 0), batchOf(["a"]), "os");
  assert.equal(await second.query(synchronous), 1);
  await second.append(second.partition("events", 0), batchOf(["b"]), "fsync");
  assert.equal(await second.query(synchronous), 2);
});

test("log: a second process-like opener of the same directory is refused", async (t) => {
  const { directory } = await withTopic(t);
  await assert.rejects(openLog(t, directory), { code: "LOG_LOCKED" });
});

test("log: a database of a newer format is refused and left as it is", async (t) => {
  const { log, directory } = await withTopic(t);
  await log.close();
  const database = new Database(path.join(directory, "log.db"));
  database.pragma("user_version = 99");
  database.close();
  await assert.rejects(openLog(t, directory), { code: "LOG_VERSION" });
});

test("log: what is asked for while a commit is on its way shares the next one", async (t) => {
  const { log, at } = await withTopic(t);
  let commits = 0;
  log.onCommit(() => commits++);

  await Promise.all(Array.from({ length: 100 }, (_, i) => log.append(at, batchOf([String(i)]), "fsync")));

  assert.equal(at.logEndOffset, 100);
  assert.equal(commits, 1);
});

test("log: commits start no closer together than commitIntervalMs", async (t) => {
  const log = await openLog(t, tempDir(t), { pace: { intervalMs: 60, lingerMs: 0 } });
  await log.createTopic({ name: "events", partitionCount: 1 });
  const at = log.partition("events", 0);
  const times: number[] = [];
  log.onCommit(() => times.push(performance.now()));

  for (let i = 0; i < 4; i++) await log.append(at, batchOf([String(i)]), "fsync");

  const gaps = times.slice(1).map((time, i) => time - (times[i] as number));
  assert.ok(
    gaps.every((gap) => gap > 40),
    `gaps of ${gaps.map(Math.round).join(", ")} ms`,
  );
});

test("log: a source's records, its calls and others' requests are one transaction", async (t) => {
  const { log, at } = await withTopic(t);
  const builder = new BatchBuilder();
  builder.append(5, Buffer.from("k"), Buffer.from("v"), noHeaders);
  const appended = await new Promise<readonly LogAppended[]>((resolve, reject) => {
    let part: CommitPart | undefined = {
      appends: [{ partition: at, records: builder.take() }],
      calls: [{ extension: "test", method: "put", args: { name: "n", value: "v" } }],
      durability: "fsync",
      done: resolve,
      failed: reject,
    };
    log
      .addSource({
        take: () => {
          const taken = part;
          part = undefined;
          return taken;
        },
      })
      .request();
  });

  assert.deepEqual(appended, [{ baseOffset: 0, lastOffset: 0, duplicate: false }]);
  assert.equal(await log.query({ extension: "test", method: "get", args: "n" }), "v");
  assert.deepEqual(await valuesFrom(log, at, 0), ["0:v"]);
});

test("log: a refused extension call takes nothing else of its commit with it", async (t) => {
  const { log, at } = await withTopic(t);
  const results = await Promise.allSettled([
    log.append(at, batchOf(["a"]), "fsync"),
    log.append(at, produced(["x"], { epoch: 0, sequence: 5 }), "fsync"),
    log.append(at, produced(["y"], { epoch: 0, sequence: 9 }), "fsync"),
    log.append(at, batchOf(["b"]), "fsync"),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ["fulfilled", "fulfilled", "rejected", "fulfilled"],
  );
  assert.deepEqual(await valuesFrom(log, at, 0), ["0:a", "1:x", "2:b"]);
});

test("idempotence: a batch sent again is answered with its first offset, also after a restart", async (t) => {
  const before = systemClock.wallMs();
  const directory = tempDir(t);
  const first = await openLog(t, directory);
  await first.createTopic({ name: "events", partitionCount: 1 });
  await first.append(first.partition("events", 0), batchOf(["-"]), "fsync");
  await first.append(first.partition("events", 0), produced(["a", "b"], { epoch: 3, sequence: 0 }), "fsync");
  await first.close();

  const restartedAt = systemClock.wallMs();
  const log = await openLog(t, directory);
  const at = log.partition("events", 0);
  const again = await log.append(at, produced(["a", "b"], { epoch: 3, sequence: 0 }), "fsync");

  assert.deepEqual(again, { baseOffset: 1, lastOffset: 2, duplicate: true });
  assert.equal(at.logEndOffset, 3);
  await assert.rejects(log.append(at, produced(["c"], { epoch: 3, sequence: 3 }), "fsync"), {
    code: "OUT_OF_ORDER_SEQUENCE_NUMBER",
  });
  await assert.rejects(log.append(at, produced(["c"], { epoch: 2, sequence: 2 }), "fsync"), {
    code: "INVALID_PRODUCER_EPOCH",
  });
  const [position, ...others] = await log.producerPositions(7n);
  const { updatedAt, ...rest } = position ?? { updatedAt: 0 };
  assert.deepEqual([rest, others], [{ partitionId: at.id, producerId: 7n, epoch: 3, lastSequence: 1, records: 2 }, []]);
  assert.ok(before <= updatedAt && updatedAt <= restartedAt, "when its last new batch was stored");
});

test("idempotence: a batch twice in one commit is stored once", async (t) => {
  const { log, at } = await withTopic(t);
  const [first, second] = await Promise.all([
    log.append(at, produced(["a"], { epoch: 0, sequence: 0 }), "fsync"),
    log.append(at, produced(["a"], { epoch: 0, sequence: 0 }), "fsync"),
  ]);
  assert.deepEqual([first.duplicate, second.duplicate, at.logEndOffset], [false, true, 1]);
});

test("idempotence: positions count every append that was asked for before", async (t) => {
  const { log, at } = await withTopic(t);
  const append = log.append(at, produced(["a", "b"], { epoch: 1, sequence: 0 }), "os");
  const positions = await log.producerPositions(7n);
  assert.equal(positions[0]?.lastSequence, 1);
  await append;
});

test("trim: the head goes, offsets are never used again, not even after an empty log is reopened", async (t) => {
  const directory = tempDir(t);
  const first = await openLog(t, directory);
  await first.createTopic({ name: "events", partitionCount: 1 });
  const at = first.partition("events", 0);
  await first.append(at, batchOf(["a", "b"]), "fsync");
  await first.append(at, batchOf(["c", "d"]), "fsync");

  await first.trim(at, 1);
  assert.equal(at.logStartOffset, 1);
  assert.deepEqual(await valuesFrom(first, at, 1), ["1:b", "2:c", "3:d"]);
  await assert.rejects(first.read({ partition: at, offset: 0, bytesMax: 100, atLeastOne: true }), {
    code: "OFFSET_OUT_OF_RANGE",
  });
  await first.trim(at, 99);
  assert.deepEqual([at.logStartOffset, at.logEndOffset], [4, 4]);
  await first.close();

  const second = await openLog(t, directory);
  const reopened = second.partition("events", 0);
  assert.deepEqual([reopened.logStartOffset, reopened.logEndOffset], [4, 4]);
  assert.equal((await second.append(reopened, batchOf(["e"]), "fsync")).baseOffset, 4);
  const [left] = [
    ...splitBatches(await second.read({ partition: reopened, offset: 4, bytesMax: 1000, atLeastOne: true })),
  ];
  // Trimmed batches are swept between commits.
  await waitUntil(() => reopened.bytes === left?.length, { what: "only the new batch to be left", deadlineMs: 5000 });
});

test("trim: why records go is noted in the same commit, and told before others hear of it", async (t) => {
  const { log, at } = await withTopic(t);
  await log.append(at, batchOf(["a", "b"]), "fsync");
  const call = (value: unknown) => ({ extension: "test", method: "put", args: { name: "why", value } });
  const get = () => log.query({ extension: "test", method: "get", args: "why" });
  const heard: string[] = [];
  const stop = log.onCommit(() => heard.push("others"));
  const done = (): void => void heard.push(`done, from ${at.logStartOffset}`);
  await assert.rejects(log.trim(at, 1, { calls: [call(null)], done }), { code: "UNEXPECTED" });
  assert.deepEqual([at.logStartOffset, await get(), heard], [0, undefined, []]);
  await log.trim(at, 1, { calls: [call("overflow")], done });
  stop();
  assert.deepEqual([at.logStartOffset, await get(), heard], [1, "overflow", ["done, from 1", "others"]]);
});

test("retention: by size whole batches go from the head", async (t) => {
  const { log, at } = await withTopic(t);
  for (let i = 0; i < 10; i++) await log.append(at, batchOf([String(i)], i * 1000), "fsync");

  await log.retain(at, { bytesMax: (at.bytes / 10) * 7, ageMsMax: undefined });
  assert.equal(at.logStartOffset, 3);
});

test("topics: deleting one and what extensions know of it is one commit, or nothing", async (t) => {
  const { log, at } = await withTopic(t);
  const call = (method: string, args?: unknown) => ({ extension: "test", method, args });
  const get = () => log.query(call("get", "events"));
  let commits = 0;
  await log.call([call("put", { name: "events", value: "known" })]);
  await assert.rejects(log.deleteTopic("events", [call("put", { name: "events", value: null })]), {
    code: "UNEXPECTED",
  });
  assert.deepEqual([log.topics.has("events"), await get()], [true, "known"]);
  await log.append(at, batchOf(["a"]), "fsync");
  const stop = log.onCommit(() => commits++);
  await Promise.all([log.deleteTopic("events", [call("put", { name: "events", value: "gone" })]), get()]);
  stop();
  assert.deepEqual([log.topics.has("events"), await get()], [false, "gone"]);
  assert.ok(commits <= 1);
});

test("topics: deleting one frees its batches and a new one of the name begins at offset 0 with another id", async (t) => {
  const { log, at } = await withTopic(t);
  await log.append(at, batchOf(["a"]), "fsync");
  const before = log.topics.get("events");

  await log.deleteTopic("events");
  assert.throws(() => log.partition("events", 0), { code: "UNKNOWN_TOPIC_OR_PARTITION" });
  await assert.rejects(log.append(at, batchOf(["b"]), "fsync"), { code: "UNKNOWN_TOPIC_OR_PARTITION" });
  const after = await log.createTopic({ name: "events", partitionCount: 1 });

  assert.notDeepEqual(after.id, before?.id);
  assert.equal(log.partition("events", 0).logEndOffset, 0);
  await log.close();
});

test("topics: what is asked for at once takes effect one after the other, as if it had come later", async (t) => {
  const { log, directory } = await withTopic(t, 2);
  const outcomes = await Promise.allSettled([
    log.createPartitions("events", 4),
    log.deleteTopic("events"),
    log.deleteTopic("events"),
    log.createTopic({ name: "events", partitionCount: 1 }),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected", "fulfilled"],
  );
  assert.equal(log.topics.get("events")?.partitions.length, 1);
  await log.close();

  const again = await openLog(t, directory);
  assert.equal(again.topics.get("events")?.partitions.length, 1, "and so it is on disk");
});

test("topics: partitions can be added, not taken away", async (t) => {
  const { log } = await withTopic(t, 2);
  await assert.rejects(log.createPartitions("events", 2), { code: "INVALID_PARTITIONS" });
  const grown = await log.createPartitions("events", 4);
  assert.deepEqual(
    grown.partitions.map((each) => each.partition),
    [0, 1, 2, 3],
  );
  await assert.rejects(log.createTopic({ name: "events", partitionCount: 1 }), { code: "TOPIC_ALREADY_EXISTS" });
});

test("time: the first record at or after a timestamp is found, though timestamps may step back", async (t) => {
  const { log, at } = await withTopic(t);
  for (const times of [
    [10, 20],
    [30, 5],
    [15, 40],
    [50, 60],
  ]) {
    const records = times.map((timestamp) => ({ timestamp, key: null, value: Buffer.from(String(timestamp)) }));
    await log.append(at, encodeRecords(records), "fsync");
  }
  const found = async (timestamp: number) => (await log.offsetForTimestamp(at, timestamp))?.offset;
  assert.deepEqual(
    [
      await found(0),
      await found(11),
      await found(25),
      await found(35),
      await found(41),
      await found(60),
      await found(61),
    ],
    [0, 1, 2, 5, 6, 7, undefined],
  );
  assert.deepEqual(await log.maxTimestamp(at), { offset: 7, timestamp: 60 });
});

test("merge: small batches are read as one, from any offset, and large ones as they are", async (t) => {
  const { log, at } = await withTopic(t);
  for (const value of ["a", "b", "c", "d"]) await log.append(at, batchOf([value, `${value}${value}`]), "fsync");
  const merged = await log.readMerged({ partition: at, offset: 3, bytesMax: 100_000, codec: "zstd" });
  assert.ok(merged);
  assert.deepEqual([merged.baseOffset, merged.lastOffset, merged.recordCount], [3, 7, 5]);
  assert.deepEqual(
    [...decodeRecords(merged.batch)].map((each) => `${each.offset}:${String(each.value)}`),
    ["3:bb", "4:c", "5:cc", "6:d", "7:dd"],
  );
  const single = await log.readMerged({ partition: at, offset: 2, bytesMax: 100, codec: "zstd" });
  assert.deepEqual([single?.baseOffset, single?.recordCount], [2, 2]);
  assert.equal(await log.readMerged({ partition: at, offset: 8, bytesMax: 100, codec: "zstd" }), undefined);
});

test("merge: asked to split, a batch is cut behind the record that reaches the size, and the rest follows", async (t) => {
  const { log, at } = await withTopic(t);
  const values = Array.from({ length: 50 }, (_, index) => `${index}`.padStart(100, "x"));
  await log.append(at, batchOf(values), "fsync");
  const found: string[] = [];
  const counts: number[] = [];
  for (let offset = 0; offset < values.length;) {
    const cut = await log.readMerged({ partition: at, offset, bytesMax: 1000, isSplit: true, codec: "zstd" });
    assert.equal(cut?.baseOffset, offset);
    found.push(...[...decodeRecords(cut.batch)].map(({ value }) => String(value)));
    counts.push(cut.recordCount);
    offset = cut.lastOffset + 1;
  }
  assert.deepEqual(found, values);
  assert.deepEqual(counts, [10, 10, 10, 10, 10]);
  const one = await log.readMerged({ partition: at, offset: 49, bytesMax: 1, isSplit: true, codec: "zstd" });
  assert.equal(one?.recordCount, 1);
});

test("damage: a batch that fails its CRC is skipped and reported, never served", async (t) => {
  const directory = tempDir(t);
  const first = await openLog(t, directory);
  await first.createTopic({ name: "events", partitionCount: 1 });
  for (const value of ["a", "b", "c"]) await first.append(first.partition("events", 0), batchOf([value]), "fsync");
  const { id } = first.partition("events", 0);
  await first.close();
  const database = new Database(path.join(directory, "log.db"));
  const key = batchKey(id, 1);
  const bytes = database.prepare("SELECT bytes FROM batch WHERE key = ?").pluck().get(key) as Buffer;
  bytes[bytes.length - 2] = (bytes.at(-2) as number) ^ 1;
  database.prepare("UPDATE batch SET bytes = ? WHERE key = ?").run(bytes, key);
  database.close();

  const damaged: string[] = [];
  const log = await openLog(t, directory, { onDamage: ({ from, to }) => damaged.push(`${from}-${to}`) });
  assert.deepEqual(await valuesFrom(log, log.partition("events", 0), 0), ["0:a", "2:c"]);
  assert.deepEqual(damaged, ["1-1"]);
  const merged = await log.readMerged({
    partition: log.partition("events", 0),
    offset: 1,
    bytesMax: 999,
    codec: "none",
  });
  assert.equal(merged?.baseOffset, 2);
});

test("full: a commit that does not fit is refused as a whole and nothing of it appears; room brings it back", async (t) => {
  const { log, at } = await withTopic(t);
  const pages = (await log.query({ extension: "test", method: "pages", args: undefined })) as number;
  await log.query({ extension: "test", method: "capPages", args: pages + 40 });
  const big = encodeRecords([{ timestamp: 1, key: null, value: Buffer.alloc(100_000) }]);

  await assert.rejects(log.append(at, big, "fsync"), { code: "LOG_FULL" });
  assert.equal(at.logEndOffset, 0);
  assert.deepEqual(await log.append(at, batchOf(["small"]), "fsync"), {
    baseOffset: 0,
    lastOffset: 0,
    duplicate: false,
  });
  await log.query({ extension: "test", method: "capPages", args: 100_000 });
  assert.equal((await log.append(at, big, "fsync")).baseOffset, 1);
});

test("full: a source hears that its part was refused before it is asked for the next", async (t) => {
  const { log, at } = await withTopic(t);
  const pages = (await log.query({ extension: "test", method: "pages", args: undefined })) as number;
  await log.query({ extension: "test", method: "capPages", args: pages + 4 });
  const heard: string[] = [];
  const { promise: asked, resolve: askedAgain } = Promise.withResolvers<void>();
  const source = log.addSource({
    take: () => {
      heard.push("asked");
      if (heard.length > 1) askedAgain();
      if (heard.length > 1) return undefined;
      const builder = new BatchBuilder();
      // Noise, so that it does not fit compressed either.
      builder.append(1, null, randomBytes(100_000), noHeaders);
      return {
        appends: [{ partition: at, records: builder.take() }],
        calls: [],
        durability: "fsync",
        done: () => heard.push("done"),
        failed: (error) => heard.push((error as StreamError).code),
      };
    },
  });
  source.request();
  // Gathered while the part is on its way.
  await new Promise((resolve) => setImmediate(resolve));
  source.request();
  await asked;
  assert.deepEqual(heard, ["asked", "LOG_FULL", "asked"]);
});

test("records under load are compressed in the worker when that gains", async (t) => {
  const { log, at } = await withTopic(t);
  const builder = new BatchBuilder();
  for (let i = 0; i < 500; i++) builder.append(i, Buffer.from("key"), Buffer.from(`{"value": ${i}}`), noHeaders);
  const plainBytes = builder.bytes;
  let part: CommitPart | undefined;
  const done = new Promise<readonly LogAppended[]>((resolve, reject) => {
    part = {
      appends: [{ partition: at, records: builder.take() }],
      calls: [],
      durability: "fsync",
      done: resolve,
      failed: reject,
    };
  });
  log
    .addSource({
      take: () => {
        const taken = part;
        part = undefined;
        return taken;
      },
    })
    .request();
  await done;
  const bytes = await log.read({ partition: at, offset: 0, bytesMax: 1 << 20, atLeastOne: true });
  assert.equal(readBatchHeader(bytes).attributes & 7, 4);
  assert.ok(bytes.length < plainBytes / 3);
  assert.equal([...decodeRecords(bytes)].length, 500);
});

test("close: requests on their way are committed, later ones are refused", async (t) => {
  const { log, at } = await withTopic(t);
  const append = log.append(at, batchOf(["a"]), "fsync");
  const closed = log.close();
  assert.equal((await append).baseOffset, 0);
  await assert.rejects(log.append(at, batchOf(["b"]), "fsync"), { code: "CLOSING" });
  await closed;
});

test("a reader thread of its own sees each commit as soon as it is answered", async (t) => {
  const log = await openLog(t, tempDir(t), { hasReaderThread: true });
  await log.createTopic({ name: "events", partitionCount: 1 });
  const at = log.partition("events", 0);
  for (let i = 0; i < 20; i++) {
    await log.append(at, batchOf([`v${i}`]), "fsync");
    assert.deepEqual(await valuesFrom(log, at, i), [`${i}:v${i}`]);
  }
});
