/**
 * Agent and hub in one process without sockets: the agent's real core and tables on a virtual log, the hub's real session
 * on an engine in memory, and a link between them that carries frames as bytes, late, and loses what is on its way when
 * it is cut. A caller with a random number generator plays chance.
 */
import { balanceOf } from "../../agent/ledger/balance.ts";
import type { Balance } from "../../agent/ledger/balance.ts";
import { LossLedger } from "../../agent/ledger/loss-ledger.ts";
import { EpochStore, logEnds } from "../../agent/uplink/epoch-store.ts";
import type { CatchUp } from "../../agent/uplink/lane.ts";
import { slotOf } from "../../agent/uplink/windows.ts";
import { UplinkCore } from "../../agent/uplink/uplink.ts";
import type { UplinkEffect, UplinkEvent } from "../../agent/uplink/uplink-events.ts";
import type { AppendRequest, Appended } from "../../hub/engine/engine.ts";
import { AgentSession } from "../../hub/uplink/agent-session.ts";
import { InFlightPool } from "../../hub/uplink/in-flight-pool.ts";
import type { DeclaredLoss } from "../../hub/uplink/loss-ledger.ts";
import { AgentRegistry } from "../../hub/uplink/registry.ts";
import { readBatchHeader, stampProducer } from "../../shared/batch/record-batch.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { StreamError } from "../../shared/errors.ts";
import { invariant } from "../../shared/invariant.ts";
import { silentLogger } from "../../shared/logger.ts";
import type { Acks } from "../../shared/record.ts";
import { decodeAgentFrames, decodeHubFrame, encodeFrame, encodePackedFrame } from "../../shared/uplink/frame-codec.ts";
import { FramePacker, FrameUnpacker } from "../../shared/uplink/frame-pack.ts";
import type { Produce } from "../../shared/uplink/frames.ts";
import { UPLINK_PACKED_BATCH_BYTES_MAX } from "../../shared/uplink/frames.ts";
import { ledgerOf } from "./hub-ledger.ts";
import { MemoryEngine } from "./memory-engine.ts";
import type { EngineImage } from "./memory-engine.ts";
import { numbersOf, VirtualLog } from "./virtual-log.ts";
import { settled } from "./virtual-timers.ts";

export const TOPIC = "readings";
/** Small, so that a short outage divides a partition. */
const HISTORY_RECORDS_MIN = 6;

export type WorldOptions = {
  readonly random: () => number;
  readonly catchUp?: CatchUp;
  readonly acksOf: (topic: string) => Acks;
  /** What the engine answers instead of storing the batch. */
  readonly refusal?: (numbers: readonly number[]) => ErrorCode | undefined;
  readonly creditBytes?: number;
  /** What happens to the bytes of a message on its way. */
  readonly damage?: (message: Buffer) => void;
};

/** An engine that sometimes refuses. */
class UnwillingEngine extends MemoryEngine {
  refusal: WorldOptions["refusal"];

  override append(request: AppendRequest): Promise<Appended> {
    const code = this.refusal?.(numbersOf(request.batch));
    return code === undefined ? super.append(request) : Promise.reject(new StreamError(code, "refused by the test"));
  }
}

type Link = {
  readonly toHub: Buffer[];
  readonly toAgent: Buffer[];
  readonly session: AgentSession;
  /** Every other connection speaks packs. */
  readonly packer: FramePacker | undefined;
  readonly unpacker: FrameUnpacker | undefined;
};

const clock = { wallMs: () => 1_700_000_000_000, monotonicMs: () => 0 };

