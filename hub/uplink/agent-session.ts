/**
 * One agent's connection on the hub: frames in, appends out, answers back in the order of each partition.
 *
 *   greeting ──hello──▶ preparing ──topics, positions, welcome──▶ ready ──▶ closed
 *
 * A batch is acknowledged when the engine has it as safely as its `acks` ask for: flushed for `all`. What the agent may
 * send is bounded by credit; it comes back as the engine answers.
 */
import { checkBatch, checkRecordCount } from "../../shared/batch/record-batch.ts";
import type { BatchHeader } from "../../shared/batch/record-batch.ts";
import type { Clock } from "../../shared/clock.ts";
import { crashPoint } from "../../shared/crash-point.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { ProducerId } from "../../shared/ids.ts";
import { unreachable } from "../../shared/invariant.ts";
import type { Logger } from "../../shared/logger.ts";
import { UPLINK_DECOMPRESSED_BYTES_MAX, UPLINK_GAPS_IN_FLIGHT_MAX } from "../../shared/uplink/frames.ts";
import type { AgentFrame, Announce, Gap, Hello, HubFrame, Produce } from "../../shared/uplink/frames.ts";
import type { Appended, Engine } from "../engine/engine.ts";
import { AgentTopics } from "./agent-topics.ts";
import type { TopicEngine } from "./agent-topics.ts";
import { CreditAccount } from "./credit-account.ts";
import type { InFlightPool } from "./in-flight-pool.ts";
import type { LossLedger } from "./loss-ledger.ts";
import type { AgentIntroduction, KnownAgent } from "./registry.ts";
import { SequenceGate } from "./sequence-gate.ts";

export type SessionEngine = TopicEngine & Pick<Engine, "append">;

export type SessionParts = {
  readonly engine: SessionEngine;
  readonly ledger: LossLedger;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly autoCreateTopics: boolean;
  readonly creditBytes: number;
  /** Hears of the bytes that are not answered. */
  readonly inFlight: Pick<InFlightPool, "take" | "release">;
  readonly address: string;
  /** Must not throw; does nothing once the connection is gone. */
  readonly send: (frame: HubFrame) => void;
  /** The peer broke the protocol. */
  readonly refuse: (error: StreamError) => void;
  /** The agent is known from here on; an older connection of it is over. @throws StreamError AGENT_RUNS_TWICE. */
  readonly introduce: (introduction: AgentIntroduction) => Promise<KnownAgent>;
};

type Phase = "greeting" | "preparing" | "ready" | "closed";

/** Answers that wait for the disk; an honest agent has one. */
const ANNOUNCES_IN_FLIGHT_MAX = 8;
/** Of the message in a refusal. */
const NACK_MESSAGE_LENGTH_MAX = 1000;
/** A view this much smaller than the memory behind it is copied, so that a cache does not hold the rest. */
const VIEW_SHARE_MIN = 0.5;

