import assert from "node:assert/strict";
import { test } from "node:test";
import { trimNoted } from "../../../../agent/ledger/trim-noted.ts";
import { StreamError } from "../../../../shared/errors.ts";
import type { LogPartition, TrimNote } from "../../../../shared/log/partitioned-log.ts";
import { memoryLedger } from "../../../support/memory-ledger.ts";

const at: LogPartition = { id: 1, topic: "t", partition: 0, logStartOffset: 0, logEndOffset: 100, bytes: 1000 };

/** A log that has no room as often as asked. */
async function withLog(failures: readonly StreamError[] = []) {
  const ledger = await memoryLedger();
  const asked: string[] = [];
  const left = [...failures];
  const log = {
    trim: async (_: LogPartition, before: number, note?: TrimNote) => {
      asked.push(`${before} with ${note?.calls.length ?? "no note"}`);
      const failure = left.shift();
      if (failure !== undefined) throw failure;
      note?.done();
    },
  };
  return { log, ledger, asked };
}

test("trim noted: the reason rides along, and counts when it is durable", async () => {
  const { log, ledger, asked } = await withLog();
  await trimNoted(log, ledger, at, { from: 2, end: 10, reason: "expired" });
  assert.deepEqual(asked, ["10 with 1"]);
  assert.deepEqual(ledger.counts(), [{ topic: "t", reason: "expired", records: 8 }]);
});

test("trim noted: what the hub has goes without a note", async () => {
  const { log, ledger, asked } = await withLog();
  await trimNoted(log, ledger, at, { from: 10, end: 10, reason: "overflow" });
  assert.deepEqual([asked, ledger.counts()], [["10 with no note"], []]);
});

test("trim noted: a log without room for the note is emptied all the same", async () => {
  const { log, ledger, asked } = await withLog([new StreamError("LOG_FULL", "no page")]);
  await trimNoted(log, ledger, at, { from: 0, end: 10, reason: "overflow" });
  assert.deepEqual([asked, ledger.counts()], [["10 with 1", "10 with no note"], []]);
});

test("trim noted: any other failure is the caller's, and nothing counts", async () => {
  const { log, ledger, asked } = await withLog([new StreamError("CLOSING", "closed")]);
  await assert.rejects(trimNoted(log, ledger, at, { from: 0, end: 10, reason: "overflow" }), { code: "CLOSING" });
  assert.deepEqual([asked, ledger.counts()], [["10 with 1"], []]);
});
