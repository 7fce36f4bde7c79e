/**
 * The agent's MQTT listener on TCP and WebSocket.
 *
 *   socket ─▶ connection-counts ─▶ connect-guard ─▶ mqtt-broker (aedes, admission) ─▶ sink ─▶ PUBACK
 *                                                        └▶ persistence (sessions, retained messages, wills)
 *
 * Stopping: no more connections, no more reading; what the sink has is acknowledged; then the connections end. Each of
 * these waits has its maximum.
 */
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import { guardConnection } from "./connect-guard.ts";
import { ConnectionCounts } from "./connection-counts.ts";
import { LimitLog } from "./limit-log.ts";
import { MqttBroker } from "./mqtt-broker.ts";
import type { MqttBrokerOptions } from "./mqtt-broker.ts";

export type ListenAddress = { readonly host: string; readonly port: number };

export type MqttListenerOptions = MqttBrokerOptions & {
  readonly tcp: ListenAddress;
  readonly webSocket?: ListenAddress | undefined;
  /** Origins of web pages that may connect over WebSocket. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Listen on an address other than loopback without authentication. */
  readonly isInsecure?: boolean | undefined;
  readonly clock: Clock;
};

export type BoundAddresses = { readonly mqtt: ListenAddress; readonly webSocket: ListenAddress | undefined };

/** For the sink's answers when closing, and once more for those to the wills. */
const CLOSE_TIMEOUT_MS = 3000;
/** How long the clients' side of the connections may take to end after ours has. */
const END_TIMEOUT_MS = 500;
/** Sessions age in steps of this. */
const SESSION_SWEEP_MS = 10 * 60 * 1000;
/** Finds peers that are gone without a word, whatever keep alive they asked for. */
const TCP_KEEP_ALIVE_MS = 60_000;

export class MqttListener {
  readonly #options: MqttListenerOptions;
  readonly #logger: Logger;
  readonly #limitLog: LimitLog;
  readonly #counts: ConnectionCounts;
  readonly #broker: MqttBroker;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #sweep: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: MqttListenerOptions) {
    const { limits, logger, clock } = options;
    this.#options = options;
    this.#logger = logger;
    this.#limitLog = new LimitLog(limits, logger, clock);
    this.#counts = new ConnectionCounts(limits);
    this.#broker = new MqttBroker(options, this.#limitLog);
  }

  /**
   * Loads the sessions, publishes the wills a killed run has left, then listens.
   *
   * @throws StreamError PORT_IN_USE, LISTENER_NOT_PROTECTED.
   */
  async start(): Promise<BoundAddresses> {
    const { tcp, webSocket, limits, allowedOrigins = [] } = this.#options;
    this.#requireProtection(tcp);
    if (webSocket !== undefined) this.#requireProtection(webSocket);
    await this.#broker.start();
    try {
      const server = createServer((socket) => {
        if (this.#accept(socket)) this.#serve(socket, socket);
      });
      const bound = { mqtt: await this.#listen(server, tcp), webSocket: undefined };
      this.#startSweep();
      if (webSocket === undefined) return bound;
      // With it comes Node's HTTP of all versions, 5 MB.
      const { createMqttWebSocketServer } = await import("./websocket-server.ts");
      const http = createMqttWebSocketServer({
        limits,
        allowedOrigins,
        accept: (stream, request) => this.#serve(stream, request.socket, request),
      });
      http.on("connection", (socket: Socket) => this.#accept(socket));
      return { ...bound, webSocket: await this.#listen(http, webSocket) };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  stats() {
    return { connections: this.#counts.open, limits: this.#limitLog.counts(), ...this.#broker.stats() };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #requireProtection({ host, port }: ListenAddress): void {
    const { authenticate, isInsecure } = this.#options;
    if (isLoopbackHost(host) || authenticate !== undefined || isInsecure === true) return;
    throw new StreamError("LISTENER_NOT_PROTECTED", `MQTT on ${host}:${port}`, { details: { host, port } });
  }

  async #listen(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ host, port }, resolve);
    try {
      await promise;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      throw new StreamError("PORT_IN_USE", `MQTT on ${host}:${port}`, { cause: error, details: { host, port } });
    }
    server.off("error", reject);
    server.on("error", (error) => this.#logger.error({ err: error }, "MQTT server failed"));
    this.#servers.push(server);
    const bound = server.address() as AddressInfo;
    return { host: bound.address, port: bound.port };
  }

  /** Counts the socket, or closes it for the limit it is over. */
  #accept(socket: Socket): boolean {
    const address = socket.remoteAddress;
    // Undefined when the peer is gone already.
    const limit =
      address === undefined || this.#closing !== undefined
        ? "closed"
        : this.#counts.tryOpen(address, isLoopbackHost(address), this.#options.clock.monotonicMs());
    if (limit !== undefined) {
      if (limit !== "closed") this.#limitLog.reached(limit, { address: address! });
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#counts.closed(address!);
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    return true;
  }

  #serve(stream: Duplex, socket: Socket, request?: IncomingMessage): void {
    const address = socket.remoteAddress ?? "";
    guardConnection(stream, this.#options.limits, (limit) => this.#limitLog.reached(limit, { address }));
    this.#broker.serve(stream, address, request);
  }

  #startSweep(): void {
    const { clock } = this.#options;
    let sweptMs = clock.monotonicMs();
    this.#sweep = setInterval(() => {
      const now = clock.monotonicMs();
      this.#broker.ageSessions(now - sweptMs).catch((error: unknown) => {
        this.#logger.error({ err: error }, "MQTT sessions not aged");
      });
      sweptMs = now;
    }, SESSION_SWEEP_MS).unref();
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweep);
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    this.#broker.pause();
    await inTime(this.#broker.settle(), CLOSE_TIMEOUT_MS);
    await inTime(this.#broker.endConnections(), END_TIMEOUT_MS);
    await this.#broker.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
    await inTime(this.#broker.settle(), CLOSE_TIMEOUT_MS);
  }
}

async function inTime(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
