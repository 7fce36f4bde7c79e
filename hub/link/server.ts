/**
 * The hub's side of the uplink: takes WebSocket upgrades from the HTTP listener, lets in who has the token, and runs a
 * session for each agent. A second connection of an agent ends the first: the agent has given that one up.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import { decodeAgentFrame, encodeFrame } from "../../shared/link/frame-codec.ts";
import type { Hello, HubFrame } from "../../shared/link/frames.ts";
import { UPLINK_MESSAGE_BYTES_MAX, UPLINK_SUBPROTOCOL } from "../../shared/link/frames.ts";
import { Watchdog } from "../../shared/link/watchdog.ts";
import type { Engine } from "../engine/engine.ts";
import { AgentSession } from "./agent-session.ts";
import type { SessionOptions } from "./agent-session.ts";
import type { LossLedger } from "./loss-ledger.ts";
import { AgentRegistry } from "./registry.ts";
import type { AgentEntry, KnownAgent } from "./registry.ts";
import { UpgradeRate } from "./upgrade-rate.ts";

export type UplinkServerOptions = SessionOptions & {
  /** What agents have to present; undefined lets everybody in. */
  readonly token: string | undefined;
  readonly agentsMax: number;
};

export type UplinkServerParts = {
  readonly engine: Engine;
  readonly ledger: LossLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: UplinkServerOptions;
};

const HELLO_TIMEOUT_MS = 10_000;
const SILENCE_MS_MAX = 45_000;
/** Answers that wait for an agent that does not read. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 2000;
/** WebSocket close codes (RFC 6455, 7.4.1). */
const closeCodes = { goingAway: 1001, policyViolation: 1008, internalError: 1011 } as const;
const CLOSE_REASON_BYTES_MAX = 120;

type Live = { readonly socket: WebSocket; readonly session: AgentSession };

export class UplinkServer {
  readonly #parts: UplinkServerParts;
  readonly #server: WebSocketServer;
  readonly #registry = new AgentRegistry();
  readonly #live = new Set<Live>();
  readonly #byAgent = new Map<string, Live>();
  readonly #rate: UpgradeRate;
  #isClosing = false;

