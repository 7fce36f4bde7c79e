import assert from "node:assert/strict";
import test from "node:test";
import type { TestContext } from "node:test";
import { DiskUse } from "../../../../agent/buffer/disk-use.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import type { ExtensionCall, LogPartition } from "../../../../shared/log/partitioned-log.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { ManualLog } from "../ingest/manual-log.ts";

type Mutable = { -readonly [Key in keyof LogPartition]: LogPartition[Key] };

async function settled(): Promise<void> {
  for (let turns = 0; turns < 8; turns++) await Promise.resolve();
}

/** A log of 1000 bytes of batches in a database of 3000, of which 1500 are in use; the cap is 10,000, and 2000 for a commit. */
async function start(
  t: TestContext,
  { freeBytesMin = 0, limitFailure }: { freeBytesMin?: number; limitFailure?: Error } = {},
) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const log = new ManualLog();
  await log.createTopic({ name: "t", partitionCount: 1 });
  const partition = log.partition("t", 0) as Mutable;
  partition.bytes = 1000;
  log.answer = { fileBytes: 3000, usedBytes: 1500 };
  const disk = { freeBytes: 1_000_000 };
  const call = log.call.bind(log);
  log.call = (calls: readonly ExtensionCall[]) =>
    limitFailure === undefined ? call(calls) : Promise.reject(limitFailure);
  const use = new DiskUse({
    log,
    directory: "/",
    budget: { databaseBytesMax: 12_000, keptBytesMax: 10_000 },
    freeBytesMin,
    logger: silentLogger(),
    freeBytesOf: async () => disk.freeBytes,
  });
  await use.start();
  onCleanUp(t, () => use.stop());
  const pass = async (): Promise<void> => {
    t.mock.timers.tick(1000);
    await settled();
  };
  return { use, log, partition, disk, pass };
}

test("disk use: pages in use count, and batches that came since they were asked", async (t) => {
  const { use, partition, log, pass } = await start(t);
  assert.deepEqual(log.calls, [{ extension: "space", method: "limit", args: { bytesMax: 12_000 } }]);
  assert.deepEqual([use.usedBytes, use.capBytes, use.fileBytes, use.diskFreeBytes], [1500, 10_000, 3000, 1_000_000]);
  partition.bytes = 1200;
  assert.equal(use.usedBytes, 1700);
  log.answer = { fileBytes: 3000, usedBytes: 2200 };
  await pass();
  assert.equal(use.usedBytes, 2200);
  partition.bytes = 0;
  assert.equal(use.usedBytes, 1000);
});

test("disk use: below the floor the log may use its own file again and no more, until there is room", async (t) => {
  const { use, disk, pass } = await start(t, { freeBytesMin: 1_000_000 });
  assert.equal(use.capBytes, 3000);
  disk.freeBytes = 10_000;
  await pass();
  assert.equal(use.capBytes, 3000);
  disk.freeBytes = 1_002_000;
  await pass();
  assert.equal(use.capBytes, 5000);
  disk.freeBytes = 9_000_000;
  await pass();
  assert.equal(use.capBytes, 10_000);
});

test("disk use: a log that grows fast is looked at before the interval is over", async (t) => {
  const { use, log, partition, disk } = await start(t, { freeBytesMin: 1_000_000 });
  disk.freeBytes = 1_000_500;
  partition.bytes += 1_000_000;
  log.announce([partition]);
  await settled();
  assert.equal(use.diskFreeBytes, 1_000_000);
  partition.bytes += 2_000_000;
  log.announce([partition]);
  await settled();
  assert.equal(use.diskFreeBytes, 1_000_500);
});

test("disk use: a full log is no reason not to start", async (t) => {
  const { use } = await start(t, { limitFailure: new StreamError("LOG_FULL", "disk") });
  assert.equal(use.usedBytes, 1500);
});
