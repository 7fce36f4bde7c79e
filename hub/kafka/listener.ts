/**
 * The Kafka listener: a TCP server in front of engine and groups. It owns the connections, their common limits and the
 * counters; what is answered is decided in handlers/.
 */
import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import { StreamError } from "../../shared/errors.ts";
import { invariant } from "../../shared/invariant.ts";
import type { Logger } from "../../shared/logger.ts";
import { allowAll } from "../access/authorizer.ts";
import type { Authorizer } from "../access/authorizer.ts";
import { anonymous } from "../access/principal.ts";
import type { Engine } from "../engine/engine.ts";
import type { Groups } from "../group/groups.ts";
import { Connection } from "./connection.ts";
import type { RequestBudget } from "./connection.ts";
import { dispatch } from "./dispatch.ts";
import type { Peer, Services } from "./handler.ts";
import { kafkaDefaults } from "./options.ts";
import type { KafkaOptions } from "./options.ts";
import { Purgatory } from "./purgatory.ts";
import { TopicIds } from "./topic-ids.ts";

export type KafkaListenerParts = {
  readonly engine: Engine;
  readonly groups: Groups;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options?: Partial<KafkaOptions>;
  /** Who may do what; everybody everything when it is left out. */
  readonly authorizer?: Authorizer;
};

export type KafkaStats = {
  readonly connections: number;
  readonly connectionsTotal: number;
  /** Closed by a limit or for what the client sent. */
  readonly connectionsRefusedTotal: number;
  readonly requestsTotal: ReadonlyMap<string, number>;
  readonly requestBytesInFlight: number;
  readonly fetchesParked: number;
  readonly bytesInTotal: number;
  readonly bytesOutTotal: number;
};

/** The same complaint is written once in this time, with a count. */
const COMPLAINT_INTERVAL_MS = 10_000;

export class KafkaListener {
  readonly #options: KafkaOptions;
  readonly #services: Services;
  readonly #server: Server;
  readonly #connections = new Map<Socket, Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly #requestsTotal = new Map<string, number>();
  readonly #complaints = new Map<string, { lastMs: number; suppressed: number }>();
  readonly #budget: Budget;
  #connectionsTotal = 0;
  #connectionsRefusedTotal = 0;
  /** Of connections that are closed; open ones count for themselves. */
  #closedBytesIn = 0;
  #closedBytesOut = 0;

