import assert from "node:assert/strict";
import test from "node:test";
import {
  attachedWindows,
  divide,
  laneIdOf,
  ownRanges,
  ownSpans,
  partitionIdOf,
  settledCount,
  settledEnd,
  slotOf,
  wholePartition,
  WINDOWS_OPEN_MAX,
  WINDOWS_REMEMBERED_MAX,
  WindowView,
} from "../../../../agent/uplink/windows.ts";
import type { WindowStart } from "../../../../agent/uplink/windows.ts";

const dividedAt = (...offsets: readonly number[]): WindowStart[] => offsets.reduce<WindowStart[]>(divide, []);

test("windows: a partition that was never divided is one window, and its lane has its number", () => {
  assert.deepEqual(attachedWindows([]), [wholePartition]);
  assert.equal(laneIdOf(17, wholePartition), 17);
  assert.deepEqual(ownSpans([], 0), [{ start: 0, end: Infinity }]);
  assert.deepEqual(ownSpans([], 1), []);
});

test("windows: each division begins the next window at the log's end", () => {
  assert.deepEqual(attachedWindows(dividedAt(1000, 2500)), [
    { number: 0, start: 0, end: 1000 },
    { number: 1, start: 1000, end: 2500 },
    { number: 2, start: 2500, end: Infinity },
  ]);
});

test("windows: as many have a lane as there are slots, and the next one takes the slot of the oldest", () => {
  const windows = attachedWindows(dividedAt(10, 20, 30, 40, 50));
  assert.equal(windows.length, WINDOWS_OPEN_MAX);
  assert.deepEqual(
    windows.map(({ number, start }) => [number, start]),
    [2, 3, 4, 5].map((number) => [number, number * 10]),
  );
  const slots = windows.map((each) => slotOf(laneIdOf(7, each)));
  assert.deepEqual(slots, [2, 3, 0, 1]);
  for (const each of windows) assert.equal(partitionIdOf(laneIdOf(7, each)), 7);
});

test("windows: more than can be remembered -> the oldest are forgotten, and numbers go on", () => {
  const starts = dividedAt(...Array.from({ length: 200 }, (_, index) => (index + 1) * 10));
  assert.equal(starts.length, WINDOWS_REMEMBERED_MAX);
  assert.deepEqual(starts.at(-1), { number: 200, start: 2000 });
});

test("windows: of a lost range a slot declares what it had to deliver, and no more", () => {
  // Slot 0 had 0 to 9 and 40 to 49.
  const starts = dividedAt(10, 20, 30, 40, 50);
  const lost = [{ from: 5, to: 44, reason: "rewound" }] as const;
  assert.deepEqual(ownRanges(lost, ownSpans(starts, 0)), [
    { from: 5, to: 9, reason: "rewound" },
    { from: 40, to: 44, reason: "rewound" },
  ]);
  const all = [0, 1, 2, 3].flatMap((slot) => ownRanges(lost, ownSpans(starts, slot)));
  assert.equal(
    all.reduce((sum, { from, to }) => sum + to - from + 1, 0),
    40,
  );
});

test("windows: a lane sees the log within its window", () => {
  const log = { id: 7, topic: "a", partition: 3, logStartOffset: 50, logEndOffset: 250, bytes: 2000 };
  const see = (start: number, end: number) => {
    const { logStartOffset, logEndOffset, bytes } = new WindowView(log, { number: 1, start, end });
    return [logStartOffset, logEndOffset, bytes];
  };
  assert.deepEqual(see(0, 100), [50, 100, 500]);
  assert.deepEqual(see(100, 200), [100, 200, 1000]);
  assert.deepEqual(see(200, Infinity), [200, 250, 500]);
  // All of it made room; and a log that lost its tail has nothing there yet.
  assert.deepEqual(see(0, 40), [40, 40, 0]);
  assert.deepEqual(see(300, Infinity), [300, 300, 0]);
  log.logEndOffset = 310;
  assert.deepEqual(see(300, Infinity)[1], 310);
});

test("windows: the log is kept from the first record on that any lane has not settled", () => {
  const places = [
    { start: 0, end: 100, settled: 40 },
    { start: 100, end: 200, settled: 180 },
    { start: 200, end: Infinity, settled: 230 },
  ];
  assert.equal(settledEnd(places), 40);
  assert.equal(settledCount(places), 40 + 80 + 30);
  assert.equal(settledEnd([{ start: 0, end: 100, settled: 100 }, ...places.slice(1)]), 180);
  assert.equal(settledEnd(places.slice(2)), 230);
  // What came before the oldest lane's window is settled.
  assert.equal(settledCount(places.slice(1)), 100 + 80 + 30);
});
