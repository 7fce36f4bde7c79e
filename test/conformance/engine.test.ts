/** What every implementation of the hub's Engine must do; the embedded one is the first. */
import assert from "node:assert/strict";
import { once } from "node:events";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { checkBatch, readBatchHeader, splitBatches, stampProducer } from "../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../shared/batch/records.ts";
import { systemClock } from "../../shared/clock.ts";
import { silentLogger } from "../../shared/logger.ts";
import { WorkerLog } from "../../shared/log/worker-log.ts";
import { EmbeddedEngine } from "../../hub/engine/embedded.ts";
import type { EmbeddedEngineOptions } from "../../hub/engine/embedded.ts";
import type { Engine } from "../../hub/engine/engine.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { tempDir } from "../support/temp-dir.ts";

/** `flushDelayMs`: how long an append that wants no flush waits for one. */
type Options = Partial<EmbeddedEngineOptions & { flushDelayMs: number; onDamage: (offset: number) => void }>;
type OpenEngine = (t: TestContext, directory: string, options?: Options) => Promise<Engine>;

const openEmbedded: OpenEngine = async (t, directory, { flushDelayMs = 20, onDamage, ...options } = {}) => {
  const log = await WorkerLog.open({
    directory,
    worker: new URL("../../hub/log-worker.ts", import.meta.url),
    hasReaderThread: true,
    flushDelayMs,
    onDamage: ({ from }) => onDamage?.(from),
    crashPointBeforeFsync: "hub-before-fsync",
  });
  const engine = new EmbeddedEngine({
    log,
    clock: systemClock,
    logger: silentLogger(),
    options: {
      topicsMax: 3,
      partitionsPerTopicMax: 100,
      tailCacheBytesMax: 1_000_000,
      retentionMs: undefined,
      retentionBytes: undefined,
      retentionCheckMs: 3_600_000,
      compactionCheckMs: 3_600_000,
      ...options,
    },
  });
  onCleanUp(t, () => engine.close());
  return engine;
};

const at = { topic: "events", partition: 0 };

function batchOf(texts: readonly string[], timestamp = 1000): Buffer {
  return encodeRecords(texts.map((value, i) => ({ timestamp: timestamp + i, key: null, value: Buffer.from(value) })));
}

function keyedBatchOf(pairs: readonly (readonly [string, string])[], timestamp = 1000): Buffer {
  return encodeRecords(pairs.map(([key, value]) => ({ timestamp, key: Buffer.from(key), value: Buffer.from(value) })));
}

async function append(engine: Engine, batch: Buffer, where = at) {
  return engine.append({ ...where, batch, header: checkBatch(batch), durability: "fsync" });
}

async function values(engine: Engine, offset: number, bytesMax = 1_000_000): Promise<string[]> {
  const { batches } = await engine.read({ ...at, offset, bytesMax, atLeastOne: true });
  return batches.flatMap((each) =>
    [...splitBatches(each)].flatMap((batch) =>
      [...decodeRecords(batch)].map((record) => `${record.offset}:${String(record.value)}`),
    ),
  );
}

