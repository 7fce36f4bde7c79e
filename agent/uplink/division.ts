/**
 * Whether a partition is divided as the hub comes back, and how: what waits becomes history, and a new window begins at
 * the log's end for what is new. Pure.
 *
 * While more windows are open than there are slots for, none begins: what is new then waits behind the last outage, as
 * with `in-order`, until the oldest history is at the hub.
 */
import type { Offset } from "../../shared/ids.ts";
import { moveLane, newLane } from "./lane.ts";
import type { Lane, PartitionLanes } from "./lane.ts";
import type { LanePlan } from "./lane-plans.ts";
import { planResume } from "./resume.ts";
import type { HubPosition, PartitionMemory, ResumePlan } from "./resume.ts";
import { divide, WINDOWS_OPEN_MAX } from "./windows.ts";
import type { LaneWindow, WindowStart } from "./windows.ts";

export type DivisionLimits = { readonly historyRecordsMin: number; readonly historyBytesMin: number };

export type Division = {
  readonly windows: readonly WindowStart[];
  /** Of the lane that was live until now. */
  readonly history: LaneWindow;
  readonly live: LaneWindow;
  /** Its slot is used again. */
  readonly freed: Lane | undefined;
};

/** `plans`: of all lanes of the partition, oldest first. */
export function planDivision(
  family: PartitionLanes,
  plans: readonly LanePlan[],
  limits: DivisionLimits,
): Division | undefined {
  const newest = plans.at(-1);
  if (family.catchUp !== "live-first" || newest === undefined) return undefined;
  // Where the two sides disagree about what was sent, that is settled first.
  if (plans.some(({ plan: { cause } }) => cause === "tail-lost" || cause === "foreign-epoch")) return undefined;
  const oldest = plans.length < WINDOWS_OPEN_MAX ? undefined : plans[0];
  if (oldest !== undefined && !isFinished(oldest)) return undefined;
  const start = newest.lane.source.logEndOffset;
  if (!isBacklog(newest.lane, start - newest.plan.next, limits)) return undefined;
  const windows = divide(family.windows, start);
  const { number } = newest.lane.window;
  return {
    windows,
    history: { ...newest.lane.window, end: start },
    live: { number: number + 1, start, end: Infinity },
    freed: oldest?.lane,
  };
}

function isFinished({ lane, plan }: LanePlan): boolean {
  return plan.cause === "continued" && plan.next >= lane.window.end && lane.gaps.length === 0;
}

function isBacklog({ source }: Lane, records: number, { historyRecordsMin, historyBytesMin }: DivisionLimits): boolean {
  const stored = source.logEndOffset - source.logStartOffset;
  if (records <= 0 || stored <= 0) return false;
  return records >= historyRecordsMin || (source.bytes * records) / stored >= historyBytesMin;
}

/** How the new window begins, under its slot's producer. The epoch may be above PRODUCER_EPOCH_MAX. */
export function beginWindow(freed: Lane | undefined, start: Offset, position: HubPosition | undefined): ResumePlan {
  const current = freed?.memory.epochs.at(-1);
  if (freed === undefined || current === undefined) return planResume(emptyAt(start), start, position);
  const epoch = Math.max(current.epoch, position?.epoch ?? 0) + 1;
  const newEpoch = { epoch, firstOffset: start, previousEnd: freed.window.end };
  return { cause: "first", epoch, firstOffset: start, next: start, newEpoch, gaps: [] };
}

/** The lane of the new window; not one of the partition's yet. */
export function liveLane(family: PartitionLanes, model: Lane, { freed, live }: Division): Lane {
  const { acks, priority } = model;
  const lane = freed ?? newLane({ family, window: live, acks, priority, memory: emptyAt(live.start), gaps: [] });
  lane.isAtHub = true;
  return lane;
}

/** On disk: from here on the lanes are what the division says. */
export function applyDivision(family: PartitionLanes, lane: Lane, division: Division): void {
  const [history] = family.lanes.slice(-1);
  if (history !== undefined) moveLane(history, division.history);
  moveLane(lane, division.live);
  family.windows = division.windows;
  family.lanes = [...family.lanes.filter((each) => each !== lane), lane];
}

function emptyAt(start: Offset): PartitionMemory {
  return { settled: start, fence: undefined, sentEnd: start, epochs: [] };
}
