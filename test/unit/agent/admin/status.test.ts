import { unheardPlaces } from "../../../../agent/uplink/windows.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { agentMetrics } from "../../../../agent/admin/metrics.ts";
import { StatusCollector } from "../../../../agent/admin/status.ts";
import type { StatusSources } from "../../../../agent/admin/status.ts";
import type { IngestStats } from "../../../../agent/ingest/ingest-limits.ts";
import type { LogPartition, LogTopic } from "../../../../shared/log/partitioned-log.ts";
import { renderMetrics } from "../../../../shared/metrics-text.ts";
import { onCleanUp } from "../../../support/clean-up.ts";

const ingestStats: IngestStats = {
  receivedMessages: 20,
  committedRecords: 15,
  committedBytes: 1500,
  duplicateMessages: 2,
  refusedMessages: 3,
  uncommittedBytes: 40,
  uncommittedMessages: 4,
  waitingBytes: 50,
  waitingMessages: 5,
  isWithoutRoom: true,
  routedTopics: 6,
};

/** Seven records were taken and never stored, and four of the second partition declared lost. */
const ledger: StatusSources["ledger"] = {
  totals: ({ partition: index }) => (index === 0 ? { stored: 0, unstored: 7 } : { stored: 4, unstored: 0 }),
  counts: () => [
    { topic: "readings", reason: "overload", records: 7 },
    { topic: "readings", reason: "overflow", records: 4 },
  ],
  rows: () => [],
  differences: () => [],
};

function partition(over: Partial<LogPartition>): LogPartition {
  return { id: 1, topic: "readings", partition: 0, logStartOffset: 0, logEndOffset: 0, bytes: 0, ...over };
}

function collector(t: TestContext, over: Partial<StatusSources> = {}) {
  let nowMs = 5000;
  const partitions = [
    partition({ logStartOffset: 10, logEndOffset: 30, bytes: 200 }),
    partition({ id: 2, partition: 1, logStartOffset: 5, logEndOffset: 5 }),
  ];
  const topic: LogTopic = { name: "readings", id: Buffer.alloc(16), partitions, config: {} };
  const status = new StatusCollector({
    version: "1.2.3",
    clock: { wallMs: () => 0, monotonicMs: () => nowMs },
    log: { id: "abc", topics: new Map([["readings", topic]]), onCommit: () => () => {} },
    space: { capBytes: 1000, usedBytes: 200 },
    ingest: { stats: () => ingestStats },
    ledger,
    diskBytesWritten: () => Promise.resolve(123),
    failure: () => undefined,
    ...over,
  });
  onCleanUp(t, () => status.stop());
  return { status, pass: (ms: number) => void (nowMs += ms) };
}

const uplink: NonNullable<StatusSources["uplink"]> = {
  status: () => ({ isConnected: true, hub: "ws://hub" }),
  places: ({ partition: index }) => [{ start: 0, end: Infinity, settled: index === 0 ? 25 : 5 }],
};

test("status: pending is what the hub has not confirmed, and its share of the bytes", async (t) => {
  const { status } = collector(t, { uplink });
  const { log } = await status.collect();
  assert.deepEqual(log, {
    id: "abc",
    usedBytes: 200,
    capBytes: 1000,
    fileBytes: null,
    diskFreeBytes: null,
    pendingRecords: 5,
    historyRecords: 0,
    pendingBytes: 50,
    topics: [
      {
        topic: "readings",
        partitions: 2,
        balances: [
          { partition: 0, accepted: 37, delivered: 25, pending: 5, dropped: 7 },
          { partition: 1, accepted: 5, delivered: 1, pending: 0, dropped: 4 },
        ],
        pendingRecords: 5,
        historyRecords: 0,
        pendingBytes: 50,
        storedBytes: 200,
      },
    ],
  });
});

test("status: what newer records have overtaken is told apart", async (t) => {
  const divided = [
    { start: 0, end: 22, settled: 20 },
    { start: 22, end: Infinity, settled: 27 },
  ];
  const places = (at: { partition: number }) => (at.partition === 0 ? divided : unheardPlaces);
  const { status } = collector(t, { uplink: { ...uplink, places } });
  const { log } = await status.collect();
  assert.deepEqual([log.topics[0]?.balances[0]?.pending, log.historyRecords], [5, 2]);
  const { text } = await renderMetrics(agentMetrics, await status.collect());
  assert.match(text, /^agent_uplink_history_records\{topic="readings"\} 2$/m);
});

test("status: without an uplink everything stored is pending", async (t) => {
  const { status } = collector(t);
  const { log, uplink: none } = await status.collect();
  assert.deepEqual([log.pendingRecords, log.pendingBytes, none], [20, 200, null]);
});

test("status: version, uptime, losses, bytes written and the parts' own words are there", async (t) => {
  const { status, pass } = collector(t, { uplink, mqtt: { stats: () => ({ connections: 9 }) } });
  pass(61_000);
  const told = await status.collect();
  assert.equal(told.version, "1.2.3");
  assert.equal(told.uptimeSeconds, 61);
  const { accepted, delivered, pending, dropped, losses } = told.ledger;
  assert.deepEqual({ accepted, delivered, pending, dropped }, { accepted: 42, delivered: 26, pending: 5, dropped: 11 });
  assert.deepEqual(losses, ledger.counts());
  assert.equal(told.process.diskBytesWritten, 123);
  assert.deepEqual(told.uplink, { isConnected: true, hub: "ws://hub" });
  assert.deepEqual(told.mqtt, { connections: 9 });
});

test("status: bytes written are null where the system does not tell", async (t) => {
  const { status } = collector(t, { diskBytesWritten: () => Promise.resolve(undefined) });
  assert.equal((await status.collect()).process.diskBytesWritten, null);
  assert.equal((await status.collect()).disk.writtenBytes, null);
});

test("status: bytes written, of a record and of a day", async (t) => {
  let writtenBytes = 1000;
  const { status, pass } = collector(t, { diskBytesWritten: () => Promise.resolve(writtenBytes) });
  await status.collect();
  writtenBytes = 4000;
  pass(3000);
  const { disk } = await status.collect();
  assert.deepEqual(disk, { writtenBytes: 4000, bytesPerRecord: 267, bytesPerDay: 86_400_000, rateSeconds: 3 });
});

test("metrics: every row of the table is rendered with its help, and values with their labels", async (t) => {
  const { status } = collector(t, { uplink, mqtt: { stats: () => ({ connections: 9 }) } });
  const { text } = await renderMetrics(agentMetrics, await status.collect());
  for (const [name, { help, type }] of Object.entries(agentMetrics)) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name);
  }
  assert.match(text, /^agent_lost_records_total\{topic="readings",reason="overload"\} 7$/m);
  assert.match(text, /^agent_uplink_pending_records\{topic="readings"\} 5$/m);
  assert.match(text, /^agent_log_is_full 1$/m);
  assert.match(text, /^agent_mqtt_count\{name="connections"\} 9$/m);
  // Not known yet, hence absent rather than 0.
  assert.doesNotMatch(text, /^agent_log_runway_seconds \d/m);
});