  constructor({ engine, groups, clock, logger, options, authorizer = allowAll }: KafkaListenerParts) {
    this.#options = { ...kafkaDefaults, ...options };
    this.#services = {
      engine,
      groups,
      clock,
      logger,
      options: this.#options,
      purgatory: new Purgatory(engine),
      topicIds: new TopicIds(engine),
      authorizer,
    };
    this.#budget = new Budget(this.#options.requestBytesInFlightMax);
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /**
   * Resolves with the address that is really bound.
   *
   * @throws StreamError PORT_IN_USE; CONFIG_INVALID when the address cannot be bound for another reason.
   */
  start(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        const address = `${host}:${port}`;
        if (error.code === "EADDRINUSE") {
          reject(new StreamError("PORT_IN_USE", `the Kafka listener cannot have ${address}`, { cause: error }));
        } else {
          const message = `the Kafka listener cannot bind ${address}: ${error.message}`;
          reject(new StreamError("CONFIG_INVALID", message, { cause: error }));
        }
      };
      this.#server.once("error", onError);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", onError);
        // Such as running out of file descriptors: the connection is lost, the listener goes on.
        this.#server.on("error", (error) => this.#services.logger.error({ err: error }, "kafka listener failed"));
        const bound = this.#server.address();
        invariant(bound !== null && typeof bound === "object", "a TCP server has an address");
        resolve({ host: bound.address, port: bound.port });
      });
    });
  }

  /** Stops accepting, answers what is in flight (parked fetches with what there is), and closes within `closeMsMax`. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#services.purgatory.close();
    for (const connection of this.#connections.values()) connection.drain();
    const deadline = setTimeout(() => {
      for (const connection of this.#connections.values()) connection.destroy();
    }, this.#options.closeMsMax);
    await closed;
    clearTimeout(deadline);
  }

  stats(): KafkaStats {
    let bytesInTotal = this.#closedBytesIn;
    let bytesOutTotal = this.#closedBytesOut;
    for (const socket of this.#connections.keys()) {
      bytesInTotal += socket.bytesRead;
      bytesOutTotal += socket.bytesWritten;
    }
    return {
      connections: this.#connections.size,
      connectionsTotal: this.#connectionsTotal,
      connectionsRefusedTotal: this.#connectionsRefusedTotal,
      requestsTotal: this.#requestsTotal,
      requestBytesInFlight: this.#budget.taken,
      fetchesParked: this.#services.purgatory.size,
      bytesInTotal,
      bytesOutTotal,
    };
  }

  #accept(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress);
    const limit = this.#limitReached(address);
    if (limit !== undefined) {
      this.#refused(address, new StreamError("OVERLOADED", limit));
      socket.destroy();
      return;
    }
    this.#connectionsTotal++;
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    const peer = this.#peerOf(socket, address);
    const connection = new Connection({
      socket,
      options: this.#options,
      budget: this.#budget,
      dispatch: (frame, closed) => dispatch(frame, this.#services, { ...peer, closed }),
      onRequest: (api) => this.#requestsTotal.set(api, (this.#requestsTotal.get(api) ?? 0) + 1),
      onRefused: (error) => this.#refused(address, error),
    });
    this.#connections.set(socket, connection);
    socket.once("close", () => this.#forget(socket, address));
  }

  #limitReached(address: string): string | undefined {
    const { connectionsMax, connectionsPerAddressMax } = this.#options;
    if (this.#connections.size >= connectionsMax) return `connectionsMax: ${connectionsMax} are open`;
    const open = this.#perAddress.get(address) ?? 0;
    if (open < connectionsPerAddressMax || isLoopbackHost(address)) return undefined;
    return `connectionsPerAddressMax: ${connectionsPerAddressMax} are open`;
  }

  #forget(socket: Socket, address: string): void {
    this.#connections.delete(socket);
    this.#closedBytesIn += socket.bytesRead;
    this.#closedBytesOut += socket.bytesWritten;
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }

  #peerOf(socket: Socket, address: string): Omit<Peer, "closed"> {
    const { advertisedHost, advertisedPort, host, port } = this.#options;
    return {
      clientHost: `/${address}`,
      isIdentified: false,
      principal: anonymous,
      advertised: {
        host: advertisedHost ?? (socket.localAddress === undefined ? host : plainAddress(socket.localAddress)),
        port: advertisedPort ?? socket.localPort ?? port,
      },
    };
  }

  /** A client that keeps offending must not fill the log. */
  #refused(address: string, error: StreamError): void {
    this.#connectionsRefusedTotal++;
    const now = this.#services.clock.monotonicMs();
    const complaint = this.#complaints.get(error.code);
    if (complaint !== undefined && now - complaint.lastMs < COMPLAINT_INTERVAL_MS) {
      complaint.suppressed++;
      return;
    }
    this.#complaints.set(error.code, { lastMs: now, suppressed: 0 });
    const fields = { client: address, code: error.code, reason: error.message, suppressed: complaint?.suppressed ?? 0 };
    if (error.code === "UNEXPECTED") this.#services.logger.error({ ...fields, err: error }, "kafka request failed");
    else this.#services.logger.warn(fields, "kafka connection closed");
  }
}

class Budget implements RequestBudget {
  readonly #bytesMax: number;
  readonly #waiting = new Set<() => void>();
  taken = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  take(bytes: number, retry: () => void): boolean {
    // One request always gets through, however small the budget is.
    if (this.taken > 0 && this.taken + bytes > this.#bytesMax) {
      this.#waiting.add(retry);
      return false;
    }
    this.taken += bytes;
    return true;
  }

  release(bytes: number): void {
    this.taken -= bytes;
    if (this.#waiting.size === 0) return;
    const waiting = Array.from(this.#waiting);
    this.#waiting.clear();
    // Not within the caller, who may be in the midst of serving.
    queueMicrotask(() => {
      for (const retry of waiting) retry();
    });
  }

  forget(retry: () => void): void {
    this.#waiting.delete(retry);
  }
}

/** An IPv4 address that came in over a dual-stack socket, as people write it. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return "unknown";
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
