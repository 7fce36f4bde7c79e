/**
 * The uplink at work: feeds what the hub, the log and the timers do into the core, and carries its effects out.
 *
 * Connections follow one another for ever; each attempt is one run of p-retry's loop, whose waits come from backoff.ts.
 * Persisted, then remembered, then told to the hub: an epoch or a gap is on disk before the core hears so, and only then
 * something of it is sent.
 */
import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";
import { stampProducer } from "../../shared/batch/record-batch.ts";
import type { Clock } from "../../shared/clock.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Offset, Timestamp } from "../../shared/ids.ts";
import { unreachable } from "../../shared/invariant.ts";
import type { Logger } from "../../shared/logger.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { Acks } from "../../shared/record.ts";
import type { HubFrame } from "../../shared/uplink/frames.ts";
import { failuresAfter, retryDelayMs } from "./backoff.ts";
import { Cursors } from "./cursors.ts";
import type { DeliveredCounts } from "./cursors.ts";
import { EpochStore, logEnds } from "./epoch-store.ts";
import type { LogEnds, UplinkLog } from "./epoch-store.ts";
import type { AdoptChange } from "./epoch-table.ts";
import { FailureLog } from "./failure-log.ts";
import { HubConnection } from "./hub-connection.ts";
import { UplinkCore } from "./uplink.ts";
import type { UplinkPhase } from "./uplink.ts";
import type { OutgoingBatch, UplinkEffect, UplinkEvent } from "./uplink-events.ts";

export type UplinkOptions = {
  readonly batchBytesMax: number;
  readonly inFlightBytesMax: number;
  readonly connectTimeoutMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly silenceMsMax: number;
  /** Between two reports of the agent's status to the hub. */
  readonly statusIntervalMs: number;
  /** For batches on their way when the uplink closes. */
  readonly closeMsMax: number;
};

export const defaultUplinkOptions: UplinkOptions = {
  batchBytesMax: 256 * 1024,
  inFlightBytesMax: 16 * 1024 * 1024,
  connectTimeoutMs: 10_000,
  retryMinMs: 1_000,
  retryMaxMs: 300_000,
  silenceMsMax: 45_000,
  statusIntervalMs: 10_000,
  closeMsMax: 1_500,
};

/** Two, so that the log reads the next batch while one is being sent. */
const READS_MAX = 2;
/** What waits in the process for a slow link; the kernel's own buffer comes on top. */
const SOCKET_BYTES_MAX = 1024 * 1024;
const REFUSED_MS_MIN = 1_000;
const REFUSED_MS_MAX = 30_000;
const CLOSE_POLL_MS = 5;

export type UplinkParts = {
  readonly log: UplinkLog;
  /** ws:// or wss://; without a path, /uplink. */
  readonly hubUrl: string;
  readonly agentName: string;
  readonly token?: string | undefined;
  readonly version: string;
  readonly policyOf: (topic: string) => { readonly acks: Acks; readonly priority: number };
  /** The hub has more partitions of a topic than the log: make them. */
  readonly onPartitionCount: (topic: string, count: number) => Promise<unknown>;
  /** What the hub shows of this agent; at most a few KiB. */
  readonly statusReport?: () => Readonly<Record<string, unknown>>;
  readonly options?: Partial<UplinkOptions>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 to 1; tests give their own. */
  readonly random?: () => number;
};

export type UplinkStatus = {
  readonly isConnected: boolean;
  readonly hub: string;
  readonly phase: UplinkPhase | "closed";
  /** Of the running connection, or of when the last one ended. */
  readonly sinceMs: Timestamp | null;
  readonly connections: number;
  /** Attempts since the last connection that lasted. */
  readonly failures: number;
  readonly lastError: { readonly code: string; readonly message: string } | null;
  readonly producer: string;
  readonly inFlightBatches: number;
  readonly inFlightBytes: number;
  readonly delivered: Readonly<Record<string, DeliveredCounts>>;
};

