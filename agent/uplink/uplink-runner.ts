/**
 * The uplink of an agent: keeps a connection to the hub for as long as the agent runs. Connections follow one another;
 * each is one attempt of p-retry's loop, whose waits come from backoff.ts.
 */
import type { LookupFunction } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";
import type { ClockSession } from "../../shared/batch/provisional-time.ts";
import type { Clock } from "../../shared/clock.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Offset, Timestamp } from "../../shared/ids.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import type { HubFrame } from "../../shared/uplink/frames.ts";
import type { LossLedger } from "../ledger/loss-ledger.ts";
import type { HubTimeSample } from "../time/agent-clock.ts";
import { readAuthorities } from "./authorities.ts";
import { Backoff } from "./backoff.ts";
import { isUnheard } from "./connect-failure.ts";
import { CoreRunner } from "./core-runner.ts";
import type { DeliveredCounts } from "./cursors.ts";
import { EpochStore, logEnds } from "./epoch-store.ts";
import type { LogEnds, UplinkLog } from "./epoch-store.ts";
import { FailureLog } from "./failure-log.ts";
import { HubConnection } from "./hub-connection.ts";
import type { UplinkPhase } from "./uplink.ts";
import type { LanePolicy } from "./lane.ts";
import { unheardPlaces } from "./windows.ts";
import type { WindowPlace } from "./windows.ts";

export type UplinkOptions = {
  readonly batchBytesMax: number;
  readonly inFlightBytesMax: number;
  /** What history gets of the link while new records wait, too. */
  readonly historyPercent: number;
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
  historyPercent: 20,
  connectTimeoutMs: 30_000,
  retryMinMs: 1_000,
  retryMaxMs: 300_000,
  silenceMsMax: 45_000,
  statusIntervalMs: 10_000,
  closeMsMax: 1_500,
};

/** How often closing looks whether everything is answered. */
const CLOSE_POLL_MS = 5;

export type UplinkParts = {
  readonly log: UplinkLog;
  readonly ledger: LossLedger;
  /** ws:// or wss://; without a path, /uplink. */
  readonly hubUrl: string;
  readonly agentName: string;
  readonly token?: string | undefined;
  /** The authorities of the hub's certificate, PEM; the system's without it. */
  readonly caFile?: string | undefined;
  /** The system's without it; tests give their own. */
  readonly lookup?: LookupFunction;
  readonly version: string;
  readonly policyOf: (topic: string) => LanePolicy;
  /** The hub has more partitions of a topic than the log: make them. */
  readonly onPartitionCount: (topic: string, count: number) => Promise<unknown>;
  /** The log's disk takes no writes: what can be sent without writing anything down is sent. */
  readonly isLogReadOnly?: boolean;
  /** Of the agent's clock: to make real timestamps of provisional ones. */
  readonly clockSessions?: () => readonly ClockSession[];
  /** The hub says what time it is. By the parts' monotonic clock. */
  readonly onHubTime?: (sample: HubTimeSample) => void;
  /** Delivered records that are removed from the log together (cursors.ts). */
  readonly trimBytes: number;
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
  readonly lastError: { readonly code: string; readonly message: string; readonly hint: string } | null;
  readonly producer: string;
  readonly inFlightBatches: number;
  readonly inFlightBytes: number;
  readonly delivered: Readonly<Record<string, DeliveredCounts>>;
};

/** The parts that exist once the log has taken what the uplink writes at its start. */
type Opened = { readonly store: EpochStore; readonly runner: CoreRunner };

