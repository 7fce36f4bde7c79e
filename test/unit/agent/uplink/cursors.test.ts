import assert from "node:assert/strict";
import test from "node:test";
import { Cursors, RETRY_MS, TRIM_INTERVAL_MS, trimBytesOf } from "../../../../agent/uplink/cursors.ts";
import type { Delivered } from "../../../../agent/uplink/uplink-events.ts";
import { laneIdOf } from "../../../../agent/uplink/windows.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import type { LogPartition } from "../../../../shared/log/partitioned-log.ts";
import { settled as quiet } from "../../../support/virtual-timers.ts";
import { VirtualPartition } from "../../../support/virtual-log.ts";

const partition = new VirtualPartition(7, "readings", 0);
const delivered = (records: number) => ({ records, acks: "all" }) as const;

const settle = (cursors: Cursors, ...[place, settled, what]: [LogPartition, number, Delivered]) =>
  cursors.settle(place, { laneId: place.id, settled, trimEnd: settled, delivered: what });

function start(failures: Error[] = []) {
  const writes: string[] = [];
  const cursors = new Cursors({
    log: {
      trim: async (_partition, before) => {
        const failure = failures.shift();
        if (failure !== undefined) throw failure;
        writes.push(`trim ${before}`);
      },
    },
    store: {
      settle: async (changes) =>
        void writes.push(`settle ${changes.map((each) => `${each.laneId}@${each.settled}`).join()}`),
    },
    logger: silentLogger(),
    trimBytes: 1000,
  });
  return { cursors, writes };
}

test("cursors: many acknowledgements are one write in ten seconds", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { cursors, writes } = start();
  for (let settled = 1; settled <= 50; settled++) settle(cursors, partition, settled, delivered(1));
  assert.deepEqual(writes, []);
  t.mock.timers.tick(TRIM_INTERVAL_MS);
  await cursors.flush();
  assert.deepEqual(writes, ["settle 7@50", "trim 50"]);
});

/** Of `count` records, `bytes` each. */
const stored = (count: number, bytes: number) => {
  const place = {
    id: 7,
    topic: "readings",
    partition: 0,
    logStartOffset: 0,
    logEndOffset: count,
    bytes: count * bytes,
  };
  return place satisfies LogPartition;
};

test("cursors: when enough of the log is delivered it is removed at once, however little was sent for it", async () => {
  const { cursors, writes } = start();
  const place = stored(100, 50);
  settle(cursors, place, 10, delivered(10));
  settle(cursors, place, 19, delivered(9));
  await quiet();
  assert.deepEqual(writes, []);
  settle(cursors, place, 20, delivered(1));
  await quiet();
  assert.deepEqual(writes, ["settle 7@20", "trim 20"]);
});

test("cursors: what the log is removing already counts no second time", async () => {
  const { cursors, writes } = start();
  const place = stored(100, 50);
  settle(cursors, place, 20, delivered(20));
  // The log has not told yet that it starts at 20.
  for (let end = 21; end < 40; end++) settle(cursors, place, end, delivered(1));
  await quiet();
  assert.deepEqual(writes, ["settle 7@39", "trim 39"]);
  place.logStartOffset = 39;
  place.bytes = 61 * 50;
  for (let end = 40; end < 59; end++) settle(cursors, place, end, delivered(1));
  await quiet();
  assert.equal(writes.length, 2);
  settle(cursors, place, 59, delivered(1));
  await quiet();
  assert.deepEqual(writes.slice(2), ["settle 7@59", "trim 59"]);
});

test("cursors: how much is enough follows from what the log may take", () => {
  assert.deepEqual([1e6, 64 * 1024 * 1024, 1e12].map(trimBytesOf), [62_500, 4 * 1024 * 1024, 4 * 1024 * 1024]);
});

test("cursors: delivered records are counted by topic and acks", async () => {
  const { cursors } = start();
  settle(cursors, partition, 5, delivered(5));
  settle(cursors, partition, 7, { records: 2, acks: "none" });
  assert.deepEqual(Object.fromEntries(cursors.delivered()), { readings: { none: 2, leader: 0, all: 5 } });
  await cursors.flush();
});

test("cursors: a log that cannot trim is no reason to stop; it is tried again by itself", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const failures = [new StreamError("LOG_FULL", "no room")];
  const { cursors, writes } = start(failures);
  settle(cursors, partition, 5, delivered(5));
  await cursors.flush();
  assert.deepEqual(writes, ["settle 7@5"]);
  t.mock.timers.tick(RETRY_MS);
  await cursors.flush();
  assert.deepEqual(writes, ["settle 7@5", "settle 7@5", "trim 5"]);
});

test("cursors: the log keeps what another lane of the partition has not sent", async () => {
  const { cursors, writes } = start();
  const laneId = laneIdOf(partition.id, { number: 1 });
  cursors.settle(partition, { laneId, settled: 90, trimEnd: 20, delivered: delivered(5) });
  cursors.settle(partition, { laneId: partition.id, settled: 30, trimEnd: 30, delivered: delivered(5) });
  await cursors.flush();
  assert.deepEqual(writes, [`settle ${laneId}@90,7@30`, "trim 30"]);
});
