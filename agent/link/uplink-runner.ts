/**
 * The agent's side of the uplink: keeps a connection to the hub for as long as the agent runs, one session at a time.
 *
 *   waiting ─▶ connecting ─▶ session … ended ─▶ waiting (full jitter; from the beginning after a stable connection)
 *
 * It never gives up and never needs the hub to start: no network, no name service and a wrong clock are all the same
 * "not yet". Reconnecting alone starts the drain.
 */
import pRetry, { AbortError } from "p-retry";
import { WebSocket } from "ws";
import type { Clock } from "../../shared/clock.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Acks } from "../../shared/record.ts";
import { decodeHubFrame, encodeFrame } from "../../shared/link/frame-codec.ts";
import { UPLINK_MESSAGE_BYTES_MAX, UPLINK_PATH, UPLINK_SUBPROTOCOL } from "../../shared/link/frames.ts";
import { Watchdog } from "../../shared/link/watchdog.ts";
import { backoffMs } from "./backoff.ts";
import { Cursors } from "./cursors.ts";
import { Epochs } from "./epoch-table.ts";
import { UplinkSession } from "./session.ts";

export type UplinkOptions = {
  /** ws:// or wss://; the path is added. */
  readonly hub: string;
  readonly token: string | undefined;
  readonly agentName: string;
  readonly version: string;
  readonly batchBytesMax: number;
  readonly inFlightBytesMax: number;
  readonly connectTimeoutMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** Silence after which a connection is dead; a ping is sent after less than half of it. */
  readonly silenceMsMax: number;
};

export type UplinkParts = {
  readonly log: PartitionedLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly acksOf: (topic: string) => Acks;
  readonly options: UplinkOptions;
};

/** A connection that lasted so long starts the back-off from its beginning; a shorter one does not. */
const STABLE_MS = 10_000;
/** How long closing waits for the hub's answers to what is in flight. */
const CLOSE_TIMEOUT_MS = 2000;
const NORMAL_CLOSURE = 1000;

export type UplinkStatus = {
  readonly isConnected: boolean;
  readonly hub: string;
  readonly bytesInFlight: number;
  readonly connects: number;
  /** Why the last connection ended or failed; null while connected. */
  readonly lastError: { readonly code: string; readonly message: string; readonly hint: string } | null;
  /** Records delivered since the start, by topic. */
  readonly delivered: Readonly<Record<string, number>>;
  readonly sentBytes: number;
};

export class Uplink {
  readonly #parts: UplinkParts;
  readonly #epochs: Epochs;
  readonly #cursors: Cursors;
  readonly #stop = new AbortController();
  #session: UplinkSession | undefined;
  #closeSession: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #connects = 0;
  #sentBytes = 0;
  #lastError: StreamError | undefined;

