/**
 * A log on a disk that is full to the last byte: on a small tmpfs of its own, which takes root on Linux. Whoever fills the
 * disk, the log frees what it is told to free, refuses the rest with LOG_FULL, and comes back by itself.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { encodeRecords } from "../../shared/batch/records.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import { workerFile } from "../../shared/worker-file.ts";
import { openLog } from "../support/open-log.ts";
import { fillUp, smallDisk } from "../support/small-disk.ts";
import { waitUntil } from "../support/wait-until.ts";

const MIB = 1024 * 1024;
const DISK_MIB = 24;
const RESERVE_BYTES = 4 * MIB;
const DEADLINE_MS = 20_000;

const batch = (bytes: number): Buffer => encodeRecords([{ timestamp: 1, key: null, value: Buffer.alloc(bytes, "a") }]);

async function open(t: TestContext, directory: string, worker = "../support/log-worker") {
  const rooms: boolean[] = [];
  const log = await openLog(t, directory, {
    worker: workerFile(import.meta.url, worker),
    hasReaderThread: true,
    reserveBytes: RESERVE_BYTES,
    onRoom: (room) => rooms.push(room),
  });
  const fatal: Error[] = [];
  log.onFatal((error) => fatal.push(error));
  if (!log.topics.has("events")) await log.createTopic({ name: "events", partitionCount: 1 });
  return { log, at: log.partition("events", 0), rooms, fatal };
}

async function appendUntilFull(log: WorkerLog, at: LogPartition, batchBytes: number): Promise<number> {
  for (let count = 0; ; count++) {
    try {
      await log.append(at, batch(batchBytes), "fsync");
    } catch (error) {
      assert.equal((error as { code?: string }).code, "LOG_FULL");
      return count;
    }
  }
}

/** Frees it all. */
async function trim(log: WorkerLog, at: LogPartition): Promise<void> {
  await log.trim(at, at.logEndOffset);
  await waitUntil(() => at.bytes === 0, { what: "everything to be swept", deadlineMs: DEADLINE_MS });
}

async function appendAgain(log: WorkerLog, at: LogPartition): Promise<void> {
  await waitUntil(
    () =>
      log.append(at, batch(10_000), "fsync").then(
        () => true,
        () => false,
      ),
    { what: "an append to be taken", deadlineMs: DEADLINE_MS },
  );
}

suite("full disk", () => {
  for (const batchBytes of [300, 20_000, 900_000]) {
    test(`filled by its own batches of ${batchBytes} bytes, it is freed by trimming, again and again`, async (t) => {
      const { log, at, rooms, fatal } = await open(t, smallDisk(t, DISK_MIB));
      for (let round = 1; round <= 3; round++) {
        const count = await appendUntilFull(log, at, batchBytes);
        assert.ok(count * batchBytes > DISK_MIB * MIB * 0.3, `round ${round}: full after ${count}`);
        await trim(log, at);
        await appendAgain(log, at);
      }
      assert.deepEqual(rooms.slice(0, 2), [false, true]);
      assert.deepEqual(fatal, []);
    });
  }

  test("filled by somebody else, it takes no data, frees without a byte of room, and goes on when there is some", async (t) => {
    const disk = smallDisk(t, DISK_MIB);
    const { log, at, fatal } = await open(t, path.join(disk, "data"));
    for (let i = 0; i < 300; i++) await log.append(at, batch(20_000), "os");
    const other = fillUp(disk);
    // Into what the WAL and the database have left.
    await appendUntilFull(log, at, 20_000);
    await trim(log, at);
    rmSync(other);
    await appendAgain(log, at);
    assert.deepEqual(fatal, []);
  });

  test("filled by somebody else to the last byte, it notes what the hub has", async (t) => {
    const disk = smallDisk(t, DISK_MIB);
    const { log, at, fatal } = await open(t, path.join(disk, "data"), "../../agent/log-worker");
    for (let i = 0; i < 300; i++) await log.append(at, batch(20_000), "os");
    const other = fillUp(disk);
    await appendUntilFull(log, at, 20_000);
    for (let settled = 1; settled <= 300; settled++) {
      await log.call([{ extension: "uplink", method: "settle", args: [{ laneId: at.id, settled }] }]);
    }
    assert.deepEqual(fatal, []);
    rmSync(other);
    await appendAgain(log, at);
  });

  test("that somebody else takes even the reserve's room keeps it full only as long as the disk is", async (t) => {
    const disk = smallDisk(t, DISK_MIB);
    const { log, at, fatal } = await open(t, path.join(disk, "data"));
    for (let i = 0; i < 300; i++) await log.append(at, batch(20_000), "os");
    fillUp(disk);
    await appendUntilFull(log, at, 20_000);
    const other = fillUp(disk);
    await assert.rejects(log.append(at, batch(20_000), "fsync"), { code: "LOG_FULL" });
    rmSync(other);
    await appendAgain(log, at);
    await trim(log, at);
    assert.deepEqual(fatal, []);
  });

  for (const how of ["closed", "killed"] as const) {
    test(`a log that was ${how} starts on a full disk, keeps what it holds, frees, and goes on`, async (t) => {
      const disk = smallDisk(t, DISK_MIB);
      const first = await open(t, path.join(disk, "first"));
      for (let i = 0; i < 100; i++) await first.log.append(first.at, batch(20_000), "fsync");
      const directory = path.join(disk, "second");
      // As a kill leaves it: without the index of the WAL, which does not outlive the memory of a power cut.
      if (how === "closed") await first.log.close();
      mkdirSync(directory);
      const names = ["log.db", "log.reserve", ...(how === "killed" ? ["log.db-wal"] : [])];
      for (const name of names) {
        cpSync(path.join(disk, "first", name), path.join(directory, name));
      }
      await first.log.close();
      rmSync(path.join(disk, "first"), { recursive: true });
      const other = fillUp(disk);

      const { log, at, fatal } = await open(t, directory);
      assert.equal(at.logEndOffset, 100);
      await assert.rejects(log.append(at, batch(3 * MIB), "fsync"), { code: "LOG_FULL" });
      await trim(log, at);
      rmSync(other);
      await appendAgain(log, at);
      assert.deepEqual(fatal, []);
    });
  }
});
