/**
 * The agents' way in: WebSockets on the hub's HTTP listener. Everything that can be refused is refused in the upgrade,
 * before a frame is read; after it every wait and every buffer has its limit.
 *
 *   upgrade ──▶ origin, rate, token, subprotocol, room ──▶ WebSocket ──hello within 30 s──▶ session
 *
 * One connection an installation: the new one wins, because the old one is most likely dead and does not know it.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { Clock } from "../../shared/clock.ts";
import { errorTable, StreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import type { ProducerId } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import { UPLINK_MESSAGE_BYTES_MAX, UPLINK_SUBPROTOCOL, uplinkSubprotocols } from "../../shared/uplink/frames.ts";
import { AgentConnection } from "./agent-connection.ts";
import type { SessionEngine } from "./agent-session.ts";
import { InFlightPool } from "./in-flight-pool.ts";
import type { DeclaredLoss, LossLedger, LossTotal } from "./loss-ledger.ts";
import { AgentRegistry } from "./registry.ts";
import type { AgentInfo, AgentIntroduction } from "./registry.ts";
import { UNGUESSABLE_LENGTH, UpgradeLimiter } from "./upgrade-limiter.ts";
import type { UpgradeGuard } from "./upgrade-limiter.ts";

export type UplinkServerOptions = {
  /** What agents have to present; without one everybody is let in. */
  readonly token?: string | undefined;
  readonly autoCreateTopics: boolean;
  /** Connected at a time. */
  readonly agentsMax: number;
  /** What one agent may have sent without an answer. */
  readonly creditBytes: number;
  /** What all agents together may have sent without an answer; then nobody is read on. */
  readonly bytesInFlightMax: number;
  readonly helloTimeoutMs: number;
  readonly pingMs: number;
  /** A connection from which no byte came for so long is dead. */
  readonly silenceMsMax: number;
  /** Answers that an agent does not read; beyond it the connection is closed. */
  readonly unreadBytesMax: number;
  /** Attempts with a wrong token or none, from one address, this machine excepted. */
  readonly loginFailuresPerMinuteMax: number;
  /** For batches on their way when the hub closes. */
  readonly closeMsMax: number;
};

export const defaultUplinkServerOptions: UplinkServerOptions = {
  autoCreateTopics: true,
  agentsMax: 1000,
  creditBytes: 8 * 1024 * 1024,
  bytesInFlightMax: 256 * 1024 * 1024,
  helloTimeoutMs: 30_000,
  pingMs: 20_000,
  silenceMsMax: 45_000,
  unreadBytesMax: 4 * 1024 * 1024,
  loginFailuresPerMinuteMax: 10,
  closeMsMax: 2_000,
};

export type UplinkServerParts = {
  readonly engine: SessionEngine;
  readonly ledger: LossLedger;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly options?: Partial<UplinkServerOptions>;
};

type Refusal = {
  readonly status: string;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly headers?: readonly string[];
};

/** How long the older of two agents with the same data has to show that it is alive. */
const TWIN_ANSWER_MS_MAX = 3000;

/** Of an agent's own list, what is told. */
const PROTOCOLS_LENGTH_MAX = 64;

/** Refusals of one kind are told once in this time, with a count: who keeps trying must not fill the log. */
const TELL_INTERVAL_MS = 10_000;

