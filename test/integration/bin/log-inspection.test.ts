import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { LogInspection, recordsOf } from "../../../bin/log-inspection.ts";
import type { BatchInspection } from "../../../bin/log-inspection.ts";
import { clockTable } from "../../../agent/time/clock-table.ts";
import type { StoredSession } from "../../../agent/time/clock-table.ts";
import { provisionalTimestamp } from "../../../shared/batch/provisional-time.ts";
import { encodeRecords } from "../../../shared/batch/records.ts";
import { StreamError } from "../../../shared/errors.ts";
import { LOG_FILE_NAME, batchKey } from "../../../shared/log/schema.ts";
import type { WorkerLog } from "../../../shared/log/worker-log.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { openLog } from "../../support/open-log.ts";
import { tempDir } from "../../support/temp-dir.ts";

const TIMESTAMP = Date.UTC(2026, 2, 1);

const batchOf = (...values: string[]): Buffer =>
  encodeRecords(values.map((value) => ({ timestamp: TIMESTAMP, key: Buffer.from("k"), value: Buffer.from(value) })));

async function openFilled(t: TestContext, directory: string): Promise<WorkerLog> {
  const log = await openLog(t, directory);
  await log.createTopic({ name: "climate", partitionCount: 2 });
  await log.createTopic({ name: "empty", partitionCount: 1 });
  const partition = log.partition("climate", 1);
  await log.append(partition, batchOf("a", "b"), "fsync");
  await log.append(partition, batchOf("c"), "fsync");
  return log;
}

function inspect(t: TestContext, place: string): LogInspection {
  const inspection = new LogInspection(place);
  onCleanUp(t, () => inspection.close());
  return inspection;
}

const spanOf = ({ baseOffset, lastOffset }: BatchInspection): string => `${baseOffset}-${lastOffset}`;

/** Changes the last byte of the stored batch behind the log's back. */
function damage(directory: string, partitionId: number, baseOffset: number): void {
  const database = new Database(path.join(directory, LOG_FILE_NAME));
  const key = batchKey(partitionId, baseOffset);
  const stored = database.prepare<[bigint], { bytes: Buffer }>("SELECT bytes FROM batch WHERE key = ?").get(key);
  assert.ok(stored);
  stored.bytes.writeUInt8(stored.bytes.readUInt8(stored.bytes.length - 1) ^ 0xff, stored.bytes.length - 1);
  database.prepare("UPDATE batch SET bytes = ? WHERE key = ?").run(stored.bytes, key);
  database.close();
}

test("partitions, offsets, batches and bytes of a log that is open in its program", async (t) => {
  const directory = tempDir(t);
  const log = await openFilled(t, directory);
  const bytes = batchOf("a", "b").length + batchOf("c").length;
  const inspection = inspect(t, directory);
  assert.deepEqual(inspection.partitions(), [
    { topic: "climate", partition: 0, logStartOffset: 0, logEndOffset: 0, batchCount: 0, bytes: 0 },
    { topic: "climate", partition: 1, logStartOffset: 0, logEndOffset: 3, batchCount: 2, bytes },
    { topic: "empty", partition: 0, logStartOffset: 0, logEndOffset: 0, batchCount: 0, bytes: 0 },
  ]);
  await log.append(log.partition("climate", 0), batchOf("later"), "fsync");
  assert.equal(inspection.partitions()[0]?.logEndOffset, 1);
});

test("batches are listed from the one that contains the offset, with codec and verdict", async (t) => {
  const directory = tempDir(t);
  await openFilled(t, directory);
  const inspection = inspect(t, path.join(directory, LOG_FILE_NAME));
  const all = [...inspection.batches({ topic: "climate" })];
  assert.deepEqual(all.map(spanOf), ["0-1", "2-2"]);
  assert.deepEqual(new Set(all.map((batch) => batch.damage)), new Set([undefined]));
  assert.equal(all[0]?.codec, "none");
  assert.deepEqual([...inspection.batches({ topic: "climate", partition: 1, offset: 1 })].map(spanOf), ["0-1", "2-2"]);
  assert.deepEqual([...inspection.batches({ topic: "climate", partition: 1, offset: 2 })].map(spanOf), ["2-2"]);
  assert.deepEqual([...inspection.batches({ topic: "climate", partition: 1, offset: 3 })], []);
});

