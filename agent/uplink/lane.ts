/**
 * One partition of the agent's log on its way to the hub, while a connection lasts; or a window of it, where new records
 * do not wait behind history (windows.ts).
 *
 *   unknown ──hello | announce──▶ asked ──answer──▶ adopting ──on disk──▶ active ◀─────────────┐
 *      ▲                            │                   ▲                   │ refused, lost     │
 *      │ timer                      │ not at the hub    │ new epoch         ▼                   │ timer
 *      └──────────── waiting ◀──────┘                   └───────────────  held ──────────▶ waiting
 *                                                                (until nothing is in flight)
 */
import type { Offset, ProducerEpoch } from "../../shared/ids.ts";
import type { MergedBatch } from "../../shared/log/partitioned-log.ts";
import type { Acks } from "../../shared/record.ts";
import type { LossRow } from "../ledger/loss-row.ts";
import type { Division } from "./division.ts";
import type { LostRange, PartitionMemory, ResumePlan } from "./resume.ts";
import { attachedWindows, clamp, laneIdOf, settledEnd, WindowView } from "./windows.ts";
import type { LaneWindow, WindowPlace, WindowStart } from "./windows.ts";

/** A partition of the log, or a window of it: a view that moves with the log. */
export type LaneSource = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
  readonly bytes: number;
};

export type SentItem =
  | { readonly kind: "gap"; readonly id: number; readonly gap: LossRow }
  | {
      readonly kind: "batch";
      readonly id: number;
      readonly baseOffset: Offset;
      readonly lastOffset: Offset;
      readonly bytes: number;
      readonly acks: Acks;
      isAcked: boolean;
    };

export type SentBatch = Extract<SentItem, { kind: "batch" }>;

/** What is done once nothing of the lane is in flight. */
export type Remedy =
  | { readonly type: "resend"; readonly from: Offset; readonly delayMs: number }
  /** Stored batches one by one, to find the one that the hub refuses. */
  | { readonly type: "isolate"; readonly from: Offset }
  | { readonly type: "lose"; readonly range: LostRange };

/** Where a lane goes on, as far as resume.ts or a loss has decided. */
export type Placement = Pick<ResumePlan, "epoch" | "firstOffset" | "next" | "newEpoch" | "gaps">;

/** Whether new records wait behind those of an outage. */
export const catchUps = ["in-order", "live-first"] as const;
export type CatchUp = (typeof catchUps)[number];

export type LanePhase = "unknown" | "asked" | "adopting" | "active" | "held" | "waiting";

/** The lanes of a partition. */
export type PartitionLanes = {
  readonly base: LaneSource;
  readonly catchUp: CatchUp;
  /** As far as they are remembered, oldest first; none while it was never divided. */
  windows: readonly WindowStart[];
  /** Oldest first; the last one is live. */
  lanes: readonly Lane[];
  /** On its way to disk. */
  division: { readonly lane: Lane; readonly division: Division } | undefined;
};

export type Lane = {
  readonly family: PartitionLanes;
  window: LaneWindow;
  source: LaneSource;
  readonly acks: Acks;
  readonly priority: number;
  phase: LanePhase;
  /** The hub has the partition, as far as this connection has heard. */
  isAtHub: boolean;
  memory: PartitionMemory;
  /** On its way to disk. */
  placement: (Placement & { readonly memory: PartitionMemory }) | undefined;
  epoch: ProducerEpoch;
  firstOffset: Offset;
  /** The next record to read. */
  next: Offset;
  /** Written down as lost, not yet sent on this connection. */
  gaps: readonly LossRow[];
  /** Oldest first. */
  inFlight: SentItem[];
  isReading: boolean;
  /** Where the log ended when the running read was asked for. */
  readEnd: Offset;
  /** Read, and waiting for credit. */
  unsent: MergedBatch | undefined;
  /** Nothing of this epoch was acknowledged on this connection: one batch at a time, see `Uplink`. */
  isFresh: boolean;
  isIsolating: boolean;
  remedy: Remedy | undefined;
  /** Refusals in a row. */
  failures: number;
  /** Records before it are counted as delivered. */
  countedEnd: Offset;
};

const emptyMemory: PartitionMemory = { settled: 0, fence: undefined, sentEnd: 0, epochs: [] };

export type LaneStart = {
  readonly family: PartitionLanes;
  readonly window: LaneWindow;
  readonly acks: Acks;
  readonly priority: number;
  readonly memory: PartitionMemory | undefined;
  readonly gaps: readonly LossRow[];
};