export class Uplink {
  readonly #parts: UplinkParts;
  readonly #options: UplinkOptions;
  readonly #failureLog: FailureLog;
  readonly #partitions = new Map<number, LogPartition>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #stop = new AbortController();
  readonly #cursors: Cursors;
  /** Undefined until the log had room for what the uplink writes at its start. */
  #open: { readonly store: EpochStore; readonly core: UplinkCore } | undefined;
  #connection: HubConnection | undefined;
  /** Work on the disk for the running connection; the next one waits for it. */
  #persisting: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();
  #removeListener: () => void = () => undefined;
  #welcomedAtMs: number | undefined;
  #sinceMs: Timestamp | null = null;
  #connections = 0;
  #failures = 0;
  #lastError: StreamError | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: UplinkParts) {
    this.#parts = parts;
    this.#options = { ...defaultUplinkOptions, ...parts.options };
    this.#failureLog = new FailureLog(parts.logger, parts.clock);
  }

  /** Resolves when the uplink knows where it stood; connecting goes on by itself, for ever. */
  async start(): Promise<void> {
    const { log, logger, policyOf, agentName: agent, version } = this.#parts;
    const { batchBytesMax, inFlightBytesMax } = this.#options;
    const store = await EpochStore.open(log);
    this.#store = store;
    this.#cursors = new Cursors({ log, store, logger });
    this.#core = new UplinkCore({
      identity: () => ({ agent, version, producerId: store.producerId }),
      policyOf,
      remembered: ({ id, topic, partition }) => ({
        memory: store.memories.get(id),
        gaps: store.gaps.filter((gap) => gap.topic === topic && gap.partition === partition),
      }),
      options: {
        batchBytesMax,
        inFlightBytesMax,
        readsMax: READS_MAX,
        socketBytesMax: SOCKET_BYTES_MAX,
        refusedMsMin: REFUSED_MS_MIN,
        refusedMsMax: REFUSED_MS_MAX,
      },
    });
    for (const topic of log.topics.values()) this.#addSources(topic.partitions);
    this.#removeListener = log.onCommit((changed) => this.#addSources(changed));
    this.#loop = this.#connectForEver();
  }

  status(): UplinkStatus {
    const core: UplinkCore | undefined = this.#core;
    const { code, message } = this.#lastError ?? {};
    return {
      isConnected: core?.phase === "connected",
      hub: this.#parts.hubUrl,
      phase: this.#closing === undefined ? (core?.phase ?? "offline") : "closed",
      sinceMs: this.#sinceMs,
      connections: this.#connections,
      failures: this.#failures,
      lastError: code === undefined || message === undefined ? null : { code, message },
      producer: String(this.#store?.producerId ?? ""),
      inFlightBatches: core?.inFlightCount ?? 0,
      inFlightBytes: core?.inFlightBytes ?? 0,
      delivered: Object.fromEntries(this.#cursors?.delivered() ?? []),
    };
  }

  /** The first record of the partition that the hub has not confirmed. */
  pendingFrom(partition: LogPartition): Offset {
    return this.#core?.settled(partition.id) ?? this.#store?.memories.get(partition.id)?.settled ?? 0;
  }

  /** Waits a moment for what is on its way, then ends the connection and writes the cursors down. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    if (this.#store === undefined) return;
    this.#dispatch({ type: "drain" });
    const { clock } = this.#parts;
    const deadlineMs = clock.monotonicMs() + this.#options.closeMsMax;
    while (this.#core.phase === "connected" && !this.#core.isQuiet && clock.monotonicMs() < deadlineMs) {
      await delay(CLOSE_POLL_MS);
    }
    this.#stop.abort(new StreamError("CLOSING", "the agent is stopping"));
    this.#connection?.close();
    await this.#loop;
    this.#removeListener();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#cursors.flush();
  }

  async #connectForEver(): Promise<void> {
    const { signal } = this.#stop;
    try {
      await pRetry(() => this.#connectOnce(), {
        retries: Infinity,
        minTimeout: 0,
        signal,
        onFailedAttempt: ({ error }) => this.#waitAfter(toStreamError(error)),
      });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #waitAfter(error: StreamError): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const { clock, random = Math.random } = this.#parts;
    const connectedMs = this.#welcomedAtMs === undefined ? undefined : clock.monotonicMs() - this.#welcomedAtMs;
    this.#welcomedAtMs = undefined;
    const waitMs = retryDelayMs(this.#options, this.#failures, random());
    this.#failures = failuresAfter(this.#failures, connectedMs);
    this.#lastError = error;
    this.#sinceMs = clock.wallMs();
    this.#failureLog.failed(error, waitMs);
    // Aborted when the uplink closes: p-retry looks at the signal itself.
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }

  /** Never resolves: a connection ends with the error that ended it. */
  async #connectOnce(): Promise<never> {
    const { hubUrl, token, clock } = this.#parts;
    const { connectTimeoutMs, silenceMsMax } = this.#options;
    this.#stop.signal.throwIfAborted();
    const ended = Promise.withResolvers<never>();
    const connection = new HubConnection(
      { url: hubUrl, token, connectTimeoutMs, silenceMsMax, clock },
      {
        opened: () => this.#dispatch({ type: "opened" }),
        frame: (frame) => this.#onFrame(frame),
        closed: (error) => ended.reject(error),
      },
    );
    this.#connection = connection;
    try {
      return await ended.promise;
    } finally {
      await this.#persisted();
      this.#connection = undefined;
      for (const timer of this.#timers) clearTimeout(timer);
      this.#timers.clear();
      if (this.#core.phase !== "offline") this.#dispatch({ type: "closed" });
    }
  }

  #onFrame(frame: HubFrame): void {
    if (frame.t === "welcome") this.#onWelcome(frame.time);
    this.#dispatch({ type: "frame", frame });
  }

  #onWelcome(hubTimeMs: Timestamp): void {
    const { clock, hubUrl } = this.#parts;
    this.#connection?.welcomed();
    this.#welcomedAtMs = clock.monotonicMs();
    this.#sinceMs = clock.wallMs();
    this.#connections++;
    this.#lastError = undefined;
    this.#failureLog.connected({ hub: hubUrl, clockAheadMs: Math.round(clock.wallMs() - hubTimeMs) });
    this.#reportStatus();
  }

  #reportStatus(): void {
    const { statusReport } = this.#parts;
    if (statusReport === undefined) return;
    this.#connection?.send({ t: "status", status: statusReport() });
    this.#startTimer(this.#options.statusIntervalMs, () => this.#reportStatus());
  }

  #addSources(partitions: readonly LogPartition[]): void {
    for (const partition of partitions) this.#partitions.set(partition.id, partition);
    this.#dispatch({ type: "sources", sources: partitions });
  }

  #dispatch(event: UplinkEvent): void {
    for (const effect of this.#core.handle(event)) this.#carryOut(effect);
  }

  #carryOut(effect: UplinkEffect): void {
    const { logger } = this.#parts;
    switch (effect.type) {
      case "send":
        return this.#connection?.send(effect.frame);
      case "produce":
        return this.#produce(effect.produce);
      case "read":
        return this.#read(effect);
      case "adopt":
        return this.#persist(() => this.#adopt(effect.changes));
      case "renew":
        return this.#persist(async () => {
          await this.#store.renewProducer(effect.changes);
          this.#dispatch({ type: "renewed" });
        });
      case "settled":
        return this.#cursors.settle(this.#partition(effect.laneId), effect.settled, effect.delivered);
      case "gap-settled":
        return this.#persist(() => this.#store.settleGap(effect.gapId));
      case "timer": {
        const { laneId, delayMs } = effect;
        return this.#startTimer(delayMs, () => this.#dispatch({ type: "timer", laneId }));
      }
      case "partition-count":
        return void this.#followPartitionCount(effect.topic, effect.count);
      case "disconnect":
        return this.#connection?.fail(effect.error);
      case "note":
        return logger[effect.level](effect.fields, effect.text);
      default:
        return unreachable(effect);
    }
  }

  #produce({ laneId, id, acks, epoch, baseSequence, batch }: OutgoingBatch): void {
    const { topic, partition } = this.#partition(laneId);
    const connection = this.#connection;
    stampProducer(batch, { producerId: this.#store.producerId, producerEpoch: epoch, baseSequence });
    connection?.send({ t: "produce", id, topic, partition, acks, batch }, () => {
      if (this.#connection === connection) this.#dispatch({ type: "written", id, bytes: batch.length });
    });
  }

  #read({ laneId, offset, bytesMax }: Extract<UplinkEffect, { type: "read" }>): void {
    const connection = this.#connection;
    const partition = this.#partition(laneId);
    void this.#parts.log.readMerged({ partition, offset, bytesMax, codec: "zstd" }).then(
      (batch) => {
        if (this.#connection === connection) this.#dispatch({ type: "read", laneId, batch });
      },
      (error: unknown) => {
        const { code, message } = toStreamError(error);
        this.#parts.logger.warn({ code, reason: message, topic: partition.topic }, "the log could not be read");
        if (this.#connection === connection) this.#dispatch({ type: "read-failed", laneId });
      },
    );
  }

  async #adopt(changes: readonly AdoptChange[]): Promise<void> {
    const gaps = await this.#store.adopt(changes);
    const adopted = changes.map(({ partitionId }, index) => ({ laneId: partitionId, gaps: gaps[index] ?? [] }));
    this.#dispatch({ type: "adopted", adopted });
  }

  /** One after the other; a failure ends the connection, and the next welcome starts afresh from what is on disk. */
  #persist(work: () => Promise<void>): void {
    const connection = this.#connection;
    this.#persisting = this.#persisting.then(work).catch((error: unknown) => connection?.fail(toStreamError(error)));
  }

  /** What is on its way to disk belongs to this connection: the core hears of it before it hears of the end. */
  async #persisted(): Promise<void> {
    for (let seen; seen !== this.#persisting;) {
      seen = this.#persisting;
      await seen;
    }
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
    this.#addSources(log.topics.get(topic)?.partitions ?? []);
  }

  #startTimer(delayMs: number, onDue: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      onDue();
    }, delayMs);
    this.#timers.add(timer);
  }

  #partition(laneId: number): LogPartition {
    const partition = this.#partitions.get(laneId);
    if (partition === undefined) throw new StreamError("UNEXPECTED", `no partition ${laneId}`);
    return partition;
  }
}
