/**
 * The uplink's state over all connections: events in, effects out; no socket, no disk, no clock.
 *
 *   offline ──opened──▶ greeting ──welcome──▶ connected ──closed──▶ offline
 *                       hello                 announce, produce, gap
 *
 * The welcome says where the hub stands; resume.ts decides for each partition where to go on; what that changes is on
 * disk before anything of it is sent. What an outage has gathered may then become history, behind which new records do
 * not wait (division.ts). Topics made later are announced and go the same way.
 */
import { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import { invariant, unreachable } from "../../shared/invariant.ts";
import { PRODUCER_EPOCH_MAX } from "../../shared/uplink/frames.ts";
import type { Announced, HelloTopic, HubFrame } from "../../shared/uplink/frames.ts";
import type { LossRow } from "../ledger/loss-row.ts";
import { askPage, unknownTopics } from "./ask-page.ts";
import type { AdoptChange, Recount } from "./epoch-table.ts";
import { applyDivision, beginWindow, liveLane, planDivision } from "./division.ts";
import {
  booksOf,
  isForgetful,
  isOnDiskAlready,
  mayDivide,
  memoryAfter,
  planOf,
  plansThatWait,
  positionKey,
  positionsByLane,
  reckon,
  resumeTexts,
  sortedPlans,
} from "./lane-plans.ts";
import type { LanePlan, PositionsByLane } from "./lane-plans.ts";
import { disconnectLane, gapsOf, newFamily, placesOf, trimEndOf } from "./lane.ts";
import type { Lane, LaneSource, PartitionLanes, Placement } from "./lane.ts";
import { LaneSender } from "./lane-sender.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";
import type { LostRange, ResumeCause, ResumePlan } from "./resume.ts";
import type { CoreParts, UplinkEffect, UplinkEvent } from "./uplink-events.ts";
import { laneIdOf, ownSpans, partitionIdOf, slotOf, unheardPlaces } from "./windows.ts";
import type { WindowPlace } from "./windows.ts";

/** In the log, at each division of a partition. */
export const DIVISION_NOTE = "what the outage has gathered goes behind new records";

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
  settled(partitionId: number): Offset | undefined {
    const lane = this.#lanes.get(partitionId);
    return lane === undefined ? undefined : trimEndOf(lane.family);
  }

  /** How far each lane of the partition has come, oldest first. */
  places(partitionId: number): readonly WindowPlace[] {
    const lane = this.#lanes.get(partitionId);
    return lane === undefined ? unheardPlaces : placesOf(lane.family);
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
        return this.#onAllAdopted(event.adopted);
      case "gaps":
        for (const lane of this.#lane(event.laneId).family.lanes) this.#sender.onGaps(lane, event.gaps);
        return;
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
        for (const lane of known.family.lanes) this.#sender.wake(lane);
        continue;
      }
      const { lanes } = newFamily(source, this.#parts.policyOf(source.topic), this.#parts.remembered(source));
      for (const lane of lanes) this.#lanes.set(lane.source.id, lane);
      this.#hasUnknown = true;
    }
  }

  #onOpened(): void {
    invariant(this.#phase === "offline", "two connections at once");
    this.#phase = "greeting";
    const { agent, version, producerId, sideProducers, instance } = this.#parts.identity();
    const aside = [...this.#lanes.values()].some(mayDivide) ? { sideProducers } : {};
    const topics = this.#ask();
    this.#emit({
      type: "send",
      frame: { t: "hello", agent, version, instance, producer: producerId, ...aside, topics },
    });
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
    if (lane.isAtHub) {
      lane.phase = "active";
      return this.#sender.wake(lane);
    }
    for (const each of lane.family.lanes) if (each.phase === "waiting" && !each.isAtHub) each.phase = "unknown";
    this.#hasUnknown = true;
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
    const counts = unknownTopics(this.#lanes);
    if (counts.size === 0) return [];
    const page = askPage(counts);
    this.#hasUnknown = page.size < counts.size;
    for (const lane of this.#lanes.values()) {
      if (lane.phase === "unknown" && page.has(lane.source.topic)) lane.phase = "asked";
    }
    return [...page].map(([name, partitions]) => ({ name, partitions }));
  }

  #onAnswered({ topics, positions }: Pick<Announced, "topics" | "positions">): void {
    const hubCounts = new Map(topics.map(({ name, partitions }) => [name, partitions]));
    const heard = positionsByLane(positions, this.#parts.identity().sideProducers);
    const ownCounts = new Map<string, number>();
    const plans: LanePlan[] = [];
    for (const lane of this.#lanes.values()) {
      const { topic, partition } = lane.source;
      ownCounts.set(topic, Math.max(ownCounts.get(topic) ?? 0, partition + 1));
      if (lane.phase !== "asked") continue;
      lane.isAtHub = partition < (hubCounts.get(topic) ?? 0);
      if (lane.isAtHub) plans.push(planOf(lane, heard.get(positionKey(lane.source, slotOf(lane.source.id)))));
      else this.#askLater(lane);
    }
    for (const [topic, count] of hubCounts) {
      if (count > (ownCounts.get(topic) ?? Infinity)) this.#emit({ type: "partition-count", topic, count });
    }
    this.#resume(plans, heard);
  }

  #askLater(lane: Lane): void {
    const { topic, partition } = lane.source;
    lane.phase = "waiting";
    const delayMs = this.#parts.options.refusedMsMax;
    this.#emit({ type: "timer", laneId: lane.source.id, delayMs });
    this.#note("warn", "the hub does not have this partition; its records are kept", { topic, partition, delayMs });
  }

  #resume(all: readonly LanePlan[], heard: PositionsByLane): void {
    const plans = this.#parts.options.isLogReadOnly === true ? this.#withoutNewEpochs(all) : all;
    if (this.#mustRenew || plans.some(({ plan }) => plan.epoch > PRODUCER_EPOCH_MAX)) return this.#renew(plans);
    const changes: AdoptChange[] = [];
    for (const [family, own] of Map.groupBy(plans, ({ lane }) => lane.family)) {
      invariant(own.length === family.lanes.length, "the lanes of a partition are resumed together");
      changes.push(...this.#resumePartition(family, sortedPlans(own), heard));
    }
    if (changes.length > 0) this.#emit({ type: "adopt", changes });
  }

  #withoutNewEpochs(plans: readonly LanePlan[]): LanePlan[] {
    const waiting = plansThatWait(plans);
    for (const [lane, cause] of waiting) this.#leaveUntilWritable(lane, cause);
    return plans.filter(({ lane }) => !waiting.has(lane));
  }

  /** Until the next connection at the least. */
  #leaveUntilWritable(lane: Lane, cause: ResumeCause | LossReason): void {
    const { topic, partition } = lane.source;
    lane.phase = "waiting";
    this.#note("warn", "the partition cannot be forwarded while the disk takes no writes", { topic, partition, cause });
  }

  /** What has to be on disk first. */
  #resumePartition(family: PartitionLanes, plans: readonly LanePlan[], heard: PositionsByLane): AdoptChange[] {
    for (const { lane, plan } of plans) this.#noteResume(lane, plan);
    const begun = this.#divide(family, plans, heard);
    const isOnDisk = begun === undefined && plans.every(isOnDiskAlready) && !plans.some(isForgetful);
    const { settled, hubLost, hubRecords, recount } = reckon(plans);
    const newest = plans.at(-1);
    const changes = plans.flatMap((each) => {
      const { lane, plan } = each;
      // Its slot begins another window.
      if (lane === begun?.lane) return [];
      return [this.#adopt(lane, plan, each === newest ? recount : undefined)];
    });
    this.#emit({ type: "reconcile", laneId: family.base.id, settled, hubRecords, hubLost });
    if (begun !== undefined) {
      const windows = begun.lane.family.division?.division.windows;
      return [...changes, { ...this.#adopt(begun.lane, begun.plan), windows }];
    }
    if (!isOnDisk) return changes;
    for (const { lane } of plans) this.#place(lane, lane.gaps);
    for (const { lane, plan } of plans) this.#settleAdopted(lane, plan.newEpoch === undefined);
    return [];
  }

  /** What waits becomes history; the plan is that of the new window. */
  #divide(family: PartitionLanes, plans: readonly LanePlan[], heard: PositionsByLane): Begun | undefined {
    // A division has to be on disk before anything of it is sent.
    if (this.#parts.options.isLogReadOnly === true) return undefined;
    const division = planDivision(family, plans, this.#parts.options);
    const newest = plans.at(-1);
    if (division === undefined || newest === undefined) return undefined;
    const slot = slotOf(laneIdOf(family.base.id, division.live));
    const plan = beginWindow(division.freed, division.live.start, heard.get(positionKey(family.base, slot)));
    if (plan.epoch > PRODUCER_EPOCH_MAX) {
      // The next welcome renews them all.
      this.#mustRenew = true;
      return undefined;
    }
    const lane = liveLane(family, newest.lane, division);
    family.division = { lane, division };
    const { topic, partition } = family.base;
    const records = division.live.start - newest.plan.next;
    this.#note("info", DIVISION_NOTE, { topic, partition, records });
    return { lane, plan };
  }

  /** Until the change is on disk, nothing of the lane is sent and nothing of the plan is remembered. */
  #adopt(lane: Lane, plan: Placement, recount?: Recount): AdoptChange {
    const { topic, partition, id: laneId } = lane.source;
    const { division } = lane.family.division ?? {};
    const { epoch, next, newEpoch, gaps } = plan;
    const { epochs } = lane.memory;
    const memory = memoryAfter(plan, lane.memory);
    const forgottenEpoch = epochs.find((each) => !memory.epochs.includes(each))?.epoch;
    const own = ownSpans(division?.windows ?? lane.family.windows, slotOf(laneId));
    lane.phase = "adopting";
    lane.placement = { ...plan, memory };
    const at = { laneId, topic, partition, own, settled: next, windows: undefined, recount };
    return { ...at, newEpoch, forgottenEpoch, gaps, epoch };
  }

  /** Lanes of one partition go on together: how far the log may be trimmed depends on all of them. */
  #onAllAdopted(adopted: readonly { readonly laneId: number; readonly gaps: readonly LossRow[] }[]): void {
    for (const { laneId } of adopted) {
      const { family } = this.#lane(partitionIdOf(laneId));
      if (family.division === undefined) continue;
      const { lane, division } = family.division;
      applyDivision(family, lane, division);
      family.division = undefined;
      this.#lanes.set(lane.source.id, lane);
    }
    const placed = adopted.map(({ laneId, gaps }) => {
      const lane = this.#lane(laneId);
      const isContinued = lane.placement?.newEpoch === undefined;
      this.#place(lane, gaps);
      return { lane, isContinued };
    });
    for (const { lane, isContinued } of placed) this.#settleAdopted(lane, isContinued);
  }

  #place(lane: Lane, gaps: readonly LossRow[]): void {
    const { placement } = lane;
    invariant(placement !== undefined, "nothing was to be adopted");
    lane.placement = undefined;
    lane.memory = placement.memory;
    lane.epoch = placement.epoch;
    lane.firstOffset = placement.firstOffset;
    lane.next = placement.next;
    lane.isFresh = true;
    lane.gaps = gapsOf(lane, gaps);
    lane.phase = "active";
    this.#sender.wake(lane);
  }

  /** What the hub has may still be in the log: its answer, or the trim, did not come before the last end. */
  #settleAdopted(lane: Lane, isContinued: boolean): void {
    const { source, acks, memory, countedEnd } = lane;
    const { settled } = memory;
    const records = isContinued ? Math.max(0, settled - countedEnd) : 0;
    lane.countedEnd = Math.max(countedEnd, settled);
    if (settled <= source.logStartOffset) return;
    this.#emit({
      type: "settled",
      laneId: source.id,
      settled,
      delivered: { records, acks },
      trimEnd: trimEndOf(lane.family),
    });
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
    const changes = [...Map.groupBy(plans, ({ lane }) => lane.family).values()].flatMap((own) => {
      // The new producers have stored nothing yet.
      const recount = { settled: booksOf(own).settled, hubRecords: 0, isForgetful: false };
      return sortedPlans(own).map(({ lane, plan }) => this.#adopt(lane, plan, recount));
    });
    this.#emit({ type: "renew", changes });
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

type Begun = { readonly lane: Lane; readonly plan: ResumePlan };
