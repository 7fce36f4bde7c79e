/**
 * One partition of the agent's log on its way to the hub, while a connection lasts.
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
import type { LostRange, PartitionMemory, ResumePlan } from "./resume.ts";

/** A partition of the log: a view that moves with the log. */
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

export type LanePhase = "unknown" | "asked" | "adopting" | "active" | "held" | "waiting";

export type Lane = {
  readonly source: LaneSource;
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
  readonly acks: Acks;
  readonly priority: number;
  readonly memory: PartitionMemory | undefined;
  readonly gaps: readonly LossRow[];
};

export function newLane(source: LaneSource, { acks, priority, memory = emptyMemory, gaps }: LaneStart): Lane {
  return {
    source,
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

/** The connection is gone, and with it what was on its way. */
export function disconnectLane(lane: Lane): void {
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
