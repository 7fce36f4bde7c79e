/**
 * One agent's connection, from its hello on: makes its topics, tells it where it stands, stores its batches, answers.
 *
 *   hello ─▶ topics created ─▶ positions ─▶ welcome          produce ─▶ check ─▶ engine ─▶ ack | nack
 *                                                            gap ─▶ ledger ─▶ ack
 *
 * Batches are handed to the engine in the order in which they come, so that a partition's answers come in that order
 * too. Gaps are recorded before any later batch is stored: both wait for the same sequence of commits.
 */
import { checkBatch } from "../../shared/batch/record-batch.ts";
import type { BatchHeader } from "../../shared/batch/record-batch.ts";
import type { Clock } from "../../shared/clock.ts";
import { crashPoint } from "../../shared/crash-point.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import { unreachable } from "../../shared/invariant.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Acks, Durability } from "../../shared/record.ts";
import type { AgentFrame, Gap, Hello, HelloTopic, HubFrame, Produce } from "../../shared/link/frames.ts";
import { UPLINK_MESSAGE_BYTES_MAX } from "../../shared/link/frames.ts";
import type { Engine } from "../engine/engine.ts";
import type { LossLedger } from "./loss-ledger.ts";
import type { AgentEntry } from "./registry.ts";

export type SessionOptions = {
  readonly autoCreateTopics: boolean;
  /** Bytes of batches that an agent may have sent without an answer. */
  readonly creditBytes: number;
};

export type AgentSessionParts = {
  readonly engine: Engine;
  readonly ledger: LossLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: SessionOptions;
  readonly send: (frame: HubFrame) => void;
  /** Closes the connection. */
  readonly end: (reason: StreamError) => void;
  /** The agent has said who it is; throws when it may not go on. */
  readonly register: (hello: Hello) => AgentEntry;
};

const durabilityOf: Readonly<Record<Acks, Durability>> = { none: "os", leader: "os", all: "fsync" };
/** Credit is given back in parts of the window, not with every batch. */
const CREDIT_PARTS = 8;
const NO_OFFSET = -1;

export class AgentSession {
  readonly #parts: AgentSessionParts;
  #hello: Hello | undefined;
  #entry: AgentEntry | undefined;
  #unansweredBytes = 0;
  #creditToGive = 0;
  #isEnded = false;

  constructor(parts: AgentSessionParts) {
    this.#parts = parts;
  }

  get agent(): string | undefined {
    return this.#hello?.agent;
  }

  end(): void {
    this.#isEnded = true;
  }