export class AgentSession {
  readonly #parts: SessionParts;
  readonly #topics: AgentTopics;
  readonly #gate = new SequenceGate();
  readonly #credit: CreditAccount;
  /** By partition, the answer to the newest batch; the next one waits for it. */
  readonly #answers = new Map<string, Promise<void>>();
  #announcing: Promise<void> = Promise.resolve();
  #announcesInFlight = 0;
  #gapsInFlight = 0;
  #pending = 0;
  readonly #idle = Promise.withResolvers<void>();
  #phase: Phase = "greeting";
  #producerId: ProducerId = -1n;
  #sideProducers: readonly ProducerId[] = [];
  #agent: KnownAgent | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#topics = new AgentTopics(parts);
    this.#credit = new CreditAccount(parts.creditBytes);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get agent(): KnownAgent | undefined {
    return this.#agent;
  }

  /** @throws StreamError PROTOCOL_VIOLATION. */
  receive(frame: AgentFrame): void {
    if (this.#phase === "closed") return;
    if ((frame.t === "hello") !== (this.#phase === "greeting") || this.#phase === "preparing") {
      throw violation(`${frame.t} out of turn`);
    }
    if (this.#agent !== undefined) this.#agent.lastSeen = this.#parts.clock.wallMs();
    switch (frame.t) {
      case "hello":
        return this.#onHello(frame);
      case "announce":
        return this.#onAnnounce(frame);
      case "produce":
        return this.#onProduce(frame);
      case "gap":
        return this.#onGap(frame);
      case "status":
        if (this.#agent !== undefined) this.#agent.status = frame.status;
        return;
      default:
        return unreachable(frame);
    }
  }

  /** Takes nothing more; resolves when all that was taken is answered. */
  stop(): Promise<void> {
    this.#phase = "closed";
    if (this.#pending === 0) this.#idle.resolve();
    return this.#idle.promise;
  }

  #onHello({ agent, producer, sideProducers = [], instance, version, topics }: Hello): void {
    const { address, introduce, send, clock, creditBytes } = this.#parts;
    this.#phase = "preparing";
    this.#producerId = producer;
    this.#sideProducers = sideProducers;
    void this.#track(async () => {
      const introduced = await introduce({ agent, producerId: producer, instance, version, address });
      if (this.#phase !== "preparing") return;
      this.#agent = introduced;
      const known = await this.#place(topics);
      if (this.#phase !== "preparing") return;
      this.#phase = "ready";
      send({ t: "welcome", ...known, credit: creditBytes, time: clock.wallMs() });
    });
  }

  #onAnnounce({ topics }: Announce): void {
    if (++this.#announcesInFlight > ANNOUNCES_IN_FLIGHT_MAX) throw violation("too many topics announced at once");
    this.#announcing = this.#announcing.then(() =>
      this.#track(async () => {
        const known = await this.#place(topics);
        this.#announcesInFlight--;
        this.#parts.send({ t: "announced", ...known });
      }),
    );
  }

  async #place(topics: Announce["topics"]) {
    const present = await this.#topics.ensure(topics);
    const positions = await this.#topics.positions([this.#producerId, ...this.#sideProducers], present);
    for (const at of positions) this.#gate.know(gateKeyOf(at, at.sideProducer ?? this.#producerId));
    return { topics: present, positions };
  }

  #onProduce(frame: Produce): void {
    const batch = asOwned(frame.batch);
    if (!this.#credit.take(batch.length)) throw violation("more was sent than there was credit for");
    let header: BatchHeader;
    try {
      header = checkBatch(batch);
      checkRecordCount(header, UPLINK_DECOMPRESSED_BYTES_MAX);
    } catch (error) {
      return this.#refuse(frame, toStreamError(error));
    }
    const { producerId } = header;
    if (producerId !== this.#producerId && !this.#sideProducers.includes(producerId)) {
      throw violation("a batch of another producer");
    }
    const gateKey = gateKeyOf(frame, producerId);
    if (frame.partition >= (this.#parts.engine.topics.get(frame.topic)?.partitionCount ?? 0)) {
      // The topic may be made again before the next batch arrives, and its log knows nothing of the producer.
      this.#gate.refused(gateKey, header);
      return this.#refuse(frame, new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `${keyOf(frame)} does not exist`));
    }
    if (!this.#gate.admit(gateKey, header)) {
      const place = `epoch ${header.producerEpoch}, sequence ${header.baseSequence}`;
      return this.#refuse(frame, new StreamError("OUT_OF_ORDER_SEQUENCE_NUMBER", `${place} does not follow`));
    }
    const { topic, partition, acks } = frame;
    crashPoint("hub-before-append");
    const durability = acks === "all" ? "fsync" : "os";
    const appending = this.#append({ topic, partition, batch, header, durability, keepsProducer: true });
    this.#answer(frame, async () => {
      const appended = await appending;
      if (appended instanceof StreamError) {
        this.#gate.refused(gateKey, header);
        return this.#nack(frame, appended);
      }
      this.#count(header, appended);
      if (acks === "none") return;
      crashPoint("hub-before-ack");
      this.#parts.send({ t: "ack", id: frame.id, baseOffset: appended.baseOffset });
    });
  }

  /** Handed to the engine before this returns, so that the order of the calls is that of the frames. */
  async #append(request: Parameters<SessionEngine["append"]>[0]): Promise<Appended | StreamError> {
    try {
      return await this.#parts.engine.append(request);
    } catch (error) {
      return toStreamError(error);
    }
  }

  #refuse(frame: Produce, error: StreamError): void {
    this.#answer(frame, async () => this.#nack(frame, error));
  }

  /** Answers in the order of the partition's frames, and gives the credit back. */
  #answer(frame: Produce, answer: () => Promise<void>): void {
    const key = keyOf(frame);
    const { inFlight } = this.#parts;
    const { length } = frame.batch;
    const previous = this.#answers.get(key) ?? Promise.resolve();
    inFlight.take(length);
    const answered = this.#track(async () => {
      try {
        await previous;
        await answer();
      } finally {
        inFlight.release(length);
      }
      const bytes = this.#credit.giveBack(length);
      if (bytes > 0) this.#parts.send({ t: "credit", bytes });
    });
    this.#answers.set(key, answered);
    void answered.then(() => {
      if (this.#answers.get(key) === answered) this.#answers.delete(key);
    });
  }

  #nack({ id, topic, partition }: { id: number; topic: string; partition: number }, error: StreamError): void {
    const { code, retriable } = error;
    if (this.#agent !== undefined) this.#agent.counters.refused++;
    this.#parts.logger.debug({ topic, partition, code, reason: error.message }, "an agent's frame was refused");
    this.#parts.send({ t: "nack", id, code, message: error.message.slice(0, NACK_MESSAGE_LENGTH_MAX), retriable });
  }

  #onGap(frame: Gap): void {
    if (++this.#gapsInFlight > UPLINK_GAPS_IN_FLIGHT_MAX) throw violation("too many gaps declared at once");
    const { t: _t, id, ...declared } = frame;
    const { ledger, logger, clock } = this.#parts;
    const agent = this.#agent?.introduction.agent ?? "";
    const loss = { agent, producerId: this.#producerId, ...declared };
    void this.#track(async () => {
      try {
        await ledger.record({ ...loss, declaredAt: clock.wallMs() });
      } catch (error) {
        this.#gapsInFlight--;
        return this.#nack(frame, toStreamError(error));
      }
      this.#gapsInFlight--;
      if (this.#agent !== undefined) {
        this.#agent.counters.gaps++;
        this.#agent.counters.recordsDeclaredLost += declared.records;
      }
      logger.warn({ ...loss, producerId: String(loss.producerId) }, "an agent declared records lost");
      this.#parts.send({ t: "ack", id, baseOffset: 0 });
    });
  }

  #count(header: BatchHeader, { duplicate }: Appended): void {
    if (this.#agent === undefined) return;
    const { counters } = this.#agent;
    if (duplicate) {
      counters.duplicates++;
      return;
    }
    counters.batches++;
    counters.records += header.recordCount;
    counters.bytes += header.bytes;
  }

  /** Work that `stop` waits for. What fails here is no answer to a single frame, so the connection ends. */
  async #track(work: () => Promise<void>): Promise<void> {
    this.#pending++;
    try {
      await work();
    } catch (error) {
      this.#parts.refuse(toStreamError(error));
    } finally {
      this.#pending--;
      if (this.#pending === 0 && this.#phase === "closed") this.#idle.resolve();
    }
  }
}

function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}

function gateKeyOf(at: { readonly topic: string; readonly partition: number }, producerId: ProducerId): string {
  return `${producerId} ${keyOf(at)}`;
}

function asOwned(view: Uint8Array): Buffer {
  const batch = Buffer.from(view.buffer, view.byteOffset, view.length);
  if (view.length >= view.buffer.byteLength * VIEW_SHARE_MIN) return batch;
  const copy = Buffer.allocUnsafeSlow(batch.length);
  batch.copy(copy);
  return copy;
}

function violation(reason: string): StreamError {
  return new StreamError("PROTOCOL_VIOLATION", reason);
}