export class Uplink {
  readonly #parts: UplinkParts;
  readonly #options: UplinkOptions;
  readonly #failureLog: FailureLog;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #opened: Opened | undefined;
  #connection: HubConnection | undefined;
  #statusTimer: NodeJS.Timeout | undefined;
  #loop: Promise<void> = Promise.resolve();
  #removeListener: () => void = () => undefined;
  /** When the hello left. */
  #askedAtMs = 0;
  #welcomedAtMs: number | undefined;
  #sinceMs: Timestamp | null = null;
  #connections = 0;
  #lastError: StreamError | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: UplinkParts) {
    this.#parts = parts;
    this.#options = { ...defaultUplinkOptions, ...parts.options };
    this.#failureLog = new FailureLog(parts.logger, parts.clock);
    this.#backoff = new Backoff(this.#options);
  }

  /**
   * Resolves when the uplink knows where it stood; connecting goes on by itself, for ever. A log without room is no
   * reason to fail: the uplink opens when there is room, for example because the hub was what it waited for.
   */
  async start(): Promise<void> {
    const { log } = this.#parts;
    // Before the first record of this run is written.
    const ends = logEnds(log);
    try {
      this.#opened = await this.#open(ends);
    } catch (error) {
      if (!toStreamError(error).retriable) throw error;
      this.#lastError = toStreamError(error);
    }
    this.#removeListener = log.onCommit((changed) => this.#opened?.runner.addSources(changed));
    this.#loop = this.#connectForEver(ends);
  }

  status(): UplinkStatus {
    const core = this.#opened?.runner.core;
    const error = this.#lastError;
    return {
      isConnected: core?.phase === "connected",
      hub: this.#parts.hubUrl,
      phase: this.#closing === undefined ? (core?.phase ?? "offline") : "closed",
      sinceMs: this.#sinceMs,
      connections: this.#connections,
      failures: this.#backoff.failures,
      lastError: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint },
      producer: String(this.#opened?.store.producerId ?? ""),
      inFlightBatches: core?.inFlightCount ?? 0,
      inFlightBytes: core?.inFlightBytes ?? 0,
      delivered: Object.fromEntries(this.#opened?.runner.delivered() ?? []),
    };
  }

  /** The first record of the partition that the hub has not confirmed. */
  pendingFrom(partition: LogPartition): Offset {
    return this.#opened?.runner.settled(partition) ?? 0;
  }

  /** How far each of its lanes has come, oldest first. */
  places(partition: LogPartition): readonly WindowPlace[] {
    return this.#opened?.runner.places(partition) ?? unheardPlaces;
  }

  /** Waits a moment for what is on its way, then ends the connection and writes the cursors down. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    const { clock } = this.#parts;
    const runner = this.#opened?.runner;
    runner?.drain();
    const deadlineMs = clock.monotonicMs() + this.#options.closeMsMax;
    while (runner?.core.phase === "connected" && !runner.core.isQuiet && clock.monotonicMs() < deadlineMs) {
      await delay(CLOSE_POLL_MS);
    }
    this.#stop.abort(new StreamError("CLOSING", "the agent is stopping"));
    this.#connection?.close();
    await this.#loop;
    this.#removeListener();
    await this.#opened?.runner.flush();
  }

  async #open(ends: LogEnds): Promise<Opened> {
    const { batchBytesMax, inFlightBytesMax, historyPercent } = this.#options;
    const store = await EpochStore.open(this.#parts.log, this.#parts.ledger, ends);
    return {
      store,
      runner: new CoreRunner({
        clockSessions: () => [],
        ...this.#parts,
        store,
        batchBytesMax,
        inFlightBytesMax,
        historyPercent,
      }),
    };
  }

  async #connectForEver(ends: LogEnds): Promise<void> {
    const { signal } = this.#stop;
    try {
      await pRetry(() => this.#connectOnce(ends), {
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
    const nowMs = clock.monotonicMs();
    const connectedMs = this.#welcomedAtMs === undefined ? undefined : nowMs - this.#welcomedAtMs;
    this.#welcomedAtMs = undefined;
    const waitMs = this.#backoff.failed({ connectedMs, isUnheard: isUnheard(error), nowMs, random: random() });
    this.#lastError = error;
    this.#sinceMs = clock.wallMs();
    this.#failureLog.failed(error, waitMs);
    // Aborted when the uplink closes: p-retry looks at the signal itself.
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }

  /** Never resolves: a connection ends with the error that ended it. */
  async #connectOnce(ends: LogEnds): Promise<never> {
    const { hubUrl, token, caFile, lookup, clock } = this.#parts;
    const { connectTimeoutMs, silenceMsMax } = this.#options;
    this.#opened ??= await this.#open(ends);
    const { runner } = this.#opened;
    const authorities = caFile === undefined ? undefined : await readAuthorities(caFile);
    this.#stop.signal.throwIfAborted();
    const ended = Promise.withResolvers<never>();
    const connection: HubConnection = new HubConnection(
      { url: hubUrl, token, authorities, lookup, connectTimeoutMs, silenceMsMax, clock },
      {
        opened: () => {
          this.#askedAtMs = clock.monotonicMs();
          runner.opened(connection);
        },
        frame: (frame) => this.#onFrame(runner, frame),
        closed: (error) => ended.reject(error),
      },
    );
    this.#connection = connection;
    try {
      return await ended.promise;
    } finally {
      this.#connection = undefined;
      clearTimeout(this.#statusTimer);
      await runner.closed();
    }
  }

  #onFrame(runner: CoreRunner, frame: HubFrame): void {
    if (frame.t === "welcome") this.#onWelcome(frame.time);
    runner.frame(frame);
  }

  #onWelcome(hubTimeMs: Timestamp): void {
    const { clock, hubUrl } = this.#parts;
    this.#connection?.welcomed();
    this.#welcomedAtMs = clock.monotonicMs();
    this.#sinceMs = clock.wallMs();
    this.#connections++;
    this.#lastError = undefined;
    this.#failureLog.connected({ hub: hubUrl, clockAheadMs: Math.round(clock.wallMs() - hubTimeMs) });
    const sample = { hubMs: hubTimeMs, askedAtMs: this.#askedAtMs, answeredAtMs: this.#welcomedAtMs };
    this.#parts.onHubTime?.(sample);
    this.#reportStatus();
  }

  #reportStatus(): void {
    const { statusReport } = this.#parts;
    if (statusReport === undefined) return;
    this.#connection?.send({ t: "status", status: statusReport() });
    this.#statusTimer = setTimeout(() => this.#reportStatus(), this.#options.statusIntervalMs);
  }
}
