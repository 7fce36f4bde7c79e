import assert from "node:assert/strict";
import { test } from "node:test";
import { LogRoom } from "../../../../agent/ingest/log-room.ts";
import type { LogRoomOptions } from "../../../../agent/ingest/log-room.ts";
import { StreamError } from "../../../../shared/errors.ts";
import type { LogPartition } from "../../../../shared/log/partitioned-log.ts";
import { fixedSpace } from "../../../support/fixed-space.ts";
import { memoryLedger } from "../../../support/memory-ledger.ts";
import { ManualLog } from "./manual-log.ts";

type Mutable = { -readonly [Key in keyof LogPartition]: LogPartition[Key] };

/** A log with one partition of 100 records in 1000 bytes. */
async function room({ capBytes = 1000, ...over }: Partial<LogRoomOptions> & { readonly capBytes?: number } = {}) {
  const log = new ManualLog();
  await log.createTopic({ name: "t", partitionCount: 1 });
  const partition = log.partition("t", 0) as Mutable;
  Object.assign(partition, { logEndOffset: 100, bytes: 1000 });
  const losses = await memoryLedger();
  const failures: string[] = [];
  let nowMs = 0;
  const made = new LogRoom({
    log: log.asLog,
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    space: fixedSpace(log, capBytes),
    ledger: losses,
    policyOf: () => ({ acks: "all", catchUp: "in-order", overflow: "drop-oldest", priority: 0, partitions: 1 }),
    pendingFrom: () => 0,
    onTrimFailed: (error) => failures.push(error.code),
    ...over,
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { room: made, log, partition, losses, failures, turn, pass: (ms: number) => void (nowMs += ms) };
}

const incoming = { bytes: 0, priority: 0 };

test("log room: at the cap the oldest tenth goes and is noted in the same commit", async () => {
  const { room: logRoom, log, losses, turn } = await room();
  logRoom.consider(incoming);
  assert.deepEqual(
    log.calls.map(({ extension, method }) => `${extension}.${method}`),
    ["ledger.put"],
  );
  await turn();
  assert.deepEqual(
    log.trims.map(({ before }) => before),
    [10],
  );
  assert.deepEqual(losses.counts(), [{ topic: "t", reason: "overflow", records: 10 }]);
});

test("log room: records that the hub had confirmed are not counted", async () => {
  const { room: logRoom, losses, turn } = await room({ pendingFrom: () => 7 });
  logRoom.consider(incoming);
  await turn();
  assert.deepEqual(losses.counts(), [{ topic: "t", reason: "overflow", records: 3 }]);
});

test("log room: no second round before the sizes show the first, unless they never do", async () => {
  const { room: logRoom, log, partition, turn, pass } = await room();
  logRoom.consider(incoming);
  await turn();
  // The log has moved its start but not yet swept the batches.
  partition.bytes = 1000;
  pass(999);
  logRoom.consider(incoming);
  assert.equal(log.trims.length, 1);
  pass(1);
  logRoom.consider(incoming);
  assert.equal(log.trims.length, 2);
});

test("log room: no second round while the first is on its way to the disk", async () => {
  const { room: logRoom, log, pass } = await room();
  logRoom.consider(incoming);
  (log.partition("t", 0) as Mutable).bytes = 1000;
  pass(10_000);
  logRoom.consider(incoming);
  assert.equal(log.trims.length, 1);
});

test("log room: a trim that fails loses nothing, is told, and is tried again", async () => {
  const { room: logRoom, log, losses, failures, turn, pass } = await room();
  const trim = log.trim.bind(log);
  log.trim = () => Promise.reject(new StreamError("LOG_FULL", "disk"));
  logRoom.consider(incoming);
  await turn();
  assert.deepEqual([failures, losses.counts()], [["LOG_FULL"], []]);
  log.trim = trim;
  pass(1000);
  logRoom.consider(incoming);
  await turn();
  assert.equal(log.trims.length, 1);
});

const blocking: Pick<LogRoomOptions, "policyOf"> = {
  policyOf: () => ({ acks: "all", catchUp: "in-order", overflow: "block", priority: 0, partitions: 1 }),
};

test("log room: a log that refused a commit is full until something is freed", async () => {
  const { room: logRoom, log, partition } = await room({ ...blocking, capBytes: 10_000 });
  logRoom.sawFull();
  logRoom.consider(incoming);
  assert.equal(logRoom.admittedPriorityMin, Infinity);
  partition.bytes = 999;
  logRoom.consider(incoming);
  assert.equal(logRoom.admittedPriorityMin, -Infinity);
  assert.equal(log.trims.length, 0);
});

test("log room: where nothing is freed, one commit tries after a while, for the room may be another's", async () => {
  const { room: logRoom, pass } = await room({ ...blocking, capBytes: 10_000 });
  logRoom.sawFull();
  pass(9999);
  logRoom.consider(incoming);
  assert.equal(logRoom.admittedPriorityMin, Infinity);
  pass(1);
  logRoom.consider(incoming);
  assert.equal(logRoom.admittedPriorityMin, -Infinity);
  logRoom.sawFull();
  logRoom.consider(incoming);
  assert.equal(logRoom.admittedPriorityMin, Infinity);
  logRoom.sawStored();
  logRoom.consider(incoming);
  assert.equal(logRoom.admittedPriorityMin, -Infinity);
});
