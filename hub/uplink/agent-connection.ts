/** The WebSocket under an agent's session: frames to bytes, signs of life, slow readers, and the end. */
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { RawData } from "ws";
import { StreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { decodeAgentFrames, encodeFrame } from "../../shared/uplink/frame-codec.ts";
import { FrameUnpacker } from "../../shared/uplink/frame-pack.ts";
import { UPLINK_SUBPROTOCOL } from "../../shared/uplink/frames.ts";
import type { HubFrame } from "../../shared/uplink/frames.ts";
import { AgentSession } from "./agent-session.ts";
import type { SessionParts } from "./agent-session.ts";
import type { InFlightPool } from "./in-flight-pool.ts";
import type { AgentIntroduction, KnownAgent } from "./registry.ts";
import type { UplinkServerOptions } from "./server.ts";

export type AgentConnectionParts = Pick<SessionParts, "engine" | "ledger" | "logger" | "clock" | "address"> & {
  readonly options: UplinkServerOptions;
  readonly inFlight: InFlightPool;
  readonly webSocket: WebSocket;
  /** Beneath the WebSocket: bytes of a message that is not complete yet are a sign of life, too. */
  readonly socket: Socket;
  readonly introduce: (introduction: AgentIntroduction, self: AgentConnection) => Promise<KnownAgent>;
  readonly onClosed: (self: AgentConnection) => void;
};

/** RFC 6455, section 7.4.1. */
const closeCodes = { goingAway: 1001, protocolError: 1002, corrupt: 1007, policy: 1008, failed: 1011 } as const;
/** A reason has at most 123 bytes (RFC 6455, section 5.5). */
const REASON_LENGTH_MAX = 120;
/** Within the time of silence that is taken for death: so that it is noticed soon after. */
const PINGS_PER_SILENCE = 2;
/** For the closing handshake; then the socket is destroyed. */
const GOODBYE_MS_MAX = 500;

function closeCodeOf(code: ErrorCode): number {
  if (code === "AGENT_RUNS_TWICE") return closeCodes.policy;
  if (code === "FRAME_CORRUPT") return closeCodes.corrupt;
  return code === "PROTOCOL_VIOLATION" || code === "TIMEOUT" ? closeCodes.protocolError : closeCodes.failed;
}

export class AgentConnection {
  readonly #parts: AgentConnectionParts;
  readonly #session: AgentSession;
  /** Where packs are spoken. */
  readonly #unpacker: FrameUnpacker | undefined;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #pingTimer: NodeJS.Timeout;
  #bytesRead: number;
  #heardAtMs: number;

  constructor(parts: AgentConnectionParts) {
    this.#parts = parts;
    const { options, webSocket, socket, clock } = parts;
    this.#session = new AgentSession({
      ...parts,
      autoCreateTopics: options.autoCreateTopics,
      creditBytes: options.creditBytes,
      send: (frame) => this.#send(frame),
      refuse: (error) => this.#refuse(error),
      introduce: (introduction) => {
        clearTimeout(this.#helloTimer);
        parts.inFlight.join(this);
        return parts.introduce(introduction, this);
      },
    });
    this.#unpacker = webSocket.protocol === UPLINK_SUBPROTOCOL ? new FrameUnpacker() : undefined;
    this.#heardAtMs = clock.monotonicMs();
    this.#bytesRead = socket.bytesRead;
    this.#helloTimer = setTimeout(() => this.#refuse(new StreamError("TIMEOUT", "no hello")), options.helloTimeoutMs);
    const pingMs = Math.min(options.pingMs, options.silenceMsMax / PINGS_PER_SILENCE);
    this.#pingTimer = setInterval(() => this.#checkLife(), pingMs);
    webSocket.on("message", (data: RawData, isBinary: boolean) => this.#receive(data as Buffer, isBinary));
    // The WebSocket closes itself after an error; `close` follows.
    webSocket.on("error", (error) => parts.logger.debug({ err: error, address: parts.address }, "uplink failed"));
    webSocket.on("close", () => this.#closed());
  }

  get agent(): KnownAgent | undefined {
    return this.#session.agent;
  }

  /** Reads nothing until `resume`. */
  pause(): void {
    this.#parts.webSocket.pause();
  }

  resume(): void {
    // What comes after a pause is heard from now on.
    this.#heardAtMs = this.#parts.clock.monotonicMs();
    this.#parts.webSocket.resume();
  }

  get isOpen(): boolean {
    return this.#parts.webSocket.readyState === WebSocket.OPEN;
  }

  /** Whether the peer answers a ping within `waitMs`. One that is held back here cannot, and counts as alive. */
  async answers(waitMs: number): Promise<boolean> {
    const { webSocket } = this.#parts;
    if (!this.isOpen) return false;
    if (webSocket.isPaused) return true;
    const answer = Promise.withResolvers<boolean>();
    const pong = (): void => answer.resolve(true);
    const gone = (): void => answer.resolve(false);
    webSocket.once("pong", pong);
    webSocket.once("close", gone);
    webSocket.ping();
    const timer = setTimeout(gone, waitMs);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      webSocket.off("pong", pong);
      webSocket.off("close", gone);
    }
  }

  /** A newer connection of the same installation has come. */
  replace(): void {
    const { logger, address } = this.#parts;
    logger.warn({ agent: this.agent?.introduction.agent, address }, "uplink replaced by a newer connection");
    void this.#session.stop();
    this.#goodbye(closeCodes.policy, "a newer connection of this agent has come; are there two with the same data?");
  }

  /** Answers what was taken, waits for that no longer than `closeMsMax`, and says goodbye. */
  async close(): Promise<void> {
    const { webSocket, options } = this.#parts;
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(() => timeout.resolve(), options.closeMsMax);
    await Promise.race([this.#session.stop(), timeout.promise]);
    clearTimeout(timer);
    if (webSocket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise<void>((resolve) => webSocket.once("close", () => resolve()));
    this.#goodbye(closeCodes.goingAway, "the hub is stopping");
    await closed;
  }

  #receive(message: Buffer, isBinary: boolean): void {
    this.#heardAtMs = this.#parts.clock.monotonicMs();
    try {
      if (!isBinary) throw new StreamError("PROTOCOL_VIOLATION", "a text message");
      for (const frame of decodeAgentFrames(message, this.#unpacker)) this.#session.receive(frame);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#refuse(error);
    }
  }

  #send(frame: HubFrame): void {
    const { webSocket, options, logger, address } = this.#parts;
    if (webSocket.readyState !== WebSocket.OPEN) return;
    webSocket.send(encodeFrame(frame), { binary: true });
    if (webSocket.bufferedAmount <= options.unreadBytesMax) return;
    logger.warn({ agent: this.agent?.introduction.agent, address }, "an agent does not read its answers; disconnected");
    webSocket.terminate();
  }

  #refuse(error: StreamError): void {
    const { logger, address } = this.#parts;
    const { code, message } = error;
    if (this.#session.phase !== "closed") {
      logger.warn({ agent: this.agent?.introduction.agent, address, code, reason: message }, "uplink closed");
    }
    void this.#session.stop();
    this.#goodbye(closeCodeOf(code), message);
  }

  #checkLife(): void {
    const { webSocket, socket, clock, options, logger, address } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (socket.bytesRead !== this.#bytesRead) {
      this.#bytesRead = socket.bytesRead;
      this.#heardAtMs = nowMs;
    }
    if (nowMs - this.#heardAtMs < options.silenceMsMax || webSocket.isPaused) {
      if (webSocket.readyState === WebSocket.OPEN) webSocket.ping();
      return;
    }
    logger.info({ agent: this.agent?.introduction.agent, address }, "uplink silent for too long; disconnected");
    webSocket.terminate();
  }

  #goodbye(code: number, reason: string): void {
    const { webSocket } = this.#parts;
    webSocket.close(code, reason.slice(0, REASON_LENGTH_MAX));
    setTimeout(() => webSocket.terminate(), GOODBYE_MS_MAX).unref();
  }

  #closed(): void {
    clearTimeout(this.#helloTimer);
    clearInterval(this.#pingTimer);
    void this.#session.stop();
    this.#unpacker?.close();
    this.#parts.inFlight.leave(this);
    this.#parts.onClosed(this);
  }
}
