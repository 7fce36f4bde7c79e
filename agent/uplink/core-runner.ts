/**
 * Carries the core's effects out: to the log, to the tables, to the connection; and tells it what came of them.
 *
 * Persisted, then remembered, then told to the hub: an epoch or a gap is on disk before the core hears so, and only then
 * something of it is sent.
 */
import { randomBytes } from "node:crypto";
import type { ClockSession } from "../../shared/batch/provisional-time.ts";
import { stampProducer } from "../../shared/batch/record-batch.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import { invariant, unreachable } from "../../shared/invariant.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import { HISTORY_HEADER } from "../../shared/record.ts";
import { releaseMemory } from "../../shared/release-memory.ts";
import type { AgentFrame, HubFrame } from "../../shared/uplink/frames.ts";
import { Cursors } from "./cursors.ts";
import type { DeliveredCounts } from "./cursors.ts";
import type { EpochStore, UplinkLog } from "./epoch-store.ts";
import type { AdoptChange } from "./epoch-table.ts";
import { partitionIdOf, slotOf } from "./windows.ts";
import type { WindowPlace } from "./windows.ts";
import type { LanePolicy } from "./lane.ts";
import { UplinkCore } from "./uplink.ts";
import type { OutgoingBatch, UplinkEffect, UplinkEvent } from "./uplink-events.ts";

export type CoreRunnerParts = {
  readonly log: UplinkLog;
  readonly store: EpochStore;
  readonly logger: Logger;
  readonly agentName: string;
  readonly version: string;
  readonly policyOf: (topic: string) => LanePolicy;
  readonly onPartitionCount: (topic: string, count: number) => Promise<unknown>;
  readonly batchBytesMax: number;
  readonly inFlightBytesMax: number;
  readonly isLogReadOnly?: boolean | undefined;
  /** To make real timestamps of provisional ones. */
  readonly clockSessions: () => readonly ClockSession[];
  readonly historyPercent: number;
  /** Delivered records that are removed together (cursors.ts). */
  readonly trimBytes: number;
};

/** The connection as the runner needs it; both calls do nothing once it has ended. */
export interface FrameSink {
  /** Keeps nothing of the frame. */
  send(frame: AgentFrame, onWritten?: () => void): void;
  fail(error: StreamError): void;
}

/** Small ones are answered together, and so go in one pack; of large ones the log reads the next while one is being sent. */
const READS_MAX = 4;
const INSTANCE_BYTES = 8;
/** What waits in the process for a slow link; the kernel's own buffer comes on top. */
const SOCKET_BYTES_MAX = 1024 * 1024;
const REFUSED_MS_MIN = 1_000;
const REFUSED_MS_MAX = 30_000;
/** Less is sent in one or two batches: dividing gains nothing. */
export const HISTORY_RECORDS_MIN = 1000;
export const HISTORY_BYTES_MIN = 1024 * 1024;
const HISTORY_MARK = { name: HISTORY_HEADER, value: "true" } as const;

export class CoreRunner {
  readonly #parts: CoreRunnerParts;
  readonly #core: UplinkCore;
  readonly #cursors: Cursors;
  readonly #partitions = new Map<number, LogPartition>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #sink: FrameSink | undefined;
  /** Work on the disk, in its order. */
  #persisting: Promise<void> = Promise.resolve();

