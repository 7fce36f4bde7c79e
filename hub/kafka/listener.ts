/**
 * The Kafka listener: a TCP server in front of engine and groups. It owns the connections, their common limits and the
 * counters; what is answered is decided in handlers/.
 */
import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import { invariant } from "../../shared/invariant.ts";
import type { Logger } from "../../shared/logger.ts";
import { allowAll } from "../access/authorizer.ts";
import type { Authorizer } from "../access/authorizer.ts";
import { anonymous } from "../access/principal.ts";
import type { CertificateWatch } from "../access/certificate-watch.ts";
import type { UserDirectory } from "../access/user-directory.ts";
import type { Engine } from "../engine/engine.ts";
import type { Groups } from "../group/groups.ts";
import { Complaints } from "./complaints.ts";
import { Connection } from "./connection.ts";
import type { ConnectionGate, RequestBudget } from "./connection.ts";
import { dispatch } from "./dispatch.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import type { Peer, Services } from "./handler.ts";
import { kafkaDefaults } from "./options.ts";
import type { KafkaOptions } from "./options.ts";
import { Purgatory } from "../engine/purgatory.ts";
import { Logins, openGate } from "./sasl/logins.ts";
import { dispatchRawToken } from "./sasl/raw-token.ts";
import { TlsTerminator } from "./tls-terminator.ts";
import { TopicIds } from "./topic-ids.ts";

export type KafkaListenerParts = {
  readonly engine: Engine;
  readonly groups: Groups;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options?: Partial<KafkaOptions>;
  /** Who may do what; everybody everything when it is left out. */
  readonly authorizer?: Authorizer;
  /** Everybody has to authenticate as one of them; nobody when it is left out. */
  readonly users?: UserDirectory | undefined;
  /** The listener speaks TLS, and nothing else. */
  readonly certificate?: CertificateWatch | undefined;
};

export type KafkaStats = {
  readonly connections: number;
  readonly connectionsTotal: number;
  /** Closed by a limit or for what the client sent. */
  readonly connectionsRefusedTotal: number;
  readonly loginFailuresTotal: number;
  readonly requestsTotal: ReadonlyMap<string, number>;
  readonly requestBytesInFlight: number;
  readonly fetchesParked: number;
  readonly fetchSessions: number;
  readonly fetchSessionPartitions: number;
  readonly bytesInTotal: number;
  readonly bytesOutTotal: number;
};

/** What `accept` has made for a connection, which begins to be served at once or after its TLS handshake. */
type Accepted = {
  readonly socket: Socket;
  readonly address: string;
  readonly peer: Peer;
  readonly gate: ConnectionGate;
  readonly closed: AbortController;
};

export class KafkaListener {
  readonly #options: KafkaOptions;
  readonly #services: Services;
  readonly #server: Server;
  /** Undefined during its TLS handshake. */
  readonly #connections = new Map<Socket, Connection | undefined>();
  readonly #logins: Logins | undefined;
  readonly #tls: TlsTerminator | undefined;
  readonly #perAddress = new Map<string, number>();
  readonly #requestsTotal = new Map<string, number>();
  readonly #complaints: Complaints;
  readonly #budget: Budget;
  #connectionsTotal = 0;
  #connectionsRefusedTotal = 0;
  /** Of connections that are closed; open ones count for themselves. */
  #closedBytesIn = 0;
  #closedBytesOut = 0;