test("the records of a batch begin at the offset asked for", async (t) => {
  const directory = tempDir(t);
  await openFilled(t, directory);
  const [first] = [...inspect(t, directory).batches({ topic: "climate", partition: 1 })];
  assert.ok(first);
  const values = [...recordsOf(first, 1)].map((record) => `${record.offset} ${String(record.value)}`);
  assert.deepEqual(values, ["1 b"]);
});

test("more batches than one read takes are all there, in order", async (t) => {
  const directory = tempDir(t);
  const log = await openLog(t, directory);
  await log.createTopic({ name: "many", partitionCount: 1 });
  const partition = log.partition("many", 0);
  await Promise.all(Array.from({ length: 200 }, (_, index) => log.append(partition, batchOf(String(index)), "os")));
  const offsets = [...inspect(t, directory).batches({})].map((batch) => batch.baseOffset);
  assert.deepEqual(
    offsets,
    Array.from({ length: 200 }, (_, index) => index),
  );
});

test("a damaged batch is shown with what is wrong, its neighbours stay sound", async (t) => {
  const directory = tempDir(t);
  const log = await openFilled(t, directory);
  damage(directory, log.partition("climate", 1).id, 0);
  const verdicts = [...inspect(t, directory).batches({})].map((batch) => batch.damage);
  assert.deepEqual(verdicts, ["the CRC-32C does not match", undefined]);
});

test("a topic or partition that the log does not have is told with what it has", async (t) => {
  const directory = tempDir(t);
  await openFilled(t, directory);
  const inspection = inspect(t, directory);
  const hintOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof StreamError && error.code === "UNKNOWN_TOPIC_OR_PARTITION");
      return error.hint;
    }
    return assert.fail("nothing was thrown");
  };
  assert.match(
    hintOf(() => [...inspection.batches({ topic: "clmate" })]),
    /climate, empty/,
  );
  assert.match(
    hintOf(() => [...inspection.batches({ topic: "climate", partition: 9 })]),
    /log inspect/,
  );
});

test("a directory without a log is told, and the logs below it are named", async (t) => {
  const parent = tempDir(t);
  await openFilled(t, path.join(parent, "hub"));
  const failure = (place: string): StreamError => {
    try {
      new LogInspection(place).close();
    } catch (error) {
      assert.ok(error instanceof StreamError);
      return error;
    }
    return assert.fail("nothing was thrown");
  };
  assert.match(failure(parent).hint, new RegExp(`There is one in ${path.join(parent, "hub")}`));
  assert.match(failure(path.join(parent, "nowhere")).hint, /--data directory/);
});

test("a file that is no database is told as unreadable", (t) => {
  const directory = tempDir(t);
  writeFileSync(path.join(directory, LOG_FILE_NAME), "this is not a database, whatever its name says".repeat(50));
  assert.throws(() => new LogInspection(directory), /LOG_IO: the log in .* cannot be read: file is not a database/);
});

test("provisional timestamps of an agent are shown as the times that its records would leave with", async (t) => {
  const directory = tempDir(t);
  const log = await openFilled(t, directory);
  for (const timestamp of [TIMESTAMP, provisionalTimestamp(1, 5000), provisionalTimestamp(2, 7000)]) {
    await log.append(log.partition("climate", 0), encodeRecords([{ timestamp, key: null, value: null }]), "fsync");
  }
  const shown = (): string[] => {
    const inspection = new LogInspection(directory);
    try {
      return [...inspection.batches({ topic: "climate", partition: 0 })].flatMap((batch) =>
        [...recordsOf(batch, 0, inspection.sessions)].map(({ timestamp, headers }) => {
          assert.equal(timestamp, batch.maxTimestamp);
          return `${timestamp - TIMESTAMP} ${headers.map(({ key, value }) => `${key}=${String(value)}`).join()}`;
        }),
      );
    } finally {
      inspection.close();
    }
  };
  assert.equal(shown()[1], `${provisionalTimestamp(1, 5000) - TIMESTAMP} time.quality=estimated`);
  const database = new Database(path.join(directory, LOG_FILE_NAME));
  database.exec(clockTable.schema);
  const session = { bootId: "b", offsetMs: TIMESTAMP, isKnown: true };
  const put = clockTable.prepare(database)["put"] as (session: StoredSession) => void;
  put({ ...session, number: 1, wasRight: true });
  put({ ...session, number: 2, wasRight: false });
  database.close();
  assert.deepEqual(shown(), ["0 ", "5000 ", "7000 time.quality=corrected"]);
});