function engineSuite(engineName: string, open: OpenEngine): void {
  const withTopic = async (t: TestContext, options: Options = {}) => {
    const directory = tempDir(t);
    const engine = await open(t, directory, options);
    await engine.createTopic({ name: "events", partitionCount: 2 });
    return { engine, directory };
  };

  test(`${engineName}: batches are served as stored, with their offsets, from memory and from disk`, async (t) => {
    const { engine, directory } = await withTopic(t);
    assert.equal((await append(engine, batchOf(["a", "b"]))).baseOffset, 0);
    assert.equal((await append(engine, batchOf(["c"]))).baseOffset, 2);
    assert.deepEqual(await values(engine, 0), ["0:a", "1:b", "2:c"]);
    assert.deepEqual(await values(engine, 2), ["2:c"]);
    assert.deepEqual(await values(engine, 3), []);
    assert.equal(engine.offsets(at).highWatermark, 3);
    const { batches } = await engine.read({ ...at, offset: 0, bytesMax: 1, atLeastOne: true });
    const fromMemory = Buffer.concat(batches);
    await engine.close();

    const again = await open(t, directory);
    assert.deepEqual(await values(again, 0), ["0:a", "1:b", "2:c"]);
    const fromDisk = Buffer.concat((await again.read({ ...at, offset: 0, bytesMax: 1, atLeastOne: true })).batches);
    assert.deepEqual(fromDisk, fromMemory, "the same offset always gives the same bytes");
  });

  test(`${engineName}: reads respect the byte limit but never stall on a large batch when asked for at least one`, async (t) => {
    const { engine } = await withTopic(t);
    await append(engine, batchOf(["x".repeat(500)]));
    await append(engine, batchOf(["y"]));
    assert.deepEqual(await values(engine, 0, 10), [`0:${"x".repeat(500)}`]);
    const none = await engine.read({ ...at, offset: 0, bytesMax: 10, atLeastOne: false });
    assert.deepEqual([none.bytes, none.batches.length], [0, 0]);
  });

  test(`${engineName}: an offset outside the log is refused`, async (t) => {
    const { engine } = await withTopic(t);
    await append(engine, batchOf(["a", "b"]));
    await append(engine, batchOf(["c"]));
    assert.equal(await engine.deleteRecords(at, 2), 2);
    for (const offset of [-1, 1, 4]) {
      const read = async () => engine.read({ ...at, offset, bytesMax: 100, atLeastOne: true });
      await assert.rejects(read, { code: "OFFSET_OUT_OF_RANGE" }, String(offset));
    }
    assert.deepEqual(await values(engine, 2), ["2:c"]);
    await assert.rejects(engine.deleteRecords(at, 99), { code: "OFFSET_OUT_OF_RANGE" });
  });

  test(`${engineName}: a batch sent twice is stored once and answered with its first offset`, async (t) => {
    const { engine } = await withTopic(t);
    const produced = (): Buffer => {
      const batch = batchOf(["a", "b"]);
      stampProducer(batch, { producerId: 99n, producerEpoch: 1, baseSequence: 0 });
      return batch;
    };
    const before = systemClock.wallMs();
    await append(engine, produced());
    const again = await append(engine, produced());
    assert.deepEqual([again.duplicate, again.baseOffset, engine.offsets(at).highWatermark], [true, 0, 2]);
    assert.deepEqual(await engine.producerPositions(99n), [{ ...at, producerEpoch: 1, lastSequence: 1, records: 2 }]);
    const [producer, ...others] = await engine.producersOf(at);
    assert.ok(producer !== undefined);
    const { storedAt, ...position } = producer;
    assert.deepEqual([position, others], [{ producerId: 99n, producerEpoch: 1, lastSequence: 1 }, []]);
    assert.ok(before <= storedAt && storedAt <= systemClock.wallMs(), `${storedAt} is when it was stored`);
  });

  test(`${engineName}: a listener hears of an append when it can be read, once a commit`, async (t) => {
    const { engine } = await withTopic(t);
    const heard: string[] = [];
    const stop = engine.onChange(({ topic, partition }) => {
      const result = engine.read({ topic, partition, offset: 0, bytesMax: 1000, atLeastOne: true });
      heard.push(`${topic}-${partition} ${result instanceof Promise ? "from disk" : result.highWatermark}`);
    });
    await Promise.all([append(engine, batchOf(["a"])), append(engine, batchOf(["b"]))]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(heard, ["events-0 2"]);
    stop();
  });

  test(`${engineName}: consumers see what is flushed: an append without a flush shows with the next one`, async (t) => {
    const { engine } = await withTopic(t, { flushDelayMs: 3_600_000 });
    const unflushed = async (text: string, timestamp: number, where = at) => {
      const batch = batchOf([text], timestamp);
      return engine.append({ ...where, batch, header: checkBatch(batch), durability: "os" });
    };
    const ends = () => [engine.offsets(at).highWatermark, engine.offsets(other).highWatermark];
    const other = { topic: "events", partition: 1 };
    await append(engine, batchOf(["a"], 100));
    await unflushed("b", 300);
    await unflushed("c", 200);
    await unflushed("x", 100, other);
    assert.deepEqual(ends(), [1, 0]);
    assert.deepEqual(await values(engine, 0), ["0:a"]);
    assert.deepEqual(await values(engine, 1), []);
    assert.deepEqual(await values(engine, 2), [], "behind the high watermark, within the log");
    assert.equal(await engine.offsetForTimestamp(at, 150), undefined);
    assert.deepEqual(await engine.maxTimestamp(at), { offset: 0, timestamp: 100 });
    assert.equal(await engine.maxTimestamp(other), undefined);
    await assert.rejects(engine.deleteRecords(at, 2), { code: "OFFSET_OUT_OF_RANGE" });

    // Changes are told a turn later, and those of before are not meant.
    await new Promise((resolve) => setImmediate(resolve));
    const heard = new Set<string>();
    const stop = engine.onChange(({ partition }) =>
      heard.add(`${partition} to ${engine.offsets({ ...at, partition }).highWatermark}`),
    );
    await append(engine, batchOf(["d"], 400));
    await new Promise((resolve) => setImmediate(resolve));
    stop();
    assert.deepEqual(heard, new Set(["0 to 4", "1 to 1"]), "one flush is for all");
    assert.deepEqual(await values(engine, 0), ["0:a", "1:b", "2:c", "3:d"]);
    assert.deepEqual(await engine.maxTimestamp(other), { offset: 0, timestamp: 100 });
  });

  test(`${engineName}: what was appended without a flush is flushed soon, and whoever waits hears of it`, async (t) => {
    const { engine } = await withTopic(t);
    const { promise, resolve } = Promise.withResolvers<void>();
    engine.onChange(() => engine.offsets(at).highWatermark === 1 && resolve());
    const batch = batchOf(["a"]);
    await engine.append({ ...at, batch, header: checkBatch(batch), durability: "os" });
    await promise;
    assert.deepEqual(await values(engine, 0), ["0:a"]);
  });

  test(`${engineName}: a damaged end reads as nothing, and what is appended behind it is read`, async (t) => {
    const { engine, directory } = await withTopic(t);
    for (const text of ["a", "b", "c"]) await append(engine, batchOf([text]));
    await engine.close();
    const database = new Database(path.join(directory, "log.db"));
    database.prepare("UPDATE batch SET bytes = zeroblob(length(bytes)) WHERE key & 0xff >= 1").run();
    database.close();

    const damaged: number[] = [];
    const again = await open(t, directory, { onDamage: (offset) => damaged.push(offset) });
    for (let i = 0; i < 3; i++) assert.deepEqual(await values(again, 1), []);
    assert.deepEqual(await values(again, 0), ["0:a"]);
    assert.deepEqual([again.offsets(at).highWatermark, damaged], [3, [1, 2]], "told of once");
    await append(again, batchOf(["d"]));
    assert.deepEqual(await values(again, 1), ["3:d"]);
  });

  test(`${engineName}: where damage has taken the end, consumers are at the end, also those that had come further`, async (t) => {
    const { engine, directory } = await withTopic(t);
    for (const text of ["a", "b", "c"]) await append(engine, batchOf([text]));
    await engine.close();
    const database = new Database(path.join(directory, "log.db"));
    // As a salvage leaves it, which gives no offset out again that it cannot see.
    database.prepare("DELETE FROM batch WHERE key & 0xff >= 1").run();
    database.prepare("UPDATE partition SET counted_end = 100 WHERE partition = 0").run();
    database.close();

    const again = await open(t, directory);
    const { logStartOffset, highWatermark, logEndOffset } = again.offsets(at);
    assert.deepEqual([logStartOffset, highWatermark, logEndOffset], [0, 1, 100]);
    assert.deepEqual(await values(again, 0), ["0:a"]);
    for (const offset of [1, 2, 3, 100]) assert.deepEqual(await values(again, offset), []);
    await assert.rejects(values(again, 101), { code: "OFFSET_OUT_OF_RANGE" });
    assert.equal((await append(again, batchOf(["d"]))).baseOffset, 100);
    for (const offset of [1, 3, 100]) assert.deepEqual(await values(again, offset), ["100:d"]);
    assert.equal(again.offsets(at).highWatermark, 101);
  });

  test(`${engineName}: topics have limits and names have rules`, async (t) => {
    const { engine } = await withTopic(t);
    for (const name of ["", ".", "..", "a/b", "ü", "x".repeat(250)]) {
      await assert.rejects(engine.createTopic({ name, partitionCount: 1 }), { code: "INVALID_TOPIC" }, name);
    }
    await assert.rejects(engine.createTopic({ name: "events", partitionCount: 1 }), { code: "TOPIC_ALREADY_EXISTS" });
    await assert.rejects(engine.createTopic({ name: "none", partitionCount: 0 }), { code: "INVALID_PARTITIONS" });
    await assert.rejects(engine.createTopic({ name: "many", partitionCount: 101 }), { code: "INVALID_PARTITIONS" });
    await engine.createTopic({ name: "second", partitionCount: 1 });
    await engine.createTopic({ name: "third", partitionCount: 1 });
    await assert.rejects(engine.createTopic({ name: "fourth", partitionCount: 1 }), { code: "POLICY_VIOLATION" });
  });

  test(`${engineName}: a deleted topic takes its records and committed offsets along`, async (t) => {
    const { engine } = await withTopic(t);
    await append(engine, batchOf(["a"]));
    const committed = { ...at, offset: 1, leaderEpoch: 0, metadata: "", committedAt: 5 };
    await engine.commitOffsets("readers", [committed]);
    assert.deepEqual((await engine.loadCommittedOffsets()).get("readers"), [committed]);
    await engine.deleteTopic("events");
    assert.equal((await engine.loadCommittedOffsets()).get("readers"), undefined);
    assert.throws(() => engine.offsets(at), { code: "UNKNOWN_TOPIC_OR_PARTITION" });
    await engine.createTopic({ name: "events", partitionCount: 1 });
    assert.deepEqual(await values(engine, 0), []);
  });

  test(`${engineName}: committed offsets of a topic that does not exist are not those of the next of its name`, async (t) => {
    const { engine, directory } = await withTopic(t);
    const committed = { ...at, offset: 1, leaderEpoch: 0, metadata: "", committedAt: 5 };
    const orphan = { ...committed, topic: "ghost", offset: 1000 };
    await engine.commitOffsets("readers", [committed, orphan]);
    await engine.commitOffsets("others", [orphan]);
    await engine.close();
    const again = await open(t, directory);
    assert.deepEqual([...(await again.loadCommittedOffsets())], [["readers", [committed]]]);
    await again.createTopic({ name: "ghost", partitionCount: 1 });
    await again.close();
    const third = await open(t, directory);
    assert.deepEqual([...(await third.loadCommittedOffsets())], [["readers", [committed]]]);
  });

  test(`${engineName}: committed offsets and groups survive a restart, deleted ones do not`, async (t) => {
    const { engine, directory } = await withTopic(t);
    const offset = (partition: number, value: number) => ({
      topic: "events",
      partition,
      offset: value,
      leaderEpoch: 0,
      metadata: "m",
      committedAt: 1,
    });
    await engine.commitOffsets("kept", [offset(0, 5), offset(1, 6)]);
    await engine.commitOffsets("kept", [offset(0, 7)]);
    await engine.deleteOffsets("kept", [{ topic: "events", partition: 1 }]);
    await engine.commitOffsets("gone", [offset(0, 1)]);
    await engine.saveGroup("kept", Buffer.from("snapshot"));
    await engine.saveGroup("gone", Buffer.from("x"));
    await engine.saveGroup("gone", undefined);
    await engine.close();

    const again = await open(t, directory);
    assert.deepEqual([...(await again.loadCommittedOffsets())], [["kept", [offset(0, 7)]]]);
    const groups = await again.loadGroups();
    assert.deepEqual(
      groups.map(({ group, snapshot }) => `${group}=${Buffer.from(snapshot).toString()}`),
      ["kept=snapshot"],
    );
  });

  test(`${engineName}: producer ids are never given twice, not even over a restart`, async (t) => {
    const { engine, directory } = await withTopic(t);
    const first = await engine.newProducerId();
    const second = await engine.newProducerId();
    await engine.close();
    const again = await open(t, directory);
    const third = await again.newProducerId();
    assert.equal(new Set([first, second, third]).size, 3);
  });

  test(`${engineName}: records past their age leave the topic by themselves`, async (t) => {
    const { engine } = await withTopic(t, { retentionMs: 10, retentionCheckMs: 5 });
    // By the hub's clock, whatever a producer's says.
    await append(engine, batchOf(["old"], Date.now() + 120_000));
    while (engine.offsets(at).logStartOffset === 0) await once(timers(t), "tick");
    await engine.alterTopic("events", { "retention.ms": "60000" });
    await append(engine, batchOf(["new"], Date.now() - 120_000));
    assert.deepEqual([engine.offsets(at).logStartOffset, engine.offsets(at).highWatermark], [1, 2]);
    assert.deepEqual(await values(engine, 1), ["1:new"]);
  });

  test(`${engineName}: a compacted topic loses superseded values by itself, at the tail too, and nothing else`, async (t) => {
    const { engine } = await withTopic(t, { compactionCheckMs: 5 });
    await engine.alterTopic("events", { "cleanup.policy": "compact", "retention.ms": "1", "retention.bytes": "1" });
    for (const value of ["1", "2", "3"]) await append(engine, keyedBatchOf([["a", value]]));
    await append(engine, keyedBatchOf([["b", "1"]]));
    while (engine.compaction.recordsRemovedTotal < 2) await once(timers(t), "tick");
    assert.deepEqual(await values(engine, 0), ["2:3", "3:1"]);
    assert.deepEqual(await values(engine, 1), ["2:3", "3:1"], "from within the hole");
    assert.deepEqual(await values(engine, 3), ["3:1"]);
    assert.deepEqual([engine.offsets(at).logStartOffset, engine.offsets(at).highWatermark], [0, 4]);
    const { runsTotal, bytesBeforeTotal, bytesAfterTotal } = engine.compaction;
    assert.ok(runsTotal > 0 && bytesBeforeTotal > bytesAfterTotal);
  });

  test(`${engineName}: a topic that compacts and deletes also loses what is too old; one that only compacts does not`, async (t) => {
    const { engine } = await withTopic(t, { retentionMs: 10, retentionCheckMs: 5 });
    await engine.createTopic({ name: "kept", partitionCount: 1, config: { "cleanup.policy": "compact" } });
    await engine.alterTopic("events", { "cleanup.policy": "compact, delete" });
    const kept = { topic: "kept", partition: 0 };
    for (const where of [kept, at]) {
      await append(engine, keyedBatchOf([["a", "old"]]), where);
    }
    while (engine.offsets(at).logStartOffset === 0) await once(timers(t), "tick");
    assert.equal(engine.offsets(kept).logStartOffset, 0);
  });

  test(`${engineName}: look-ups by time`, async (t) => {
    const { engine } = await withTopic(t);
    await append(engine, batchOf(["a", "b"], 100));
    await append(engine, batchOf(["c"], 200));
    assert.deepEqual(await engine.offsetForTimestamp(at, 101), { offset: 1, timestamp: 101 });
    assert.deepEqual(await engine.offsetForTimestamp(at, 150), { offset: 2, timestamp: 200 });
    assert.equal(await engine.offsetForTimestamp(at, 201), undefined);
    assert.deepEqual(await engine.maxTimestamp(at), { offset: 2, timestamp: 200 });
  });

  test(`${engineName}: a batch keeps its bytes but for offset and leader epoch`, async (t) => {
    const { engine } = await withTopic(t);
    const batch = batchOf(["a"]);
    const before = Buffer.from(batch.subarray(16));
    await append(engine, batchOf(["-"]));
    await append(engine, batch);
    const { batches } = await engine.read({ ...at, offset: 1, bytesMax: 1000, atLeastOne: true });
    const stored = Buffer.concat(batches);
    assert.deepEqual(stored.subarray(16), before);
    assert.equal(readBatchHeader(stored).baseOffset, 1);
  });
}

/** Ticks once, soon: for waiting on work that has no event of its own. */
function timers(t: TestContext): EventTarget {
  const target = new EventTarget();
  const timer = setTimeout(() => target.dispatchEvent(new Event("tick")), 2);
  onCleanUp(t, () => clearTimeout(timer));
  return target;
}

engineSuite("embedded engine", openEmbedded);