export function newLane({ family, window, acks, priority, memory: remembered, gaps }: LaneStart): Lane {
  const memory = withinWindow(remembered ?? emptyMemory, window);
  return {
    family,
    window,
    source: viewOf(family.base, window),
    acks,
    priority,
    phase: "unknown",
    isAtHub: false,
    memory,
    placement: undefined,
    epoch: 0,
    firstOffset: 0,
    next: memory.settled,
    gaps,
    inFlight: [],
    isReading: false,
    readEnd: 0,
    unsent: undefined,
    isFresh: true,
    isIsolating: false,
    remedy: undefined,
    failures: 0,
    countedEnd: memory.settled,
  };
}

/** What the last run of the program left of a partition. */
export type RememberedLanes = {
  readonly windows: readonly WindowStart[];
  /** By lane. */
  readonly memories: ReadonlyMap<number, PartitionMemory>;
  readonly gaps: readonly LossRow[];
};

export type LanePolicy = { readonly acks: Acks; readonly priority: number; readonly catchUp: CatchUp };

export function newFamily(base: LaneSource, policy: LanePolicy, remembered: RememberedLanes): PartitionLanes {
  const { acks, priority, catchUp } = policy;
  const { windows, memories, gaps } = remembered;
  const family: PartitionLanes = { base, catchUp, windows, lanes: [], division: undefined };
  family.lanes = attachedWindows(windows).map((window) => {
    return newLane({ family, window, acks, priority, memory: memories.get(laneIdOf(base.id, window)), gaps: [] });
  });
  for (const lane of family.lanes) lane.gaps = gapsOf(lane, gaps);
  return family;
}

/** What a log that lost its tail says of offsets beyond the window concerns other lanes. */
function withinWindow(memory: PartitionMemory, window: LaneWindow): PartitionMemory {
  const { settled, fence, sentEnd } = memory;
  return {
    ...memory,
    settled: clamp(settled, window),
    fence: fence === undefined ? undefined : clamp(fence, window),
    sentEnd: clamp(sentEnd, window),
  };
}

/** The lane covers another range from here on. */
export function moveLane(lane: Lane, window: LaneWindow): void {
  lane.window = window;
  lane.source = viewOf(lane.family.base, window);
}

function viewOf(base: LaneSource, window: LaneWindow): LaneSource {
  return window.number === 0 && window.end === Infinity ? base : new WindowView(base, window);
}

export function placesOf({ lanes }: PartitionLanes): WindowPlace[] {
  return lanes.map(({ window: { start, end }, memory: { settled } }) => ({ start, end, settled }));
}

/** What the log need not keep any more. */
export function trimEndOf(family: PartitionLanes): Offset {
  return settledEnd(placesOf(family));
}

/** Newer records go first. */
export function isHistory({ window }: Lane): boolean {
  return window.end !== Infinity;
}

/** Of the rows of a partition, those that the lane declares. */
export function gapsOf({ family, window }: Lane, rows: readonly LossRow[]): readonly LossRow[] {
  const [oldest] = family.lanes;
  if (oldest === undefined || family.lanes.length === 1) return rows;
  const start = oldest.window === window ? 0 : window.start;
  return rows.filter(({ from }) => from >= start && from < window.end);
}

/** The connection is gone, and with it what was on its way. */
export function disconnectLane(lane: Lane): void {
  lane.family.division = undefined;
  lane.phase = "unknown";
  lane.isAtHub = false;
  lane.gaps = [...lane.inFlight.flatMap((item) => (item.kind === "gap" ? [item.gap] : [])), ...lane.gaps];
  lane.inFlight = [];
  lane.placement = undefined;
  lane.isReading = false;
  lane.unsent = undefined;
  lane.isIsolating = false;
  lane.remedy = undefined;
}

/** Nothing of the lane can still come back, neither from the hub nor from the log. */
export function isQuiet(lane: Lane): boolean {
  return lane.inFlight.length === 0 && !lane.isReading;
}

export function batchesInFlight(lane: Lane): number {
  return lane.inFlight.reduce((count, { kind }) => count + (kind === "batch" ? 1 : 0), 0);
}

/** Bytes that wait in the log, estimated from the share of the stored records that wait. */
export function waitingBytes({ source, next }: Lane): number {
  const stored = source.logEndOffset - source.logStartOffset;
  return stored <= 0 ? 0 : (source.bytes * (source.logEndOffset - next)) / stored;
}
