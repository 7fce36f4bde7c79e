/** What the log does between commits: checkpoints, counts, flushes, and what it does when the disk is full. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import Database from "better-sqlite3";
import { stampProducer } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import { BASE_OFFSET_SQL } from "../../shared/log/schema.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitUntil } from "../support/wait-until.ts";

const MIB = 1024 * 1024;
const DEADLINE_MS = 10_000;

const batchOf = (bytes: number): Buffer =>
  encodeRecords([{ timestamp: 1, key: null, value: Buffer.alloc(bytes, "a") }]);
const ask = (log: WorkerLog, method: string, args?: unknown) => log.query({ extension: "test", method, args });
const walBytes = (directory: string): number => statSync(path.join(directory, "log.db-wal")).size;

async function write(log: WorkerLog, at: LogPartition, options: { bytes: number; batchBytes?: number }) {
  const { bytes, batchBytes = 60_000 } = options;
  for (let left = bytes; left > 0; left -= batchBytes) await log.append(at, batchOf(batchBytes), "os");
}

async function inspect<Value>(directory: string, look: (database: Database.Database) => Value): Promise<Value> {
  const database = new Database(path.join(directory, "log.db"), { readonly: true });
  try {
    return look(database);
  } finally {
    database.close();
  }
}

suite("log: checkpoints", () => {
  test("the WAL stays small while readers read all the time", async (t) => {
    const directory = tempDir(t);
    const log = await openLog(t, directory, { hasReaderThread: true });
    await log.createTopic({ name: "events", partitionCount: 1 });
    const at = log.partition("events", 0);
    await write(log, at, { bytes: 2 * MIB });
    let isWriting = true;
    let reads = 0;
    const readers = Array.from({ length: 4 }, async () => {
      while (isWriting) {
        await log.read({ partition: at, offset: 0, bytesMax: 2 * MIB, atLeastOne: true });
        reads++;
      }
    });
    let walBytesMax = 0;
    for (let i = 0; i < 40; i++) {
      await write(log, at, { bytes: MIB });
      walBytesMax = Math.max(walBytesMax, walBytes(directory));
    }
    isWriting = false;
    await Promise.all(readers);
    assert.ok(reads > 20, `${reads} reads`);
    assert.ok(walBytesMax < 8 * MIB, `${walBytesMax} bytes`);
  });

  test("a reader that holds on delays no commit for long, and the WAL begins again once it lets go", async (t) => {
    const directory = tempDir(t);
    const log = await openLog(t, directory);
    await log.createTopic({ name: "events", partitionCount: 1 });
    const at = log.partition("events", 0);
    await log.append(at, batchOf(1), "os");
    const database = new Database(path.join(directory, "log.db"), { readonly: true });
    database.exec("BEGIN");
    database.prepare("SELECT * FROM batch").all();
    let slowestMs = 0;
    for (let i = 0; i < 80; i++) {
      const startMs = performance.now();
      await write(log, at, { bytes: MIB / 16 });
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
    }
    const held = walBytes(directory);
    assert.ok(held > 4 * MIB, `${held} bytes`);
    assert.ok(slowestMs < 2000, `${slowestMs} ms`);
    database.exec("COMMIT");
    database.close();
    await write(log, at, { bytes: 16 * MIB });
    assert.ok(walBytes(directory) < held + 4 * MIB, `${walBytes(directory)} bytes after ${held}`);
  });

  test("a checkpoint writes the sizes down, so that a start after a kill need not count it all", async (t) => {
    const directory = tempDir(t);
    const log = await openLog(t, directory);
    await log.createTopic({ name: "events", partitionCount: 2 });
    const at = log.partition("events", 0);
    await write(log, at, { bytes: 8 * MIB });
    const [counted, actual] = await inspect(directory, (database) => {
      const row = database.prepare("SELECT id, counted_end, counted_bytes FROM partition WHERE partition = 0").get();
      const { counted_end: end, counted_bytes: bytes } = row as { counted_end: number; counted_bytes: number };
      const sum = database
        .prepare(`SELECT SUM(length(bytes)) FROM batch WHERE ${BASE_OFFSET_SQL} < ?`)
        .pluck()
        .get(end);
      return [{ end, bytes }, sum] as const;
    });
    assert.ok(at.logEndOffset - counted.end < 40, `${counted.end} of ${at.logEndOffset}`);
    assert.equal(counted.bytes, actual);
  });
});

suite("log: flushes", () => {
  test("a duplicate that is to be durable is answered after the first copy was flushed", async (t) => {
    const log = await openLog(t, tempDir(t));
    await log.createTopic({ name: "events", partitionCount: 1 });
    const at = log.partition("events", 0);
    const produced = (): Buffer => {
      const batch = batchOf(10);
      stampProducer(batch, { producerId: 7n, producerEpoch: 0, baseSequence: 0 });
      return batch;
    };
    const before = Number(await ask(log, "flushes"));
    await log.append(at, produced(), "os");
    assert.equal((await log.append(at, produced(), "fsync")).duplicate, true);
    assert.equal(await ask(log, "flushes"), before + 1);
    assert.equal((await log.append(at, produced(), "fsync")).duplicate, true);
    assert.equal(await ask(log, "flushes"), before + 1, "and it is flushed once");
  });
});

suite("log: full", () => {
  test("a full log sweeps what is trimmed and takes data again, without a restart", async (t) => {
    const directory = tempDir(t);
    const rooms: boolean[] = [];
    const log = await openLog(t, directory, { onRoom: (hasRoom) => rooms.push(hasRoom) });
    await log.createTopic({ name: "events", partitionCount: 1 });
    const at = log.partition("events", 0);
    await write(log, at, { bytes: MIB });
    await ask(log, "capPages", await ask(log, "pages"));
    await assert.rejects(write(log, at, { bytes: 4 * MIB }), { code: "LOG_FULL" });
    assert.deepEqual(rooms, [false]);
    const end = at.logEndOffset;
    // One commit of both: what frees is done, what does not fit is refused.
    const [trimmed, refused] = await Promise.allSettled([log.trim(at, end), log.append(at, batchOf(4 * MIB), "fsync")]);
    assert.deepEqual([trimmed.status, refused.status, at.logStartOffset], ["fulfilled", "rejected", end]);
    await waitUntil(() => at.bytes === 0, { what: "the batches to be swept", deadlineMs: DEADLINE_MS });
    assert.equal((await log.append(at, batchOf(MIB / 2), "fsync")).baseOffset, end);
    assert.deepEqual(rooms, [false, true]);
  });
});
