/**
 * Where the lanes of a partition go on, taken together, and what that means for its books (resume.ts decides for each).
 * Pure.
 */
import type { Partition, ProducerEpoch, ProducerId } from "../../shared/ids.ts";
import type { UplinkPosition } from "../../shared/uplink/frames.ts";
import type { Recount } from "./epoch-table.ts";
import type { Lane, Placement } from "./lane.ts";
import { planResume, rememberEpoch } from "./resume.ts";
import type { PartitionMemory, ResumeCause, ResumePlan } from "./resume.ts";
import { ownRanges, ownSpans, settledCount, slotOf } from "./windows.ts";

export type LanePlan = {
  readonly lane: Lane;
  readonly plan: ResumePlan;
  /** Of the newest record there of the lane's producer. */
  readonly hubEpoch: ProducerEpoch | undefined;
  /** Stored there of the lane's producer, and in its ledger. */
  readonly hubRecords: number;
  readonly hubLost: number;
};

export function planOf(lane: Lane, position: UplinkPosition | undefined): LanePlan {
  const { source, memory, family } = lane;
  const plan = planResume(memory, source.logStartOffset, position);
  const gaps = ownRanges(plan.gaps, ownSpans(family.windows, slotOf(source.id)));
  return {
    lane,
    plan: { ...plan, gaps },
    hubEpoch: position?.epoch,
    hubRecords: position?.records ?? 0,
    hubLost: position?.lost ?? 0,
  };
}

/**
 * The hub has nothing of the lane's epoch, and all that this log knows to have come before. It was perhaps set back to
 * before records that this log has lost, too, which its position does not tell.
 */
export function isForgetful({ lane: { memory }, plan, hubEpoch }: LanePlan): boolean {
  return plan.cause === "continued" && memory.epochs.length > 1 && hubEpoch !== plan.epoch;
}

/** Oldest window first. */
export function sortedPlans(plans: readonly LanePlan[]): LanePlan[] {
  return plans.toSorted((left, right) => left.lane.window.number - right.lane.window.number);
}

export function isOnDiskAlready({ lane: { memory }, plan }: LanePlan): boolean {
  return plan.newEpoch === undefined && memory.fence === undefined && plan.next >= memory.settled;
}

export function memoryAfter({ next, newEpoch }: Placement, { epochs }: PartitionMemory): PartitionMemory {
  const remembered = newEpoch === undefined ? epochs : rememberEpoch(epochs, newEpoch);
  return { settled: next, fence: undefined, sentEnd: next, epochs: remembered };
}

/** Records of the partition that are delivered or declared, and what the hub has stored, as the plans have it. */
export function booksOf(plans: readonly LanePlan[]): { settled: number; hubRecords: number; hubLost: number } {
  const places = plans.map(({ lane: { window }, plan: { next: settled } }) => ({ ...window, settled }));
  return {
    settled: settledCount(places),
    hubRecords: plans.reduce((sum, each) => sum + each.hubRecords, 0),
    hubLost: Math.max(...plans.map(({ hubLost }) => hubLost)),
  };
}

/** One side has lost what the other counts: from here on they count from what the hub has. */
const recountCauses: ReadonlySet<ResumeCause> = new Set(["first", "rewound", "tail-lost", "foreign-epoch"]);

export const resumeTexts = {
  rewound: "the hub has lost records it had; what is still here is sent again, the rest is declared lost",
  overflow: "records made room for newer ones before the hub had them; the gap is declared",
  "tail-lost": "the hub has records that this log has lost; a new epoch begins behind what is here",
  "foreign-epoch": "the hub knows a newer epoch: this data was restored from an older copy, or runs twice",
} as const;

export type PositionsByLane = ReadonlyMap<string, UplinkPosition>;

/** A hub may be younger than a producer, and say nothing of it. */
export function positionsByLane(
  positions: readonly UplinkPosition[],
  sideProducers: readonly ProducerId[],
): PositionsByLane {
  return new Map(
    positions.map((each) => {
      const slot = each.sideProducer === undefined ? 0 : sideProducers.indexOf(each.sideProducer) + 1;
      return [positionKey(each, slot), each];
    }),
  );
}

export function positionKey(at: { readonly topic: string; readonly partition: Partition }, slot: number): string {
  return `${slot} ${at.topic}/${at.partition}`;
}

/** What the welcome means for the books of a partition. */
export function reckon(plans: readonly LanePlan[]): {
  readonly settled: number;
  readonly hubLost: number;
  /** To be compared; undefined while the two sides begin to count anew. */
  readonly hubRecords: number | undefined;
  readonly recount: Recount | undefined;
} {
  const { settled, hubRecords, hubLost } = booksOf(plans);
  const hasContinued = plans.every(({ plan }) => plan.cause === "continued");
  const hasForgotten = hasContinued && plans.some(isForgetful);
  const mustRecount = hasForgotten || plans.some(({ plan }) => recountCauses.has(plan.cause));
  return {
    settled,
    hubLost,
    hubRecords: hasContinued && !hasForgotten ? hubRecords : undefined,
    recount: mustRecount ? { settled, hubRecords, isForgetful: hasForgotten } : undefined,
  };
}

/** Otherwise the hub has nothing of the side producers, and never will. */
export function mayDivide({ family }: Lane): boolean {
  return family.catchUp === "live-first" || family.windows.length > 0;
}

/** While nothing can be written down. Lanes of one partition go on together, or wait together. */
export function plansThatWait(plans: readonly LanePlan[]): ReadonlyMap<Lane, ResumeCause> {
  const beginners = plans.filter(({ plan }) => plan.newEpoch !== undefined);
  return new Map(
    beginners.flatMap(({ lane, plan }) => lane.family.lanes.map((each): [Lane, ResumeCause] => [each, plan.cause])),
  );
}