export class UplinkServer {
  readonly #parts: UplinkServerParts;
  readonly #options: UplinkServerOptions;
  readonly #registry: AgentRegistry;
  readonly #limiter: UpgradeLimiter;
  readonly #connections = new Set<AgentConnection>();
  readonly #byProducer = new Map<ProducerId, AgentConnection>();
  readonly #inFlight: InFlightPool;
  readonly #told = new Map<ErrorCode, { atMs: number; suppressed: number }>();
  #isClosing = false;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: UPLINK_MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: false,
    // One of them is offered, or the upgrade is refused.
    handleProtocols: (offered) => uplinkSubprotocols.find((each) => offered.has(each)) ?? false,
  });

  constructor(parts: UplinkServerParts) {
    this.#parts = parts;
    this.#options = { ...defaultUplinkServerOptions, ...parts.options };
    const { token, agentsMax, loginFailuresPerMinuteMax } = this.#options;
    this.#registry = new AgentRegistry(parts.clock);
    this.#inFlight = new InFlightPool(this.#options.bytesInFlightMax);
    // All agents may sit behind one address.
    const limits = { failuresPerMinuteMax: loginFailuresPerMinuteMax, upgradesPerMinuteMax: agentsMax };
    this.#limiter = new UpgradeLimiter(parts.clock, limits, token === undefined ? undefined : guardOf(token));
  }

  /** Takes a WebSocket handshake over from the HTTP server. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const address = request.socket.remoteAddress ?? "";
    const refusal = this.#refusal(request, address);
    if (refusal !== undefined) {
      this.#tell(refusal, address);
      refuseUpgrade(socket, refusal);
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new AgentConnection({
        ...this.#parts,
        options: this.#options,
        inFlight: this.#inFlight,
        webSocket,
        socket: request.socket,
        address,
        introduce: async (introduction, self) => {
          await this.#takeOver(introduction, self);
          return this.#registry.connected(introduction);
        },
        onClosed: (self) => this.#closed(self, address),
      });
      this.#connections.add(connection);
      this.#limiter.joined(address);
    });
  }

  /** The agents heard of since the start, connected or not. */
  agents(): readonly AgentInfo[] {
    return this.#registry.list();
  }

  /** The same, under the name that status pages ask for. */
  list(): readonly AgentInfo[] {
    return this.agents();
  }

  /** The newest losses that agents have declared. */
  losses(entriesMax: number): Promise<readonly DeclaredLoss[]> {
    return this.#parts.ledger.list(entriesMax);
  }

  /** All that agents have ever declared lost. */
  lossTotals(): Promise<readonly LossTotal[]> {
    return this.#parts.ledger.totals();
  }

  /** Answers what was taken, then says goodbye; ends within `closeMsMax` and a moment. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(Array.from(this.#connections, (connection) => connection.close()));
  }

  #tell({ status, code, reason }: Refusal, address: string): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const told = this.#told.get(code) ?? { atMs: -Infinity, suppressed: 0 };
    if (nowMs - told.atMs < TELL_INTERVAL_MS) {
      told.suppressed++;
      return;
    }
    const { suppressed } = told;
    const { hint } = errorTable[code];
    this.#parts.logger.warn({ address, status, code, reason, hint, suppressed }, "an uplink was refused");
    this.#told.set(code, { atMs: nowMs, suppressed: 0 });
  }

  #refusal({ headers }: IncomingMessage, address: string): Refusal | undefined {
    // Agents are no web pages; a page that a browser on this machine has open must not pass for one.
    if (headers.origin !== undefined)
      return { status: "403 Forbidden", code: "PROTOCOL_VIOLATION", reason: "the uplink is not for web pages" };
    const verdict = this.#limiter.judge(address, headers.authorization);
    if (verdict === "too-often") {
      const reason = "connect less often";
      return { status: "429 Too Many Requests", code: "OVERLOADED", reason, headers: ["retry-after: 60"] };
    }
    if (verdict === "unauthorized") {
      return {
        status: "401 Unauthorized",
        code: "UNAUTHORIZED",
        reason: "the uplink token is missing or wrong",
        headers: ["www-authenticate: Bearer"],
      };
    }
    const protocols = (headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
    if (!uplinkSubprotocols.some((each) => protocols.includes(each))) {
      const upgrade = ["upgrade: websocket", `sec-websocket-protocol: ${UPLINK_SUBPROTOCOL}`];
      const agents = JSON.stringify(protocols.join(", ").slice(0, PROTOCOLS_LENGTH_MAX));
      const reason = `the agent speaks ${agents}, this hub ${UPLINK_SUBPROTOCOL}`;
      return { status: "426 Upgrade Required", code: "UPLINK_VERSION", reason, headers: upgrade };
    }
    if (this.#isClosing || this.#connections.size >= this.#options.agentsMax) {
      return { status: "503 Service Unavailable", code: "OVERLOADED", reason: "no more agents are taken" };
    }
    return undefined;
  }

  /**
   * What the older connection has handed to the engine counts; what it still sends does not. But if it is another program
   * that is alive, there are two with the same data, and their records would push each other out: the first one stays.
   */
  async #takeOver({ producerId, instance, agent }: AgentIntroduction, connection: AgentConnection): Promise<void> {
    for (;;) {
      const older = this.#byProducer.get(producerId);
      const isTwin = older?.agent !== undefined && older.agent.introduction.instance !== instance;
      if (isTwin && (await older.answers(TWIN_ANSWER_MS_MAX))) {
        const { address } = older.agent.introduction;
        throw new StreamError(
          "AGENT_RUNS_TWICE",
          `agent ${agent} runs twice with the same data: the other one is at ${address}`,
        );
      }
      older?.replace();
      // Another one may have come while this one was asked; and who asked may be gone, for whom the way is free next time.
      if (older !== this.#byProducer.get(producerId)) continue;
      if (!connection.isOpen) throw new StreamError("CLOSING", "the connection is gone");
      this.#byProducer.set(producerId, connection);
      return;
    }
  }

  #closed(connection: AgentConnection, address: string): void {
    this.#connections.delete(connection);
    this.#limiter.left(address);
    const { agent } = connection;
    if (agent === undefined || this.#byProducer.get(agent.introduction.producerId) !== connection) return;
    this.#byProducer.delete(agent.introduction.producerId);
    this.#registry.disconnected(agent);
  }
}

/** In constant time: digests are of one length, whatever was sent. */
function guardOf(expected: string): UpgradeGuard {
  const expectedDigest = digest(expected);
  return {
    isGuessable: expected.length < UNGUESSABLE_LENGTH,
    isAuthorized: (authorization) => {
      const token = /^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "";
      return timingSafeEqual(digest(token), expectedDigest);
    },
  };
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Answers an upgrade with something else. */
export function refuseUpgrade(
  socket: Duplex,
  { status, reason, headers = [] }: Pick<Refusal, "status" | "reason" | "headers">,
): void {
  const lines = [
    `HTTP/1.1 ${status}`,
    "content-type: text/plain; charset=utf-8",
    `content-length: ${Buffer.byteLength(reason)}`,
    "connection: close",
    ...headers,
  ];
  // A peer that is gone already must not end the program.
  socket.on("error", () => socket.destroy());
  socket.end(`${lines.join("\r\n")}\r\n\r\n${reason}`);
}