  constructor(parts: CoreRunnerParts) {
    const { log, store, logger, agentName: agent, version, policyOf, trimBytes } = parts;
    const { batchBytesMax, inFlightBytesMax, historyPercent } = parts;
    this.#parts = parts;
    const instance = randomBytes(INSTANCE_BYTES).toString("hex");
    this.#cursors = new Cursors({ log, store, logger, trimBytes });
    this.#core = new UplinkCore({
      identity: () => ({ agent, version, instance, producerId: store.producerId, sideProducers: store.sideProducers }),
      policyOf,
      remembered: ({ id, topic, partition }) => ({
        windows: store.windows.get(id) ?? [],
        memories: store.memories,
        gaps: store.ledger.open({ topic, partition }),
      }),
      options: {
        batchBytesMax,
        inFlightBytesMax,
        readsMax: READS_MAX,
        socketBytesMax: SOCKET_BYTES_MAX,
        refusedMsMin: REFUSED_MS_MIN,
        refusedMsMax: REFUSED_MS_MAX,
        isLogReadOnly: parts.isLogReadOnly,
        historyPercent,
        historyRecordsMin: HISTORY_RECORDS_MIN,
        historyBytesMin: HISTORY_BYTES_MIN,
      },
    });
    for (const topic of log.topics.values()) this.addSources(topic.partitions);
    store.ledger.onOpen((at) => this.#declare(at));
  }

  get core(): Pick<UplinkCore, "phase" | "isQuiet" | "inFlightCount" | "inFlightBytes"> {
    return this.#core;
  }

  delivered(): ReadonlyMap<string, DeliveredCounts> {
    return this.#cursors.delivered();
  }

  places(partition: LogPartition): readonly WindowPlace[] {
    return this.#core.places(partition.id);
  }

  settled(partition: LogPartition): Offset {
    return this.#core.settled(partition.id) ?? 0;
  }

  /** What has changed. With a partition come the others of its topic: they get their epochs before they have records. */
  addSources(changed: readonly LogPartition[]): void {
    const unknown = changed.filter(({ id }) => !this.#partitions.has(id));
    const topics = new Set(unknown.map(({ topic }) => topic));
    const siblings = [...topics].flatMap((topic) => this.#parts.log.topics.get(topic)?.partitions ?? []);
    const sources = unknown.length === 0 ? changed : [...new Set([...changed, ...siblings])];
    for (const partition of sources) this.#partitions.set(partition.id, partition);
    this.#dispatch({ type: "sources", sources });
  }

  opened(sink: FrameSink): void {
    this.#sink = sink;
    this.#dispatch({ type: "opened" });
  }

  frame(frame: HubFrame): void {
    this.#dispatch({ type: "frame", frame });
  }

  /** Reads nothing more; what is on its way is still answered. */
  drain(): void {
    this.#dispatch({ type: "drain" });
  }

  /** The connection has ended. The core hears of it after what was on its way to disk. */
  async closed(): Promise<void> {
    if (this.#sink === undefined) return;
    for (let seen; seen !== this.#persisting;) {
      seen = this.#persisting;
      await seen;
    }
    this.#sink = undefined;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#dispatch({ type: "closed" });
  }

  /** Writes the cursors down. */
  flush(): Promise<void> {
    return this.#cursors.flush();
  }

  #dispatch(event: UplinkEvent): void {
    for (const effect of this.#core.handle(event)) this.#carryOut(effect);
  }

  #carryOut(effect: UplinkEffect): void {
    switch (effect.type) {
      case "send":
        return this.#sink?.send(effect.frame);
      case "produce":
        return this.#produce(effect.produce);
      case "read":
        return void this.#read(effect);
      case "adopt":
        return this.#persist(() => this.#adopt(effect.changes));
      case "renew":
        return this.#persist(() => this.#renew(effect.changes));
      case "settled":
        return this.#cursors.settle(this.#partition(effect.laneId), effect);
      case "gap-settled":
        return this.#persist(() => this.#parts.store.ledger.confirm(effect.gapId, effect.records));
      case "reconcile":
        return this.#reconcile(effect);
      case "timer":
        return this.#startTimer(effect.laneId, effect.delayMs);
      case "partition-count":
        return void this.#followPartitionCount(effect.topic, effect.count);
      case "disconnect":
        return this.#sink?.fail(effect.error);
      case "note":
        return this.#parts.logger[effect.level](effect.fields, effect.text);
      default:
        return unreachable(effect);
    }
  }

  #produce({ laneId, id, acks, epoch, baseSequence, batch }: OutgoingBatch): void {
    const { topic, partition } = this.#partition(laneId);
    const sink = this.#sink;
    const producerId = this.#parts.store.producerOf(slotOf(laneId));
    const bytes = batch.length;
    stampProducer(batch, { producerId, producerEpoch: epoch, baseSequence });
    sink?.send({ t: "produce", id, topic, partition, acks, batch }, () => {
      if (this.#sink === sink) this.#dispatch({ type: "written", id, bytes });
    });
    // The frame has a copy.
    releaseMemory(batch);
  }

  /** What comes back after the connection has ended belongs to nobody. */
  async #read({ laneId, offset, bytesMax, isSplit, end }: Extract<UplinkEffect, { type: "read" }>): Promise<void> {
    const { log, logger } = this.#parts;
    const sink = this.#sink;
    const partition = this.#partition(laneId);
    let result: UplinkEvent;
    try {
      const sessions = this.#parts.clockSessions();
      const what = { partition, offset, bytesMax, isSplit, sessions, ...asHistory(end) };
      const batch = await log.readMerged({ ...what, codec: "zstd" });
      result = { type: "read", laneId, batch };
    } catch (error) {
      const { code, message } = toStreamError(error);
      logger.warn({ code, reason: message, topic: partition.topic }, "the log could not be read; tried again later");
      result = { type: "read-failed", laneId };
    }
    if (this.#sink === sink) this.#dispatch(result);
  }

  async #adopt(changes: readonly AdoptChange[]): Promise<void> {
    const { store } = this.#parts;
    await store.adopt(changes);
    const adopted = changes.map(({ laneId, topic, partition }) => ({
      laneId,
      gaps: store.ledger.open({ topic, partition }),
    }));
    this.#dispatch({ type: "adopted", adopted });
  }

  /** The ledger has something to tell the hub. */
  #declare({ topic, partition }: { readonly topic: string; readonly partition: number }): void {
    const { log, store } = this.#parts;
    const source = log.topics.get(topic)?.partitions[partition];
    if (source === undefined) return;
    // Of a new topic, everything may be dropped and nothing ever stored.
    if (!this.#partitions.has(source.id)) return this.addSources([source]);
    this.#dispatch({ type: "gaps", laneId: source.id, gaps: store.ledger.open({ topic, partition }) });
  }

  #reconcile({ laneId, settled, hubRecords, hubLost }: Extract<UplinkEffect, { type: "reconcile" }>): void {
    const { store, logger } = this.#parts;
    const { topic, partition } = this.#partition(laneId);
    const at = { topic, partition };
    if (store.ledger.isForgotten(at, hubLost)) {
      logger.info(at, "the hub has other losses in its ledger than it has confirmed; they are declared again");
      this.#persist(() => store.ledger.declareAgain(at));
    }
    const records = hubRecords === undefined ? 0 : store.ledger.reconcile(at, settled, hubRecords);
    if (records === 0) return;
    const text = "the hub has stored another number of records than this agent has delivered";
    logger.error({ code: "UNRECONCILED", ...at, records }, text);
  }

  async #renew(changes: readonly AdoptChange[]): Promise<void> {
    await this.#parts.store.renewProducer(changes);
    this.#dispatch({ type: "renewed" });
  }

  /** One after the other. A failure ends the connection; the next welcome starts afresh from what is on disk. */
  #persist(work: () => Promise<void>): void {
    const sink = this.#sink;
    this.#persisting = this.#persisting.then(work).catch((error: unknown) => sink?.fail(toStreamError(error)));
  }

  async #followPartitionCount(topic: string, count: number): Promise<void> {
    const { log, logger, onPartitionCount } = this.#parts;
    try {
      await onPartitionCount(topic, count);
    } catch (error) {
      // The partitions there are go on; the next welcome asks again.
      const { code, message } = toStreamError(error);
      logger.warn({ code, reason: message, topic, count }, "the hub's partitions of a topic could not be made here");
      return;
    }
    this.addSources(log.topics.get(topic)?.partitions ?? []);
  }

  #startTimer(laneId: number, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#dispatch({ type: "timer", laneId });
    }, delayMs);
    this.#timers.add(timer);
  }

  #partition(laneId: number): LogPartition {
    const partition = this.#partitions.get(partitionIdOf(laneId));
    invariant(partition !== undefined, `no partition ${laneId}`);
    return partition;
  }
}

/** Records that newer ones have overtaken say so. */
function asHistory(end: Offset | undefined) {
  return end === undefined ? {} : { end, mark: HISTORY_MARK };
}