  private constructor(parts: UplinkParts, epochs: Epochs) {
    this.#parts = parts;
    this.#epochs = epochs;
    this.#cursors = new Cursors(parts.log, (error) => {
      if (!this.#stop.signal.aborted) parts.logger.warn({ err: error }, "delivered records could not be trimmed");
    });
  }

  /** Before anything is appended to the log, because it marks where the log ends now. */
  static async open(parts: UplinkParts): Promise<Uplink> {
    return new Uplink(parts, await Epochs.load(parts.log));
  }

  start(): void {
    this.#running ??= this.#run();
  }

  status(): UplinkStatus {
    const error = this.#session?.isConnected === true ? undefined : this.#lastError;
    return {
      isConnected: this.#session?.isConnected ?? false,
      hub: this.#parts.options.hub,
      bytesInFlight: this.#session?.bytesInFlight ?? 0,
      connects: this.#connects,
      lastError: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint },
      delivered: Object.fromEntries(this.#cursors.deliveredRecords()),
      sentBytes: this.#sentBytes,
    };
  }

  /** The first record of the partition that does not count as delivered. */
  pendingFrom(partition: LogPartition): Offset {
    return this.#cursors.deliveredTo(partition) ?? partition.logStartOffset;
  }

  /** Ends the connection and trims what is delivered. What is in flight is found out at the next start. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#closeSession?.();
    await this.#running;
    this.#cursors.trim();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await pRetry(() => this.#connectUntilStable(), {
          retries: Infinity,
          minTimeout: 0,
          maxTimeout: 0,
          signal: this.#stop.signal,
          onFailedAttempt: ({ attemptNumber }) => this.#wait(attemptNumber - 1),
        });
        // A stable connection has ended: many agents may have lost it at this moment.
        await this.#wait(0);
      } catch (error) {
        // Closing aborts the attempts; anything else is a mistake of ours and must be seen.
        if (!this.#stop.signal.aborted) throw error;
      }
    }
  }

  #wait(attempt: number): Promise<void> {
    const { retryMinMs: minMs, retryMaxMs: maxMs } = this.#parts.options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, backoffMs({ minMs, maxMs }, attempt, Math.random()));
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    return promise.finally(() => this.#stop.signal.removeEventListener("abort", stop));
  }

  /** Resolves after a connection that lasted; rejects after one that did not, so that the waits grow. */
  async #connectUntilStable(): Promise<void> {
    const { clock, logger } = this.#parts;
    if (this.#stop.signal.aborted) throw new AbortError("closing");
    let connectedAtMs: number | undefined;
    const error = await this.#connect(() => {
      connectedAtMs = clock.monotonicMs();
    });
    if (this.#stop.signal.aborted) return;
    const lastedMs = connectedAtMs === undefined ? 0 : clock.monotonicMs() - connectedAtMs;
    const isNews = this.#lastError?.message !== error.message || connectedAtMs !== undefined;
    this.#lastError = error;
    const line = { code: error.code, reason: error.message, hint: error.hint, lastedMs: Math.round(lastedMs) };
    if (isNews) logger.warn(line, "not connected to the hub; the data is kept and the agent tries again");
    else logger.debug(line, "still not connected to the hub");
    if (lastedMs < STABLE_MS) throw error;
  }

  /** One connection, from its first byte to its last. Resolves with the reason of its end; never rejects. */
  #connect(onWelcome: () => void): Promise<StreamError> {
    const { promise, resolve } = Promise.withResolvers<StreamError>();
    const { options } = this.#parts;
    let reason: StreamError | undefined;
    let socket: WebSocket;
    try {
      socket = this.#openSocket();
    } catch (error) {
      return Promise.resolve(toStreamError(error));
    }
    const end = (error: StreamError): void => {
      reason ??= error;
      socket.terminate();
    };
    const session = this.#newSession(socket, end);
    const watchdog = new Watchdog({ silenceMsMax: options.silenceMsMax, socket, peer: "the hub", end });
    let isWelcome = false;
    socket.on("open", () => session.greet());
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      watchdog.heard();
      try {
        if (!isBinary) throw new StreamError("PROTOCOL_VIOLATION", "a text message");
        session.receive(decodeHubFrame(data));
      } catch (error) {
        return end(toStreamError(error));
      }
      if (isWelcome) return;
      isWelcome = true;
      this.#connects++;
      this.#parts.logger.info({ hub: options.hub }, "connected to the hub");
      onWelcome();
    });
    socket.on("unexpected-response", (_request, response) => {
      const status = response.statusCode ?? 0;
      const message = `the hub answered ${status} ${response.statusMessage ?? ""}`.trim();
      end(new StreamError(status === 401 ? "UNAUTHORIZED" : "HUB_UNREACHABLE", message));
    });
    socket.on("error", (error) => {
      reason ??= new StreamError("HUB_UNREACHABLE", connectionProblem(error), { cause: error });
    });
    socket.on("close", (code, text) => {
      watchdog.stop();
      session.end();
      this.#session = undefined;
      this.#closeSession = undefined;
      const why = `the hub closed the connection (${code}${text.length > 0 ? ` ${String(text)}` : ""})`;
      resolve(reason ?? new StreamError("HUB_UNREACHABLE", why));
    });
    this.#session = session;
    this.#closeSession = () => {
      if (socket.readyState !== WebSocket.OPEN) return socket.terminate();
      socket.close(NORMAL_CLOSURE);
      setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref();
    };
    return promise;
  }

  #openSocket(): WebSocket {
    const { hub, token, connectTimeoutMs } = this.#parts.options;
    return new WebSocket(new URL(UPLINK_PATH, hub), UPLINK_SUBPROTOCOL, {
      handshakeTimeout: connectTimeoutMs,
      maxPayload: UPLINK_MESSAGE_BYTES_MAX,
      // Batches are compressed already.
      perMessageDeflate: false,
      skipUTF8Validation: true,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
  }

  #newSession(socket: WebSocket, end: (error: StreamError) => void): UplinkSession {
    const { log, clock, logger, acksOf, options } = this.#parts;
    const { agentName, version, batchBytesMax, inFlightBytesMax } = options;
    return new UplinkSession({
      log,
      epochs: this.#epochs,
      cursors: this.#cursors,
      clock,
      logger,
      acksOf,
      agentName,
      version,
      batchBytesMax,
      inFlightBytesMax,
      end,
      onPartitionCount: (topic, count) => this.#growTopic(topic, count),
      send: (frame, sent) => {
        if (socket.readyState !== WebSocket.OPEN) return;
        const bytes = encodeFrame(frame);
        this.#sentBytes += bytes.length;
        socket.send(bytes, (error) => {
          if (!error) sent?.();
        });
      },
    });
  }

  /** The hub has more partitions of a topic: keyed records must go where every other producer puts them. */
  #growTopic(topic: string, partitionCount: number): void {
    const { log, logger } = this.#parts;
    log.createPartitions(topic, partitionCount).then(
      () => logger.info({ topic, partitions: partitionCount }, "the topic follows the hub's partition count"),
      (error: unknown) => logger.warn({ err: error, topic }, "the topic could not follow the hub's partition count"),
    );
  }
}

/** ws and Node wrap what happened; the innermost text says it best. An AggregateError has no text of its own. */
function connectionProblem(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  return inner?.message ?? error.message;
}
