/**
 * The uplink's state over all connections: events in, effects out; no socket, no disk, no clock.
 *
 *   offline ──opened──▶ greeting ──welcome──▶ connected ──closed──▶ offline
 *                       hello                 announce, produce, gap
 *
 * The welcome says where the hub stands; resume.ts decides for each partition where to go on; what that changes is on
 * disk before anything of it is sent. Topics made later are announced and go the same way.
 */
import { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import { invariant, unreachable } from "../../shared/invariant.ts";
import { PRODUCER_EPOCH_MAX } from "../../shared/uplink/frames.ts";
import type { Announced, HelloTopic, HubFrame, UplinkPosition } from "../../shared/uplink/frames.ts";
import type { LossRow } from "../ledger/loss-row.ts";
import { askPage } from "./ask-page.ts";
import type { AdoptChange } from "./epoch-table.ts";
import { disconnectLane, newLane } from "./lane.ts";
import type { Lane, LaneSource, Placement } from "./lane.ts";
import { LaneSender } from "./lane-sender.ts";
import { planResume, rememberEpoch } from "./resume.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";
import type { LostRange, ResumeCause, ResumePlan } from "./resume.ts";
import type { CoreParts, UplinkEffect, UplinkEvent } from "./uplink-events.ts";

export type UplinkPhase = "offline" | "greeting" | "connected" | "renewing";

export class UplinkCore {
  readonly #parts: CoreParts;
  readonly #lanes = new Map<number, Lane>();
  readonly #sender: LaneSender;
  #phase: UplinkPhase = "offline";
  #isAnnouncing = false;
  /** There may be lanes about which the hub was not asked. */
  #hasUnknown = false;
  /** Epochs ran out while batches were in flight; at the next welcome there are none. */
  #mustRenew = false;
  /** Heard so far for it. */
  #plansToRenew: readonly LanePlan[] = [];
  #effects: UplinkEffect[] = [];

  constructor(parts: CoreParts) {
    this.#parts = parts;
    this.#sender = new LaneSender({
      options: parts.options,
      emit: (effect) => this.#effects.push(effect),
      lose: (lane, range) => this.#lose(lane, range),
    });
  }

  get phase(): UplinkPhase {
    return this.#phase;
  }

  get inFlightCount(): number {
    return this.#sender.inFlightCount;
  }

  get inFlightBytes(): number {
    return this.#sender.inFlightBytes;
  }

  /** Nothing is being read, sent or answered. */
  get isQuiet(): boolean {
    return this.#sender.isQuiet;
  }

  /** First record that is neither delivered nor declared lost; undefined for a partition not seen yet. */
  settled(laneId: number): Offset | undefined {
    return this.#lanes.get(laneId)?.memory.settled;
  }

  source(laneId: number): LaneSource {
    return this.#lane(laneId).source;
  }

  handle(event: UplinkEvent): readonly UplinkEffect[] {
    this.#effects = [];
    this.#apply(event);
    if (this.#phase === "connected") {
      this.#announce();
      this.#sender.pump();
    }
    return this.#effects;
  }

  #apply(event: UplinkEvent): void {
    switch (event.type) {
      case "sources":
        return this.#onSources(event.sources);
      case "opened":
        return this.#onOpened();
      case "frame":
        return this.#onFrame(event.frame);
      case "adopted":
        for (const { laneId, gaps } of event.adopted) this.#onAdopted(this.#lane(laneId), gaps);
        return;
      case "gaps":
        return this.#sender.onGaps(this.#lane(event.laneId), event.gaps);
      case "renewed":
        return this.#onRenewed();
      case "read":
        return this.#sender.onRead(this.#lane(event.laneId), event.batch);
      case "read-failed":
        return this.#sender.onReadFailed(this.#lane(event.laneId));
      case "written":
        return this.#sender.onWritten(event.id, event.bytes);
      case "timer":
        return this.#onTimer(this.#lane(event.laneId));
      case "drain":
        this.#sender.isDraining = true;
        return;
      case "closed":
        return this.#onClosed();
      default:
        return unreachable(event);
    }
  }

  #lane(laneId: number): Lane {
    const lane = this.#lanes.get(laneId);
    invariant(lane !== undefined, `no lane ${laneId}`);
    return lane;
  }

  #onSources(sources: Iterable<LaneSource>): void {
    for (const source of sources) {
      const known = this.#lanes.get(source.id);
      if (known !== undefined) {
        this.#sender.wake(known);
        continue;
      }
      const start = { ...this.#parts.policyOf(source.topic), ...this.#parts.remembered(source) };
      this.#lanes.set(source.id, newLane(source, start));
      this.#hasUnknown = true;
    }
  }

  #onOpened(): void {
    invariant(this.#phase === "offline", "two connections at once");
    this.#phase = "greeting";
    const { agent, version, producerId, instance } = this.#parts.identity();
    const topics = this.#ask();
    this.#emit({ type: "send", frame: { t: "hello", agent, version, instance, producer: producerId, topics } });
  }

  #onClosed(): void {
    this.#phase = "offline";
    this.#isAnnouncing = false;
    this.#plansToRenew = [];
    for (const lane of this.#lanes.values()) disconnectLane(lane);
    this.#sender.open(0);
  }

  #onTimer(lane: Lane): void {
    if (lane.phase !== "waiting") return;
    // A partition that the hub did not have is asked for again; one that was refused goes on.
    lane.phase = lane.isAtHub ? "active" : "unknown";
    if (!lane.isAtHub) this.#hasUnknown = true;
    this.#sender.wake(lane);
  }

  #onFrame(frame: HubFrame): void {
    if ((frame.t === "welcome") !== (this.#phase === "greeting")) {
      if (this.#phase === "renewing") return;
      return this.#disconnect(new StreamError("PROTOCOL_VIOLATION", `the hub sent ${frame.t} out of turn`));
    }
    switch (frame.t) {
      case "welcome":
        this.#phase = "connected";
        this.#sender.open(frame.credit);
        return this.#onAnswered(frame);
      case "announced":
        this.#isAnnouncing = false;
        return this.#onAnswered(frame);
      case "ack":
        return this.#sender.onAck(frame.id);
      case "nack":
        return this.#sender.onNack(frame);
      case "credit":
        return this.#sender.grant(frame.bytes);
      default:
        return unreachable(frame);
    }
  }

  /** One at a time: what is made meanwhile goes into the next. */
  #announce(): void {
    if (this.#isAnnouncing || !this.#hasUnknown) return;
    const topics = this.#ask();
    if (topics.length === 0) return;
    this.#isAnnouncing = true;
    this.#emit({ type: "send", frame: { t: "announce", topics } });
  }

  /** The topics of lanes about which the hub was not asked yet; those that are too many now are for later. */
  #ask(): HelloTopic[] {
    this.#hasUnknown = false;
    const counts = new Map<string, number>();
    for (const { phase, source } of this.#lanes.values()) if (phase === "unknown") counts.set(source.topic, 1);
    if (counts.size === 0) return [];
    for (const { source } of this.#lanes.values()) {
      const count = counts.get(source.topic);
      if (count !== undefined) counts.set(source.topic, Math.max(count, source.partition + 1));
    }
    const page = askPage(counts);
    this.#hasUnknown = page.size < counts.size;
    for (const lane of this.#lanes.values()) {
      if (lane.phase === "unknown" && page.has(lane.source.topic)) lane.phase = "asked";
    }
    return [...page].map(([name, partitions]) => ({ name, partitions }));
  }

  #onAnswered({ topics, positions }: Pick<Announced, "topics" | "positions">): void {
    const hubCounts = new Map(topics.map(({ name, partitions }) => [name, partitions]));
    const heard = new Map<string, UplinkPosition>(positions.map((each) => [keyOf(each), each]));
    const ownCounts = new Map<string, number>();
    const plans: LanePlan[] = [];
    for (const lane of this.#lanes.values()) {
      const { topic, partition, logStartOffset } = lane.source;
      ownCounts.set(topic, Math.max(ownCounts.get(topic) ?? 0, partition + 1));
      if (lane.phase !== "asked") continue;
      lane.isAtHub = partition < (hubCounts.get(topic) ?? 0);
      const position = heard.get(keyOf(lane.source));
      if (lane.isAtHub) {
        const plan = planResume(lane.memory, logStartOffset, position);
        plans.push({ lane, plan, hubRecords: position?.records ?? 0, hubLost: position?.lost ?? 0 });
      } else this.#askLater(lane);
    }
    for (const [topic, count] of hubCounts) {
      if (count > (ownCounts.get(topic) ?? Infinity)) this.#emit({ type: "partition-count", topic, count });
    }
    this.#resume(plans);
  }

  #askLater(lane: Lane): void {
    const { topic, partition } = lane.source;
    lane.phase = "waiting";
    const delayMs = this.#parts.options.refusedMsMax;
    this.#emit({ type: "timer", laneId: lane.source.id, delayMs });
    this.#note("warn", "the hub does not have this partition; its records are kept", { topic, partition, delayMs });
  }

  #resume(all: readonly LanePlan[]): void {
    const plans = this.#parts.options.isLogReadOnly === true ? this.#withoutNewEpochs(all) : all;
    if (this.#mustRenew || plans.some(({ plan }) => plan.epoch > PRODUCER_EPOCH_MAX)) return this.#renew(plans);
    const changes: AdoptChange[] = [];
    for (const { lane, plan, ...hub } of plans) {
      this.#noteResume(lane, plan);
      const { settled, fence } = lane.memory;
      const isOnDisk = plan.newEpoch === undefined && fence === undefined && plan.next >= settled;
      const change = this.#adopt(lane, plan, recountCauses.has(plan.cause) ? hub.hubRecords : undefined);
      const hubRecords = plan.cause === "continued" ? hub.hubRecords : undefined;
      this.#emit({ ...hub, type: "reconcile", laneId: lane.source.id, settled: plan.next, hubRecords });
      if (isOnDisk) this.#onAdopted(lane, lane.gaps);
      else changes.push(change);
    }
    if (changes.length > 0) this.#emit({ type: "adopt", changes });
  }

  #withoutNewEpochs(plans: readonly LanePlan[]): LanePlan[] {
    return plans.filter(({ lane, plan }) => {
      if (plan.newEpoch === undefined) return true;
      this.#leaveUntilWritable(lane, plan.cause);
      return false;
    });
  }

  /** Until the next connection at the least. */
  #leaveUntilWritable(lane: Lane, cause: ResumeCause | LossReason): void {
    const { topic, partition } = lane.source;
    lane.phase = "waiting";
    this.#note("warn", "the partition cannot be forwarded while the disk takes no writes", { topic, partition, cause });
  }

  /** Until the change is on disk, nothing of the lane is sent and nothing of the plan is remembered. */
  #adopt(lane: Lane, plan: Placement, hubRecords?: number): AdoptChange {
    const { topic, partition, id: partitionId } = lane.source;
    const { epoch, next, newEpoch, gaps } = plan;
    const { epochs } = lane.memory;
    const remembered = newEpoch === undefined ? epochs : rememberEpoch(epochs, newEpoch);
    const forgottenEpoch = epochs.find((each) => !remembered.includes(each))?.epoch;
    lane.phase = "adopting";
    lane.placement = { ...plan, memory: { settled: next, fence: undefined, sentEnd: next, epochs: remembered } };
    return { partitionId, topic, partition, settled: next, newEpoch, forgottenEpoch, gaps, epoch, hubRecords };
  }

  #onAdopted(lane: Lane, gaps: readonly LossRow[]): void {
    const { placement } = lane;
    invariant(placement !== undefined, "nothing was to be adopted");
    lane.placement = undefined;
    lane.memory = placement.memory;
    lane.epoch = placement.epoch;
    lane.firstOffset = placement.firstOffset;
    lane.next = placement.next;
    lane.isFresh = true;
    lane.gaps = gaps;
    lane.phase = "active";
    this.#settleAdopted(lane, placement.newEpoch === undefined);
    this.#sender.wake(lane);
  }

  /** What the hub has may still be in the log: its answer, or the trim, did not come before the last end. */
  #settleAdopted(lane: Lane, isContinued: boolean): void {
    const { source, acks, memory, countedEnd } = lane;
    const { settled } = memory;
    const records = isContinued ? Math.max(0, settled - countedEnd) : 0;
    lane.countedEnd = Math.max(countedEnd, settled);
    if (settled <= source.logStartOffset) return;
    this.#emit({ type: "settled", laneId: source.id, settled, delivered: { records, acks } });
  }

  /** The records of `range` never reach the hub; the lane goes on behind them in a new epoch. */
  #lose(lane: Lane, range: LostRange): void {
    if (this.#parts.options.isLogReadOnly === true) return this.#leaveUntilWritable(lane, range.reason);
    const epoch = lane.epoch + 1;
    const firstOffset = range.to + 1;
    const newEpoch = { epoch, firstOffset, previousEnd: range.from };
    if (epoch > PRODUCER_EPOCH_MAX) return this.#renewAtNextWelcome();
    const { topic, partition } = lane.source;
    this.#note("warn", "records are lost; the gap is declared to the hub", { topic, partition, ...range });
    const plan = { epoch, firstOffset, next: firstOffset, newEpoch, gaps: [range] };
    this.#emit({ type: "adopt", changes: [this.#adopt(lane, plan)] });
  }

  /**
   * Under a new producer id every partition begins with epoch 0, behind what the old one has delivered. So it takes a
   * moment at which that is known for all of them: the welcome, and the answers about those that did not fit into it.
   */
  #renew(newPlans: readonly LanePlan[]): void {
    this.#mustRenew = true;
    for (const { lane } of newPlans) lane.phase = "adopting";
    this.#plansToRenew = [...this.#plansToRenew, ...newPlans];
    if ([...this.#lanes.values()].some(({ phase }) => phase === "unknown" || phase === "asked")) return;
    const plans = this.#plansToRenew;
    const planned = new Set(plans.map(({ lane }) => lane));
    const isAllKnown = [...this.#lanes.values()].every((lane) => planned.has(lane) || !lane.isAtHub);
    if (!isAllKnown) return this.#renewAtNextWelcome();
    this.#phase = "renewing";
    this.#emit({ type: "renew", changes: plans.map(({ lane, plan }) => this.#adopt(lane, plan)) });
  }

  #onRenewed(): void {
    this.#mustRenew = false;
    for (const lane of this.#lanes.values()) {
      lane.memory = { ...(lane.placement?.memory ?? lane.memory), epochs: [] };
      lane.placement = undefined;
    }
    const text = "the producer epochs are used up; the uplink goes on under a new producer id";
    this.#disconnect(new StreamError("INVALID_PRODUCER_EPOCH", text));
  }

  #renewAtNextWelcome(): void {
    this.#mustRenew = true;
    this.#disconnect(new StreamError("INVALID_PRODUCER_EPOCH", "the producer epochs are used up"));
  }

  #noteResume(lane: Lane, { cause, epoch, next, gaps }: ResumePlan): void {
    if (cause === "continued" || cause === "first") return;
    const { topic, partition } = lane.source;
    this.#note("warn", resumeTexts[cause], { topic, partition, cause, epoch, next, gaps });
  }

  #disconnect(error: StreamError): void {
    this.#emit({ type: "disconnect", error });
  }

  #note(level: "info" | "warn", text: string, fields: Readonly<Record<string, unknown>>): void {
    this.#emit({ type: "note", level, text, fields });
  }

  #emit(effect: UplinkEffect): void {
    this.#effects.push(effect);
  }
}

type LanePlan = {
  readonly lane: Lane;
  readonly plan: ResumePlan;
  /** Stored there of this producer, and in its ledger. */
  readonly hubRecords: number;
  readonly hubLost: number;
};

/** One side has lost what the other counts: from here on they count from what the hub has. */
const recountCauses: ReadonlySet<ResumeCause> = new Set(["first", "rewound", "tail-lost", "foreign-epoch"]);

const resumeTexts = {
  rewound: "the hub has lost records it had; what is still here is sent again, the rest is declared lost",
  overflow: "records made room for newer ones before the hub had them; the gap is declared",
  "tail-lost": "the hub has records that this log has lost; a new epoch begins behind what is here",
  "foreign-epoch": "the hub knows a newer epoch: this data was restored from an older copy, or runs twice",
} as const;

function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