export class UplinkWorld {
  readonly log = new VirtualLog();
  readonly engine = new UnwillingEngine();
  readonly losses: DeclaredLoss[] = [];
  readonly notes: string[] = [];
  /** What the books of both sides did not agree on. */
  readonly differences: string[] = [];
  readonly #options: WorldOptions;
  #store!: EpochStore;
  #core!: UplinkCore;
  #link: Link | undefined;
  #removeListener: () => void = () => undefined;
  #persisting: Promise<void> = Promise.resolve();
  /** Timers of lanes; the test lets them fire when it likes. */
  #timers: number[] = [];
  /** Number of the connection, so that late answers of the disk find their way. */
  #connection = 0;
  #mustCut = false;
  #backup: { readonly engine: EngineImage; readonly losses: readonly DeclaredLoss[] } | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.engine.refusal = options.refusal;
  }

  get core(): UplinkCore {
    return this.#core;
  }

  get ledger(): LossLedger {
    return this.#store.ledger;
  }

  /** The books of a partition on both sides. */
  async books(partition: number): Promise<{ agent: Balance; hubAhead: number; hubStored: number; hubLost: number }> {
    const place = this.log.partition(TOPIC, partition);
    const at = { topic: TOPIC, partition };
    const producers = [this.producerId, ...this.#store.sideProducers];
    const positions = (await Promise.all(producers.map((each) => this.engine.producerPositions(each)))).flat();
    const declared = new Map(
      this.losses
        .filter((loss) => loss.partition === partition)
        .map(({ records, ...loss }) => [
          [loss.producerId, loss.epoch, loss.from, loss.entry, loss.reason].join(),
          records,
        ]),
    );
    return {
      agent: balanceOf(place, this.#core.places(place.id), this.ledger.totals(at)),
      hubAhead: this.ledger.hubAhead(at),
      hubStored: positions
        .filter((each) => each.topic === TOPIC && each.partition === partition)
        .reduce((sum, { records }) => sum + records, 0),
      hubLost: [...declared.values()].reduce((sum, records) => sum + records, 0),
    };
  }

  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  get producerId(): bigint {
    return this.#store.producerId;
  }

  /** The agent's process begins; what was in the memory of an earlier one is gone. */
  async startAgent({ isLogReadOnly = false } = {}): Promise<void> {
    await this.cut();
    this.#removeListener();
    const ledger = await LossLedger.load({ log: this.log, clock });
    const store = await EpochStore.open(this.log, ledger, logEnds(this.log));
    this.#store = store;
    this.#core = new UplinkCore({
      identity: () => ({
        agent: "agent",
        version: "1",
        instance: "1",
        producerId: store.producerId,
        sideProducers: store.sideProducers,
      }),
      policyOf: (topic) => ({
        acks: this.#options.acksOf(topic),
        priority: 0,
        catchUp: this.#options.catchUp ?? "in-order",
      }),
      remembered: ({ id, topic, partition }) => ({
        windows: store.windows.get(id) ?? [],
        memories: store.memories,
        gaps: ledger.open({ topic, partition }),
      }),
      options: {
        batchBytesMax: 1000,
        inFlightBytesMax: 10_000,
        readsMax: 2,
        socketBytesMax: 5_000,
        refusedMsMin: 1,
        refusedMsMax: 1,
        isLogReadOnly,
        historyPercent: 20,
        historyRecordsMin: HISTORY_RECORDS_MIN,
        historyBytesMin: 1000,
      },
    });
    for (const topic of this.log.topics.values()) this.#dispatch({ type: "sources", sources: topic.partitions });
    ledger.onOpen(({ topic, partition }) => {
      if (store !== this.#store) return;
      this.#dispatch({
        type: "gaps",
        laneId: this.log.partition(topic, partition).id,
        gaps: ledger.open({ topic, partition }),
      });
    });
    this.#removeListener = this.log.onCommit((changed) => this.#dispatch({ type: "sources", sources: changed }));
  }

  connect(): void {
    invariant(this.#link === undefined, "connected already");
    const toHub: Buffer[] = [];
    const toAgent: Buffer[] = [];
    const registry = new AgentRegistry(clock);
    const session = new AgentSession({
      engine: this.engine,
      ledger: ledgerOf(this.losses),
      logger: silentLogger(),
      clock,
      autoCreateTopics: true,
      creditBytes: this.#options.creditBytes ?? 4_000,
      inFlight: new InFlightPool(Infinity),
      address: "test",
      send: (frame) => toAgent.push(encodeFrame(frame)),
      refuse: () => {
        this.#mustCut = true;
      },
      introduce: async (introduction) => registry.connected(introduction),
    });
    this.#connection++;
    const hasPacks = this.#connection % 2 === 0;
    const packs = hasPacks ? { packer: new FramePacker(), unpacker: new FrameUnpacker() } : undefined;
    this.#link = { toHub, toAgent, session, packer: packs?.packer, unpacker: packs?.unpacker };
    this.#dispatch({ type: "opened" });
  }

  /** The hub's data as it is, its ledger included. */
  backUpHub(): void {
    this.#backup = { engine: this.engine.takeImage(), losses: [...this.losses] };
  }

  /** The hub starts again with what was backed up. False when nothing was. */
  async restoreHub(): Promise<boolean> {
    if (this.#backup === undefined) return false;
    await this.cut();
    this.engine.restore(this.#backup.engine);
    this.losses.splice(0, Infinity, ...this.#backup.losses);
    return true;
  }

  /** Everything on its way is lost, in either direction. */
  async cut(): Promise<void> {
    const link = this.#link;
    if (link === undefined) return;
    this.#mustCut = false;
    this.#link = undefined;
    this.#connection++;
    await link.session.stop();
    await this.#persisted();
    this.#timers = [];
    this.#dispatch({ type: "closed" });
  }

  /** One frame arrives, in one of the directions. False when none is on its way. */
  async deliver(): Promise<boolean> {
    if (this.#mustCut) await this.cut();
    const link = this.#link;
    if (link === undefined) return false;
    const toHub = link.toHub.length > 0 && (link.toAgent.length === 0 || this.#options.random() < 0.5);
    const message = toHub ? link.toHub.shift() : link.toAgent.shift();
    if (message === undefined) return false;
    this.#options.damage?.(message);
    try {
      if (toHub) for (const frame of decodeAgentFrames(message, link.unpacker)) link.session.receive(frame);
      else this.#dispatch({ type: "frame", frame: decodeHubFrame(message) });
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.notes.push(error.message);
      this.#mustCut = true;
    }
    return true;
  }

  #send(frame: Produce): void {
    const link = this.#link;
    if (link === undefined) return;
    const { packer } = link;
    if (packer === undefined || frame.batch.length > UPLINK_PACKED_BATCH_BYTES_MAX) {
      link.toHub.push(encodeFrame(frame));
      return;
    }
    packer.add(encodePackedFrame(frame));
    link.toHub.push(packer.take());
  }

  fireTimers(): void {
    for (const laneId of this.#timers.splice(0)) this.#dispatch({ type: "timer", laneId });
  }

  /** Connects as often as needed until nothing moves any more. */
  async drain(): Promise<void> {
    for (let still = 0; still < 3;) {
      if (this.#link === undefined) this.connect();
      await settled();
      const hasMoved = await this.deliver();
      await settled();
      const hadTimers = this.#timers.length > 0;
      this.fireTimers();
      still = hasMoved || hadTimers || this.#link === undefined ? 0 : still + 1;
    }
  }

  /** What the hub holds of a partition, in its order. */
  stored(partition: number, topic = TOPIC): number[] {
    if (!this.engine.topics.has(topic)) return [];
    const at = { topic, partition };
    const { logStartOffset } = this.engine.offsets(at);
    return this.engine
      .read({ ...at, offset: logStartOffset, bytesMax: 2 ** 30, atLeastOne: true })
      .batches.flatMap(numbersOf);
  }

  /** The same by the producer that sent it: the order of each lane. */
  storedByLane(partition: number): number[][] {
    if (!this.engine.topics.has(TOPIC)) return [];
    const at = { topic: TOPIC, partition };
    const { logStartOffset } = this.engine.offsets(at);
    const { batches } = this.engine.read({ ...at, offset: logStartOffset, bytesMax: 2 ** 30, atLeastOne: true });
    const byProducer = Map.groupBy(batches, (batch) => readBatchHeader(batch).producerId);
    return [...byProducer.values()].map((own) => own.flatMap(numbersOf));
  }

  #dispatch(event: UplinkEvent): void {
    for (const effect of this.#core.handle(event)) this.#carryOut(effect);
  }

  #carryOut(effect: UplinkEffect): void {
    const connection = this.#connection;
    switch (effect.type) {
      case "send":
        this.#link?.toHub.push(encodeFrame(effect.frame));
        return;
      case "produce": {
        const { laneId, id, acks, epoch, baseSequence, batch } = effect.produce;
        const { topic, partition } = this.#core.source(laneId);
        const producerId = this.#store.producerOf(slotOf(laneId));
        stampProducer(batch, { producerId, producerEpoch: epoch, baseSequence });
        this.#send({ t: "produce", id, topic, partition, acks, batch });
        void Promise.resolve().then(() => {
          if (connection === this.#connection) this.#dispatch({ type: "written", id, bytes: batch.length });
        });
        return;
      }
      case "read": {
        const { laneId, offset, bytesMax, isSplit, end } = effect;
        const { topic, partition } = this.#core.source(laneId);
        void this.log
          .readMerged({ partition: this.log.partition(topic, partition), offset, bytesMax, isSplit, end })
          .then((batch) => {
            if (connection === this.#connection) this.#dispatch({ type: "read", laneId, batch });
          });
        return;
      }
      case "adopt":
        return this.#persist(async () => {
          await this.#store.adopt(effect.changes);
          const adopted = effect.changes.map(({ laneId, topic, partition }) => ({
            laneId,
            gaps: this.ledger.open({ topic, partition }),
          }));
          this.#dispatch({ type: "adopted", adopted });
        });
      case "renew":
        return this.#persist(async () => {
          await this.#store.renewProducer(effect.changes);
          this.#dispatch({ type: "renewed" });
        });
      case "gap-settled":
        return this.#persist(() => this.ledger.confirm(effect.gapId, effect.records));
      case "reconcile": {
        const { laneId, settled: upTo, hubRecords, hubLost } = effect;
        const at = this.#core.source(laneId);
        if (this.ledger.isForgotten(at, hubLost)) {
          this.#persist(() => this.ledger.declareAgain(at));
        }
        const records = hubRecords === undefined ? 0 : this.ledger.reconcile(at, upTo, hubRecords);
        if (records !== 0) this.differences.push(`${at.topic}/${at.partition}: ${records}`);
        return;
      }
      case "settled":
        return this.#persist(() => this.#settle(effect));
      case "timer":
        this.#timers.push(effect.laneId);
        return;
      case "disconnect":
        this.notes.push(effect.error.message);
        this.#mustCut = true;
        return;
      case "note":
        this.notes.push(effect.text);
        return;
      case "partition-count":
        return;
    }
  }

  /** The cursor is written down, and the log trimmed, when chance will have it. */
  async #settle({ laneId, settled: upTo, trimEnd }: Extract<UplinkEffect, { type: "settled" }>): Promise<void> {
    if (this.#options.random() < 0.5) return;
    const { topic, partition } = this.#core.source(laneId);
    await this.#store.settle([{ laneId, settled: upTo }]);
    if (this.#options.random() < 0.5) await this.log.trim(this.log.partition(topic, partition), trimEnd);
  }

  #persist(work: () => Promise<void>): void {
    this.#persisting = this.#persisting.then(work).catch(() => {
      this.#mustCut = true;
    });
  }

  async #persisted(): Promise<void> {
    for (let seen; seen !== this.#persisting;) {
      seen = this.#persisting;
      await seen;
    }
  }
}
