/**
 * One connection to the hub, from hello to its end: finds out where each partition stands, then sends what the log holds
 * and hears the answers.
 *
 *   hello ─▶ welcome ─▶ resume each partition ─▶ read ▶ stamp ▶ send ▶ ack ▶ cursor     (again whenever the log commits)
 *
 * Bounds: 5 batches in flight a partition; bytes in flight by the hub's credit and `inFlightBytesMax`; one read a
 * partition and READS_MAX at a time. There is no linger: a commit is read as soon as it is there, and batches grow by
 * themselves while the window is full.
 */
import type { Clock } from "../../shared/clock.ts";
import { stampProducer } from "../../shared/batch/record-batch.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition, MergedBatch, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Acks } from "../../shared/record.ts";
import type { AgentFrame, HubFrame, LossReason, UplinkPosition, Welcome } from "../../shared/link/frames.ts";
import type { Cursors } from "./cursors.ts";
import type { EpochRow, Epochs, UndeclaredGap } from "./epoch-table.ts";
import { Lane } from "./lane.ts";
import type { Refusal, Sent } from "./lane.ts";
import { resume } from "./resume.ts";
import type { Resumption } from "./resume.ts";

/** Reads of the log on their way at once. */
const READS_MAX = 4;
const REFUSED_WAIT_MIN_MS = 1000;
const REFUSED_WAIT_MAX_MS = 60_000;
const SEQUENCE_COUNT = 2 ** 31;
/** int16 ends here; then the installation takes a new producer id. */
const EPOCH_MAX = 32_767;
/** What no later attempt can change: the batch is declared lost, and what comes behind it goes on. */
const poisonReasons: Readonly<Record<string, LossReason>> = {
  MESSAGE_TOO_LARGE: "oversized",
  INVALID_RECORD: "corrupt",
  INVALID_TIMESTAMP: "corrupt",
  UNSUPPORTED_COMPRESSION_TYPE: "corrupt",
};

export type SessionParts = {
  readonly log: PartitionedLog;
  readonly epochs: Epochs;
  readonly cursors: Cursors;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly acksOf: (topic: string) => Acks;
  readonly onPartitionCount: (topic: string, partitionCount: number) => void;
  readonly agentName: string;
  readonly version: string;
  readonly batchBytesMax: number;
  readonly inFlightBytesMax: number;
  /** `sent` is called when the frame was handed to the operating system. */
  readonly send: (frame: AgentFrame, sent?: () => void) => void;
  /** Ends the connection; the runner makes the next one. */
  readonly end: (reason: StreamError) => void;
};

type InFlight = { readonly lane: Lane; readonly bytes: number };