  /** @throws StreamError PROTOCOL_VIOLATION: the connection must be closed. */
  receive(frame: AgentFrame): void {
    if (this.#entry !== undefined) this.#entry.lastHeardAt = this.#parts.clock.wallMs();
    switch (frame.t) {
      case "hello":
        return this.#greeted(frame);
      case "produce":
        return this.#produce(frame);
      case "gap":
        return this.#gap(frame);
      case "status":
        if (this.#entry !== undefined) this.#entry.status = frame.status;
        return;
      default:
        return unreachable(frame);
    }
  }

  #greeted(hello: Hello): void {
    const isFirst = this.#hello === undefined;
    if (this.#hello !== undefined && this.#hello.producer !== hello.producer) {
      throw new StreamError("PROTOCOL_VIOLATION", "a second hello of another producer");
    }
    if (isFirst) this.#entry = this.#parts.register(hello);
    this.#hello = hello;
    this.#welcome(hello, isFirst).catch((error: unknown) => this.#parts.end(toStreamError(error)));
  }

  async #welcome(hello: Hello, isFirst: boolean): Promise<void> {
    const { engine, clock, options } = this.#parts;
    const topics: HelloTopic[] = [];
    for (const topic of hello.topics) {
      const existing = await this.#provide(topic);
      if (existing !== undefined) topics.push(existing);
    }
    const positions = await engine.producerPositions(hello.producer);
    this.#send({
      t: "welcome",
      positions: positions.map(({ topic, partition, producerEpoch, lastSequence }) => ({
        topic,
        partition,
        epoch: producerEpoch,
        lastSequence,
      })),
      topics,
      // What was granted at the first hello holds on.
      credit: isFirst ? options.creditBytes : 0,
      time: clock.wallMs(),
    });
  }

  /** The topic as the hub has it; made or grown for the agent where that is allowed. */
  async #provide({ name, partitions }: HelloTopic): Promise<HelloTopic | undefined> {
    const { engine, logger, options } = this.#parts;
    const existing = engine.topics.get(name);
    if (existing !== undefined && existing.partitionCount >= partitions) {
      return { name, partitions: existing.partitionCount };
    }
    if (!options.autoCreateTopics) {
      return existing === undefined ? { name, partitions } : { name, partitions: existing.partitionCount };
    }
    try {
      const made =
        existing === undefined
          ? await engine.createTopic({ name, partitionCount: partitions })
          : await engine.createPartitions(name, partitions);
      logger.info({ topic: name, partitions: made.partitionCount, agent: this.agent }, "topic provided for an agent");
      return { name, partitions: made.partitionCount };
    } catch (error) {
      // Another connection may have made it meanwhile; otherwise the agent's batches are refused with this reason.
      const { code, message } = toStreamError(error);
      const now = engine.topics.get(name);
      if (now === undefined) logger.warn({ topic: name, code, reason: message }, "topic of an agent not created");
      return { name, partitions: now?.partitionCount ?? partitions };
    }
  }

  #produce(frame: Produce): void {
    const { engine, options } = this.#parts;
    if (this.#hello === undefined) throw new StreamError("PROTOCOL_VIOLATION", "produce before hello");
    const bytes = frame.batch.length;
    this.#unansweredBytes += bytes;
    if (this.#unansweredBytes > options.creditBytes + UPLINK_MESSAGE_BYTES_MAX) {
      throw new StreamError("PROTOCOL_VIOLATION", `${this.#unansweredBytes} bytes sent without an answer`);
    }
    const { topic, partition, acks } = frame;
    let stored: Promise<{ baseOffset: number; duplicate: boolean }>;
    let header: BatchHeader;
    try {
      const batch = ownMemory(frame.batch);
      header = this.#check(batch);
      crashPoint("hub-before-append");
      stored = engine.append({ topic, partition, batch, header, durability: durabilityOf[acks] });
    } catch (error) {
      return this.#refuse(frame, error);
    }
    stored.then(
      ({ baseOffset, duplicate }) => {
        this.#count(header, bytes, duplicate);
        crashPoint("hub-before-ack");
        if (acks !== "none") this.#send({ t: "ack", id: frame.id, baseOffset });
        this.#giveBack(bytes);
      },
      (error: unknown) => this.#refuse(frame, error),
    );
  }

  #check(batch: Buffer): BatchHeader {
    const header = checkBatch(batch);
    if (header.producerId !== this.#hello?.producer) {
      throw new StreamError("INVALID_RECORD", "the batch is of another producer than the connection");
    }
    return header;
  }

  #refuse(frame: Produce, error: unknown): void {
    const { code, message, retriable } = toStreamError(error);
    this.#parts.logger.debug({ agent: this.agent, topic: frame.topic, code, reason: message }, "batch refused");
    this.#send({ t: "nack", id: frame.id, code, message, retriable });
    this.#giveBack(frame.batch.length);
  }

  #gap(frame: Gap): void {
    const { ledger, clock, logger, end } = this.#parts;
    if (this.#hello === undefined) throw new StreamError("PROTOCOL_VIOLATION", "gap before hello");
    const { id, topic, partition, epoch, from, to, reason } = frame;
    const { agent, producer } = this.#hello;
    const loss = { agent, producer, topic, partition, epoch, from, to, reason, at: clock.wallMs() };
    logger.warn({ agent, topic, partition, from, to, reason }, "an agent has lost records");
    ledger.record(loss).then(
      () => {
        if (this.#entry !== undefined) this.#entry.lostRecords += to - from + 1;
        this.#send({ t: "ack", id, baseOffset: NO_OFFSET });
      },
      (error: unknown) => end(toStreamError(error)),
    );
  }

  #count(header: BatchHeader, bytes: number, isDuplicate: boolean): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    entry.batches++;
    entry.bytes += bytes;
    if (isDuplicate) entry.duplicates++;
    else entry.records += header.recordCount;
  }

  #giveBack(bytes: number): void {
    this.#unansweredBytes -= bytes;
    this.#creditToGive += bytes;
    const { creditBytes } = this.#parts.options;
    if (this.#creditToGive < creditBytes / CREDIT_PARTS && this.#unansweredBytes > 0) return;
    this.#send({ t: "credit", bytes: this.#creditToGive });
    this.#creditToGive = 0;
  }

  #send(frame: HubFrame): void {
    if (!this.#isEnded) this.#parts.send(frame);
  }
}

/** The batch stays in memory for readers at the tail: then it must not keep a much larger piece alive. */
function ownMemory(batch: Uint8Array): Buffer {
  const view = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  return batch.buffer.byteLength > batch.byteLength * 2 ? Buffer.from(view) : view;
}