  constructor(parts: UplinkServerParts) {
    this.#parts = parts;
    this.#rate = new UpgradeRate(parts.clock);
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: UPLINK_MESSAGE_BYTES_MAX,
      // Batches are compressed already, and what inflates before it is checked is a way in for bombs.
      perMessageDeflate: false,
      skipUTF8Validation: true,
      handleProtocols: () => UPLINK_SUBPROTOCOL,
    });
  }

  list(): readonly (Omit<KnownAgent, "producer"> & { readonly producer: string })[] {
    return this.#registry.list().map((agent) => ({ ...agent, producer: String(agent.producer) }));
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) return this.#turnAway(socket, request, refusal);
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#serve(webSocket, request));
  }

  /** Agents are told to go away, and come back when the hub does. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = [...this.#live].map(
      ({ socket }) =>
        new Promise<void>((resolve) => {
          socket.once("close", () => resolve());
          socket.close(closeCodes.goingAway, "the hub is stopping");
        }),
    );
    const timer = setTimeout(() => {
      for (const { socket } of this.#live) socket.terminate();
    }, CLOSE_TIMEOUT_MS);
    await Promise.all(closed);
    clearTimeout(timer);
    this.#server.close();
  }

  #refusal(request: IncomingMessage): { status: number; error: StreamError } | undefined {
    const address = request.socket.remoteAddress ?? "";
    if (this.#isClosing) return { status: 503, error: new StreamError("CLOSING", "the hub is stopping") };
    if (!isLoopbackHost(address.replace(/^::ffff:/, "")) && !this.#rate.admits(address)) {
      return { status: 429, error: new StreamError("OVERLOADED", "too many connections from this address") };
    }
    if (!this.#isAuthorized(request)) {
      return { status: 401, error: new StreamError("UNAUTHORIZED", "the uplink token is missing or wrong") };
    }
    const protocols = String(request.headers["sec-websocket-protocol"] ?? "").split(/\s*,\s*/);
    if (!protocols.includes(UPLINK_SUBPROTOCOL)) {
      return { status: 400, error: new StreamError("PROTOCOL_VIOLATION", `only ${UPLINK_SUBPROTOCOL} is spoken here`) };
    }
    if (this.#live.size >= this.#parts.options.agentsMax) {
      return { status: 503, error: new StreamError("OVERLOADED", `${this.#live.size} agents are connected already`) };
    }
    return undefined;
  }

  #isAuthorized(request: IncomingMessage): boolean {
    const { token } = this.#parts.options;
    if (token === undefined) return true;
    const given = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    // Digests are of one length, so that the comparison takes the same time whatever was given.
    return timingSafeEqual(digest(given), digest(token));
  }

  #turnAway(socket: Duplex, request: IncomingMessage, { status, error }: { status: number; error: StreamError }): void {
    const address = request.socket.remoteAddress;
    this.#parts.logger.warn({ address, code: error.code, reason: error.message }, "an agent was turned away");
    const body = JSON.stringify({ status, code: error.code, detail: error.message, hint: error.hint });
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }

  #serve(socket: WebSocket, request: IncomingMessage): void {
    const { engine, ledger, clock, logger, options } = this.#parts;
    const address = request.socket.remoteAddress ?? "";
    const end = (error: StreamError): void => {
      const level = error.code === "CLOSING" ? "info" : "warn";
      logger[level]({ agent: session.agent, address, code: error.code, reason: error.message }, "agent disconnected");
      closeWith(socket, error);
    };
    const session: AgentSession = new AgentSession({
      engine,
      ledger,
      clock,
      logger,
      options,
      end,
      send: (frame) => send(socket, frame, end),
      register: (hello) => this.#register(hello, live, address),
    });
    const live: Live = { socket, session };
    this.#live.add(live);
    const watchdog = new Watchdog({ silenceMsMax: SILENCE_MS_MAX, socket, peer: "the agent", end });
    const helloTimer = setTimeout(() => {
      if (session.agent === undefined) end(new StreamError("TIMEOUT", "no hello in time"));
    }, HELLO_TIMEOUT_MS);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      watchdog.heard();
      try {
        if (!isBinary) throw new StreamError("PROTOCOL_VIOLATION", "a text message");
        session.receive(decodeAgentFrame(data));
      } catch (error) {
        end(toStreamError(error));
      }
    });
    socket.on("error", (error) => logger.debug({ err: error, agent: session.agent }, "uplink connection failed"));
    socket.on("close", () => {
      clearTimeout(helloTimer);
      watchdog.stop();
      session.end();
      this.#forget(live);
    });
  }

  #register(hello: Hello, live: Live, address: string): AgentEntry {
    const { logger, clock } = this.#parts;
    const { agent, producer, version } = hello;
    const before = this.#byAgent.get(agent);
    if (before !== undefined && before !== live) {
      before.session.end();
      closeWith(before.socket, new StreamError("CLOSING", "a newer connection of this agent has taken over"));
    }
    this.#byAgent.set(agent, live);
    logger.info({ agent, address, version }, "agent connected");
    return this.#registry.connected({ agent, producer, version, address }, clock.wallMs());
  }

  #forget(live: Live): void {
    this.#live.delete(live);
    const { agent } = live.session;
    if (agent === undefined || this.#byAgent.get(agent) !== live) return;
    this.#byAgent.delete(agent);
    this.#registry.disconnected(agent);
  }
}

function send(socket: WebSocket, frame: HubFrame, end: (error: StreamError) => void): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > ANSWER_BYTES_MAX) {
    return end(new StreamError("OVERLOADED", "the agent does not read its answers"));
  }
  socket.send(encodeFrame(frame));
}

function closeWith(socket: WebSocket, error: StreamError): void {
  const code =
    error.code === "CLOSING"
      ? closeCodes.goingAway
      : error.code === "UNEXPECTED"
        ? closeCodes.internalError
        : closeCodes.policyViolation;
  socket.close(code, Buffer.from(error.message).subarray(0, CLOSE_REASON_BYTES_MAX));
  setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref();
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
