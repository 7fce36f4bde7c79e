/**
 * An agent's log that is full to its last page, by its cap or by the disk: what the uplink, the ledger and the clock note
 * down still finds room, because it is what empties the log. What clients send does not.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { BLOCK_BYTES } from "../../../agent/ingest/duplicate-window-blocks.ts";
import type { LedgerContents } from "../../../agent/ledger/ledger-table.ts";
import { BatchBuilder, noHeaders } from "../../../shared/batch/batch-builder.ts";
import { encodeRecords } from "../../../shared/batch/records.ts";
import type { CommitPart, ExtensionCall } from "../../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../../shared/log/worker-log.ts";
import { workerFile } from "../../../shared/worker-file.ts";
import { openLog } from "../../support/open-log.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitUntil } from "../../support/wait-until.ts";

const KIB = 1024;
const DEADLINE_MS = 20_000;

const openAgentLog = (t: TestContext): Promise<WorkerLog> =>
  openLog(t, tempDir(t), {
    worker: workerFile(import.meta.url, "../../../agent/log-worker"),
    crashPointBeforeFsync: "agent-before-fsync",
    reserveBytes: 64 * KIB,
  });

const batchOf = (bytes: number): Buffer =>
  encodeRecords([{ timestamp: 1, key: null, value: Buffer.alloc(bytes, "a") }]);

const isFull = (error: unknown): boolean => (error as { code?: string }).code === "LOG_FULL";

function isRefused(error: unknown): false {
  assert.ok(isFull(error), String(error));
  return false;
}

/** With ever smaller batches, until not even one byte is taken. */
async function fill(log: WorkerLog): Promise<void> {
  const at = log.partition("events", 0);
  for (let bytes = 16 * KIB; bytes >= 1;) {
    if (!(await log.append(at, batchOf(bytes), "fsync").then(() => true, isRefused))) bytes = Math.floor(bytes / 2);
  }
}

const call = (extension: string, method: string, args: unknown): ExtensionCall => ({ extension, method, args });

/** What a new hub makes the uplink note for each of the partitions. */
const adoption = (partitions: number): ExtensionCall =>
  call(
    "uplink",
    "adopt",
    Array.from({ length: partitions }, (_, index) => ({
      laneId: index + 1,
      settled: 0,
      newEpoch: { epoch: 1, firstOffset: 0, previousEnd: 0 },
      windows: undefined,
    })),
  );

/** As the ingest commits: records and what belongs to them, or notes alone. */
function commitPart(log: WorkerLog, part: Pick<CommitPart, "appends" | "calls">): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let waiting: CommitPart | undefined = { ...part, durability: "fsync", done: resolve, failed: reject };
    log
      .addSource({
        take: () => {
          const taken = waiting;
          waiting = undefined;
          return taken;
        },
      })
      .request();
  });
}

const loss = (id: number): ExtensionCall =>
  call("ledger", "put", [
    {
      id,
      topic: "events",
      partition: 0,
      epoch: 0,
      from: 1,
      to: 0,
      records: 1,
      reason: "overflow",
      since: 1,
      until: 1,
      state: "open",
    },
  ]);

async function lossIds(log: WorkerLog): Promise<readonly number[]> {
  const { rows } = (await log.query(call("ledger", "load", undefined))) as LedgerContents;
  return rows.map(({ id }) => id);
}

async function assertGoesOn(log: WorkerLog): Promise<void> {
  const at = log.partition("events", 0);
  await log.trim(at, at.logEndOffset);
  const taken = (): Promise<boolean> => log.append(at, batchOf(1000), "fsync").then(() => true, isRefused);
  await waitUntil(taken, { what: "an append to be taken", deadlineMs: DEADLINE_MS });
}

suite("full log", () => {
  test("at its cap: notes for a thousand partitions are taken, and there is room again when it is emptied", async (t) => {
    const log = await openAgentLog(t);
    await log.createTopic({ name: "events", partitionCount: 1 });
    await log.call([call("space", "limit", { bytesMax: 1024 * KIB })]);
    await fill(log);
    await log.call([adoption(1000)]);
    const block = call("duplicates", "put", [{ slot: 0, bytes: new Uint8Array(BLOCK_BYTES) }]);
    await assert.rejects(log.call([block]), isFull);
    await assertGoesOn(log);
  });

  test("a commit's notes go with its records: all of it is refused, or none", async (t) => {
    const log = await openAgentLog(t);
    await log.createTopic({ name: "events", partitionCount: 1 });
    await log.call([call("space", "limit", { bytesMax: 1024 * KIB })]);
    await fill(log);
    const builder = new BatchBuilder();
    builder.append(1, null, randomBytes(10_000), noHeaders);
    const records = { partition: log.partition("events", 0), records: builder.take() };
    await assert.rejects(commitPart(log, { appends: [records], calls: [loss(1)] }), isFull);
    const packets = call("qos2", "insert", [["client", 1]]);
    await assert.rejects(commitPart(log, { appends: [], calls: [packets, loss(2)] }), isFull);
    assert.deepEqual(await lossIds(log), []);
    // What was turned away for want of room is told all the same.
    await commitPart(log, { appends: [], calls: [loss(3)] });
    assert.deepEqual(await lossIds(log), [3]);
    await assertGoesOn(log);
  });
});