export class UplinkSession {
  readonly #parts: SessionParts;
  readonly #lanes = new Map<number, Lane>();
  readonly #inFlight = new Map<number, InFlight>();
  /** Gaps the hub was told of and has not answered, by the id of their frame. */
  readonly #declaring = new Map<number, { readonly partition: LogPartition; readonly gap: UndeclaredGap }>();
  #nextId = 1;
  #credit = 0;
  #bytesInFlight = 0;
  #reads = 0;
  /** Where the next round over the lanes begins, so that each gets its turn. */
  #turn = 0;
  #phase: "greeting" | "resuming" | "connected" | "ended" = "greeting";
  #announcedTopics = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  readonly #removeCommitListener: () => void;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#removeCommitListener = parts.log.onCommit(() => this.#logMoved());
  }

  get isConnected(): boolean {
    return this.#phase === "connected";
  }

  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  greet(): void {
    const { log, epochs, agentName, version, send } = this.#parts;
    const topics = [...log.topics.values()].map(({ name, partitions }) => ({ name, partitions: partitions.length }));
    this.#announcedTopics = partitionCount(log);
    send({ t: "hello", agent: agentName, producer: epochs.producerId, version, topics });
  }

  receive(frame: HubFrame): void {
    if (this.#phase === "ended") return;
    switch (frame.t) {
      case "welcome":
        if (this.#phase !== "greeting" && this.#phase !== "connected") throw violation("a second welcome");
        this.#phase = "resuming";
        this.#credit += frame.credit;
        void this.#resumeAll(frame).catch((error: unknown) => this.#parts.end(toStreamError(error)));
        return;
      case "ack":
        return this.#acknowledged(frame.id);
      case "nack":
        return this.#refused(frame.id, frame);
      case "credit":
        this.#credit += frame.bytes;
        return this.#pump();
    }
  }

  end(): void {
    this.#phase = "ended";
    this.#removeCommitListener();
    clearTimeout(this.#retryTimer);
  }

  async #resumeAll(welcome: Welcome): Promise<void> {
    const { log, epochs, onPartitionCount } = this.#parts;
    const positions = new Map(welcome.positions.map((each) => [`${each.topic}/${each.partition}`, each]));
    const found: { partition: LogPartition; resumption: Resumption; hub: UplinkPosition | undefined }[] = [];
    for (const { name, partitions } of welcome.topics) {
      const topic = log.topics.get(name);
      if (topic === undefined) continue;
      if (partitions > topic.partitions.length) onPartitionCount(name, partitions);
      for (const partition of topic.partitions) {
        if (this.#lanes.has(partition.id)) continue;
        const hub = positions.get(`${name}/${partition.partition}`);
        found.push({ partition, hub, resumption: resume(this.#localState(partition), hub) });
      }
    }
    if (found.some(({ resumption }) => resumption.epoch.number > EPOCH_MAX)) return this.#renew(found);
    const rows = found.flatMap(({ partition, resumption, hub }) => this.#rowToSave(partition, resumption, hub));
    if (rows.length > 0) await epochs.save(rows);
    if (this.#phase !== "resuming") return;
    for (const { partition, resumption } of found) this.#open(partition, resumption);
    this.#phase = "connected";
    this.#logMoved();
    this.#pump();
  }

  /** All epochs of this producer id are used up: a new one begins at 0, wherever each partition is. */
  async #renew(found: readonly { partition: LogPartition; resumption: Resumption }[]): Promise<void> {
    const { epochs, end } = this.#parts;
    const rows = found.map(({ partition: { topic, partition }, resumption }) => ({
      topic,
      partition,
      epoch: 0,
      firstOffset: resumption.nextOffset,
      unverifiedFrom: null,
      gaps: resumption.gap === undefined ? [] : [{ ...resumption.gap, epoch: 0, reason: "overflow" as const }],
    }));
    await epochs.save(rows);
    await epochs.renewProducer();
    end(new StreamError("INVALID_PRODUCER_EPOCH", "the producer's epochs are used up; it takes a new id"));
  }

  #localState(partition: LogPartition) {
    const { epochs, cursors, acksOf } = this.#parts;
    const row = epochs.of(partition.topic, partition.partition);
    return {
      logStartOffset: partition.logStartOffset,
      logEndOffset: partition.logEndOffset,
      unverifiedFrom: row?.unverifiedFrom ?? undefined,
      epoch: row === undefined ? undefined : { number: row.epoch, firstOffset: row.firstOffset },
      deliveredTo: acksOf(partition.topic) === "none" ? cursors.deliveredTo(partition) : undefined,
    };
  }

  /** What is to be written down before the partition goes on. */
  #rowToSave({ topic, partition }: LogPartition, resumption: Resumption, hub: UplinkPosition | undefined): EpochRow[] {
    const known = this.#parts.epochs.of(topic, partition);
    const isVerified = (known?.unverifiedFrom ?? null) === null;
    if (!resumption.isNewEpoch && isVerified) return [];
    const { logger } = this.#parts;
    const { number, firstOffset } = resumption.epoch;
    if (resumption.isNewEpoch && known !== undefined) {
      logger.warn({ topic, partition, epoch: number, firstOffset, hub, gap: resumption.gap }, "a new epoch begins");
    }
    const lost =
      resumption.gap === undefined ? [] : [{ ...resumption.gap, epoch: number, reason: "overflow" as const }];
    const gaps = [...(known?.gaps ?? []), ...lost];
    return [{ topic, partition, epoch: number, firstOffset, unverifiedFrom: null, gaps }];
  }

  #open(partition: LogPartition, { nextOffset, epoch }: Resumption): void {
    const { acksOf, cursors, epochs } = this.#parts;
    const start = { nextOffset, epoch: epoch.number, firstOffset: epoch.firstOffset };
    this.#lanes.set(partition.id, new Lane(partition, acksOf(partition.topic), start));
    cursors.found(partition, nextOffset);
    const row = epochs.of(partition.topic, partition.partition);
    for (const gap of row?.gaps ?? []) this.#declare(partition, gap);
  }

  #declare(partition: LogPartition, gap: UndeclaredGap): void {
    const id = this.#nextId++;
    this.#declaring.set(id, { partition, gap });
    this.#parts.send({ t: "gap", id, topic: partition.topic, partition: partition.partition, ...gap });
  }

  /** A commit has come, perhaps with new topics or partitions: the hub has to hear of those first. */
  #logMoved(): void {
    if (this.#phase !== "connected") return;
    if (partitionCount(this.#parts.log) > this.#announcedTopics) {
      this.greet();
      return;
    }
    this.#pump();
  }

  #pump(): void {
    if (this.#phase !== "connected") return;
    const lanes = [...this.#lanes.values()];
    const nowMs = this.#parts.clock.monotonicMs();
    for (let i = 0; i < lanes.length; i++) {
      if (!this.#hasRoom()) return;
      const lane = lanes[(this.#turn + i) % lanes.length] as Lane;
      if (!lane.isReady(nowMs)) continue;
      void this.#read(lane).catch((error: unknown) => this.#parts.end(toStreamError(error)));
    }
    this.#turn++;
  }

  #hasRoom(): boolean {
    return this.#reads < READS_MAX && this.#credit > 0 && this.#bytesInFlight < this.#parts.inFlightBytesMax;
  }

  async #read(lane: Lane): Promise<void> {
    const { log, batchBytesMax } = this.#parts;
    const { partition } = lane;
    lane.isReading = true;
    this.#reads++;
    try {
      const offset = lane.nextOffset;
      // What is committed after this read began is not missing from its answer.
      const logEndOffset = partition.logEndOffset;
      const merged = await log.readMerged({ partition, offset, bytesMax: batchBytesMax, codec: "zstd" });
      if (this.#phase !== "connected" || lane.hasFailed) return;
      if (merged === undefined) await this.#skipTo(lane, logEndOffset);
      else if (merged.baseOffset === offset) this.#send(lane, merged);
      else await this.#skipTo(lane, merged.baseOffset);
    } finally {
      lane.isReading = false;
      this.#reads--;
    }
    this.#settleFailure(lane);
    this.#pump();
  }

  /** Records that were to be sent are not there any more: overflow took them, or damage. They are declared. */
  async #skipTo(lane: Lane, offset: Offset): Promise<void> {
    if (offset <= lane.nextOffset) return;
    const reason = lane.partition.logStartOffset >= offset ? "overflow" : "corrupt";
    await this.#beginEpoch(lane, offset, reason);
  }

  async #beginEpoch(lane: Lane, firstOffset: Offset, reason: LossReason): Promise<void> {
    const { epochs, logger, end } = this.#parts;
    const { topic, partition } = lane.partition;
    if (lane.epoch >= EPOCH_MAX) return end(new StreamError("INVALID_PRODUCER_EPOCH", "the epochs are used up"));
    const epoch = lane.epoch + 1;
    const gap = { epoch, from: lane.nextOffset, to: firstOffset - 1, reason };
    const gaps = [...(epochs.of(topic, partition)?.gaps ?? []), gap];
    logger.error({ topic, partition, ...gap }, "records are lost; the hub is told");
    await epochs.save([{ topic, partition, epoch, firstOffset, unverifiedFrom: null, gaps }]);
    lane.beginEpoch(epoch, firstOffset);
    if (this.#phase === "connected") this.#declare(lane.partition, gap);
  }

  #send(lane: Lane, { batch, baseOffset, lastOffset }: MergedBatch): void {
    const { epochs, send, cursors } = this.#parts;
    const baseSequence = (baseOffset - lane.firstOffset) % SEQUENCE_COUNT;
    stampProducer(batch, { producerId: epochs.producerId, producerEpoch: lane.epoch, baseSequence });
    const id = this.#nextId++;
    const bytes = batch.length;
    const { topic, partition } = lane.partition;
    const sent: Sent = { id, baseOffset, endOffset: lastOffset + 1, bytes };
    lane.sent(sent);
    this.#inFlight.set(id, { lane, bytes });
    this.#bytesInFlight += bytes;
    this.#credit -= bytes;
    const frame = { t: "produce", id, topic, partition, acks: lane.acks, batch } as const;
    if (lane.acks === "none") {
      send(frame, () => {
        cursors.delivered(lane.partition, sent.endOffset, bytes);
        this.#acknowledged(id);
      });
    } else {
      send(frame);
    }
  }

  #acknowledged(id: number): void {
    const declared = this.#declaring.get(id);
    if (declared !== undefined) return this.#declared(id, declared);
    const flight = this.#takeInFlight(id);
    if (flight === undefined) return;
    const batch = flight.lane.acknowledged(id);
    if (batch !== undefined && flight.lane.acks !== "none") {
      this.#parts.cursors.delivered(flight.lane.partition, batch.endOffset, batch.bytes);
    }
    this.#settleFailure(flight.lane);
    this.#pump();
  }

  #declared(id: number, { partition, gap }: { readonly partition: LogPartition; readonly gap: UndeclaredGap }): void {
    const { epochs, end } = this.#parts;
    this.#declaring.delete(id);
    const row = epochs.of(partition.topic, partition.partition);
    if (row === undefined) return;
    const gaps = row.gaps.filter((each) => each !== gap && !(each.epoch === gap.epoch && each.from === gap.from));
    epochs.save([{ ...row, gaps }]).catch((error: unknown) => end(toStreamError(error)));
  }

  #refused(id: number, refusal: Refusal): void {
    if (this.#declaring.has(id)) return this.#parts.end(violation(`a gap was refused: ${refusal.message}`));
    const flight = this.#takeInFlight(id);
    if (flight === undefined) return this.#refusedUnasked(refusal);
    flight.lane.refused(id, refusal);
    this.#settleFailure(flight.lane);
    this.#pump();
  }

  /** A batch with acks none was not taken; sequences behind it do not fit any more. */
  #refusedUnasked(refusal: Refusal): void {
    this.#parts.end(new StreamError("OUT_OF_ORDER_SEQUENCE_NUMBER", `a batch was refused: ${refusal.code}`));
  }

  #takeInFlight(id: number): InFlight | undefined {
    const flight = this.#inFlight.get(id);
    if (flight === undefined) return undefined;
    this.#inFlight.delete(id);
    this.#bytesInFlight -= flight.bytes;
    return flight;
  }

  /** Once everything behind a refused batch is answered, it is sent again later, skipped, or the connection starts over. */
  #settleFailure(lane: Lane): void {
    const failure = lane.takeFailure();
    if (failure === undefined) return;
    const { logger, end } = this.#parts;
    const { refusal, batch } = failure;
    const { topic, partition } = lane.partition;
    const poison = poisonReasons[refusal.code];
    if (poison !== undefined) {
      void this.#skipPoison(lane, batch.endOffset, poison).catch((error: unknown) => end(toStreamError(error)));
      return;
    }
    if (refusal.code === "OUT_OF_ORDER_SEQUENCE_NUMBER" || refusal.code === "INVALID_PRODUCER_EPOCH") {
      return end(new StreamError(refusal.code, `${topic}-${partition}: ${refusal.message}`));
    }
    const waitMs = Math.min(REFUSED_WAIT_MAX_MS, REFUSED_WAIT_MIN_MS * 2 ** lane.attempt++);
    lane.waitUntilMs = this.#parts.clock.monotonicMs() + waitMs;
    const { code, message } = refusal;
    logger.warn({ topic, partition, code, message, waitMs }, "the hub refused a batch; it is sent again");
    this.#retryLater();
  }

  async #skipPoison(lane: Lane, endOffset: Offset, reason: LossReason): Promise<void> {
    // Nothing is read of the partition until the new epoch is written down.
    lane.isReading = true;
    await this.#beginEpoch(lane, endOffset, reason);
    lane.isReading = false;
    this.#pump();
  }

  /** Wakes when the first of the refused partitions may try again. */
  #retryLater(): void {
    clearTimeout(this.#retryTimer);
    const nowMs = this.#parts.clock.monotonicMs();
    const waits = [...this.#lanes.values()].map((lane) => lane.waitUntilMs - nowMs).filter((waitMs) => waitMs > 0);
    if (waits.length === 0) return;
    this.#retryTimer = setTimeout(
      () => {
        this.#pump();
        this.#retryLater();
      },
      Math.ceil(Math.min(...waits)),
    );
  }
}

function partitionCount(log: PartitionedLog): number {
  let count = 0;
  for (const { partitions } of log.topics.values()) count += partitions.length;
  return count;
}

function violation(message: string): StreamError {
  return new StreamError("PROTOCOL_VIOLATION", message);
}
