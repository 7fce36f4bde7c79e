import assert from "node:assert/strict";
import test from "node:test";
import { beginWindow, planDivision } from "../../../../agent/uplink/division.ts";
import { booksOf } from "../../../../agent/uplink/lane-plans.ts";
import type { LanePlan } from "../../../../agent/uplink/lane-plans.ts";
import { newLane } from "../../../../agent/uplink/lane.ts";
import type { CatchUp, Lane, PartitionLanes } from "../../../../agent/uplink/lane.ts";
import type { ResumeCause } from "../../../../agent/uplink/resume.ts";
import { attachedWindows, divide } from "../../../../agent/uplink/windows.ts";
import type { WindowStart } from "../../../../agent/uplink/windows.ts";

const LOG_END = 5000;
const limits = { historyRecordsMin: 1000, historyBytesMin: 1e9 };

type Case = { readonly starts?: readonly number[]; readonly catchUp?: CatchUp; readonly bytes?: number };

function family({ starts = [], catchUp = "live-first", bytes = 0 }: Case): PartitionLanes {
  const base = { id: 7, topic: "a", partition: 0, logStartOffset: 0, logEndOffset: LOG_END, bytes };
  const windows = starts.reduce<WindowStart[]>(divide, []);
  const found: PartitionLanes = { base, catchUp, windows, lanes: [], division: undefined };
  const rest = { acks: "all", priority: 0, memory: undefined, gaps: [] } as const;
  found.lanes = attachedWindows(windows).map((window) => newLane({ family: found, window, ...rest }));
  return found;
}

/** All but the last are at the hub, but for `open`; the last one goes on at `next`. */
function plansOf({ lanes }: PartitionLanes, next: number, over: { cause?: ResumeCause; open?: number } = {}) {
  return lanes.map((lane, index): LanePlan => {
    const end = lane.window.end === Infinity ? next : lane.window.end;
    const at = over.open === index ? end - 1 : end;
    const cause = lane.window.end === Infinity ? (over.cause ?? "continued") : "continued";
    const plan = { cause, epoch: 0, firstOffset: 0, next: at, newEpoch: undefined, gaps: [] };
    return { lane, plan, hubEpoch: 0, hubRecords: 10, hubLost: index };
  });
}

const divisionOf = (what: Case, next: number, over = {}) => {
  const lanes = family(what);
  return planDivision(lanes, plansOf(lanes, next, over), limits);
};

test("division: a backlog becomes history up to the log's end, where the live window begins", () => {
  const division = divisionOf({}, 100);
  assert.deepEqual(division?.history, { number: 0, start: 0, end: LOG_END });
  assert.deepEqual(division.live, { number: 1, start: LOG_END, end: Infinity });
  assert.equal(division.freed, undefined);
});

test("division: in-order, or less than is worth it -> none", () => {
  assert.equal(divisionOf({ catchUp: "in-order" }, 100), undefined);
  assert.notEqual(divisionOf({}, LOG_END - 1000), undefined);
  assert.equal(divisionOf({}, LOG_END - 999), undefined);
  // By bytes: half of the log's.
  assert.equal(divisionOf({ bytes: 19e9 }, LOG_END - 250), undefined);
  assert.notEqual(divisionOf({ bytes: 20e9 }, LOG_END - 250), undefined);
  assert.equal(divisionOf({ bytes: 20e9 }, LOG_END), undefined);
});

test("division: where the two sides disagree about what was sent, none until that is settled", () => {
  for (const cause of ["first", "continued", "overflow", "rewound"] as const) {
    assert.notEqual(divisionOf({}, 100, { cause }), undefined, cause);
  }
  for (const cause of ["tail-lost", "foreign-epoch"] as const) {
    assert.equal(divisionOf({}, 100, { cause }), undefined, cause);
  }
});

test("division: with all slots taken the oldest is used again, but not before the hub has all of it", () => {
  const starts = [10, 20, 30];
  const division = divisionOf({ starts }, 100);
  assert.equal(division?.freed?.window.number, 0);
  assert.deepEqual(division.live, { number: 4, start: LOG_END, end: Infinity });
  assert.equal(divisionOf({ starts }, 100, { open: 0 }), undefined);
  assert.notEqual(divisionOf({ starts }, 100, { open: 1 }), undefined);
});

test("division: a slot's epochs go on where it is used again, also above what the hub has", () => {
  assert.equal(beginWindow(undefined, 100, undefined).epoch, 0);
  assert.equal(beginWindow(undefined, 100, { epoch: 3, lastSequence: 9 }).epoch, 4);
  const [freed] = family({ starts: [10] }).lanes as [Lane, ...Lane[]];
  freed.memory = { ...freed.memory, epochs: [{ epoch: 5, firstOffset: 0, previousEnd: 0 }] };
  const { newEpoch, next } = beginWindow(freed, 100, { epoch: 5, lastSequence: 9 });
  assert.deepEqual(newEpoch, { epoch: 6, firstOffset: 100, previousEnd: 10 });
  assert.equal(next, 100);
});

test("division: the books of a partition are those of its lanes together", () => {
  const plans = plansOf(family({ starts: [1000, 2500] }), 2600, { open: 1 });
  assert.deepEqual(booksOf(plans), { settled: 1000 + 1499 + 100, hubRecords: 30, hubLost: 2 });
});