  constructor(parts: KafkaListenerParts) {
    const { engine, groups, clock, logger, options, authorizer = allowAll, users, certificate } = parts;
    this.#options = { ...kafkaDefaults, ...options };
    this.#complaints = new Complaints(clock, logger);
    if (users !== undefined) this.#logins = new Logins({ users, clock, options: this.#options });
    if (certificate !== undefined) {
      const tls = new TlsTerminator(certificate.current, this.#options.handshakeMsMax);
      certificate.onChange((changed) => tls.use(changed));
      this.#tls = tls;
    }
    this.#services = {
      engine,
      groups,
      clock,
      logger,
      options: this.#options,
      purgatory: new Purgatory(engine),
      fetchSessions: new FetchSessions(clock, this.#options),
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
    for (const [socket, connection] of this.#connections) {
      if (connection === undefined) socket.destroy();
      else connection.drain();
    }
    const deadline = setTimeout(() => {
      for (const socket of this.#connections.keys()) this.#destroy(socket);
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
      loginFailuresTotal: this.#logins?.failuresTotal ?? 0,
      requestsTotal: this.#requestsTotal,
      requestBytesInFlight: this.#budget.taken,
      fetchesParked: this.#services.purgatory.size,
      fetchSessions: this.#services.fetchSessions.size,
      fetchSessionPartitions: this.#services.fetchSessions.partitionCount,
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
    const closed = new AbortController();
    const login = this.#logins?.begin({
      address,
      isEncrypted: this.#tls !== undefined,
      onLogin: (principal) => (peer.principal = principal),
      onFailure: ({ error, mechanism, user }) => this.#refused(address, error, { mechanism, user }),
      onTooLate: (error) => this.#drop(socket, address, error),
    });
    const peer: Peer = {
      ...this.#placeOf(socket, address),
      isIdentified: false,
      principal: anonymous,
      sasl: login?.session,
      closed: closed.signal,
    };
    this.#connections.set(socket, undefined);
    socket.once("close", () => {
      login?.abandon();
      this.#forget(socket, address);
    });
    this.#begin({ socket, address, peer, gate: login?.gate ?? openGate(this.#options), closed });
  }

  #begin(accepted: Accepted): void {
    const { socket, address } = accepted;
    if (this.#tls === undefined) {
      this.#serve(accepted, socket);
      return;
    }
    this.#tls.secure(socket).then(
      (secured) => {
        if (secured !== undefined && !socket.destroyed) this.#serve(accepted, secured);
      },
      (error: unknown) => this.#drop(socket, address, toStreamError(error)),
    );
  }

  /** Over TLS the requests come by another socket than the accepted one. */
  #serve({ socket: accepted, address, peer, gate, closed }: Accepted, socket: Socket): void {
    const { sasl } = peer;
    const connection = new Connection({
      socket,
      options: this.#options,
      gate,
      budget: this.#budget,
      closed,
      dispatch: (frame) =>
        sasl?.takesRawTokens === true ? dispatchRawToken(frame, sasl) : dispatch(frame, this.#services, peer),
      onRequest: (api) => this.#requestsTotal.set(api, (this.#requestsTotal.get(api) ?? 0) + 1),
      onRefused: (error) => this.#refused(address, error),
    });
    this.#connections.set(accepted, connection);
  }

  #limitReached(address: string): string | undefined {
    const { connectionsMax, connectionsPerAddressMax, loginFailuresPerMinuteMax } = this.#options;
    if (this.#connections.size >= connectionsMax) return `connectionsMax: ${connectionsMax} are open`;
    const open = this.#perAddress.get(address) ?? 0;
    if (open >= connectionsPerAddressMax && !isLoopbackHost(address)) {
      return `connectionsPerAddressMax: ${connectionsPerAddressMax} are open`;
    }
    if (this.#logins?.isBlocked(address) !== true) return undefined;
    return `loginFailuresPerMinuteMax: ${loginFailuresPerMinuteMax} logins from there have failed`;
  }

  #forget(socket: Socket, address: string): void {
    this.#connections.delete(socket);
    this.#closedBytesIn += socket.bytesRead;
    this.#closedBytesOut += socket.bytesWritten;
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }

  #placeOf(socket: Socket, address: string): Pick<Peer, "clientHost" | "advertised"> {
    const { advertisedHost, advertisedPort, host, port } = this.#options;
    return {
      clientHost: `/${address}`,
      advertised: {
        host: advertisedHost ?? (socket.localAddress === undefined ? host : plainAddress(socket.localAddress)),
        port: advertisedPort ?? socket.localPort ?? port,
      },
    };
  }

  #drop(socket: Socket, address: string, error: StreamError): void {
    this.#refused(address, error);
    this.#destroy(socket);
  }

  /** Over TLS there are two sockets, one on top of the other. */
  #destroy(socket: Socket): void {
    this.#connections.get(socket)?.destroy();
    socket.destroy();
  }

  #refused(address: string, error: StreamError, more: Readonly<Record<string, string | undefined>> = {}): void {
    this.#connectionsRefusedTotal++;
    this.#complaints.write(address, error, more);
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
