/**
 * One WebSocket to the hub: from the name look-up to the last byte. Tells frames and its end; knows nothing of records.
 *
 * Silence is death: LTE links and NAT tables die without a word, so the agent asks for a sign of life now and then and
 * gives up when nothing at all was heard for `silenceMsMax`.
 */
import type { LookupFunction } from "node:net";
import { WebSocket } from "ws";
import type { RawData } from "ws";
import type { Clock } from "../../shared/clock.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { releaseMemory } from "../../shared/release-memory.ts";
import type { AgentFrame, HubFrame, Produce } from "../../shared/uplink/frames.ts";
import {
  UPLINK_MESSAGE_BYTES_MAX,
  UPLINK_PACKED_BATCH_BYTES_MAX,
  UPLINK_PATH,
  UPLINK_SUBPROTOCOL,
  uplinkSubprotocols,
} from "../../shared/uplink/frames.ts";
import { decodeHubFrame, encodeFrame, encodePackedFrame } from "../../shared/uplink/frame-codec.ts";
import { FramePacker } from "../../shared/uplink/frame-pack.ts";
import { describeConnectError, describeHttpAnswer } from "./connect-failure.ts";
import { describeStage, HubSocket } from "./hub-socket.ts";

export type HubConnectionOptions = {
  readonly url: string;
  readonly token: string | undefined;
  /** From the name look-up to the hub's welcome. */
  readonly connectTimeoutMs: number;
  readonly authorities: readonly string[] | undefined;
  readonly lookup: LookupFunction | undefined;
  readonly silenceMsMax: number;
  readonly clock: Clock;
};

export type HubConnectionListener = {
  readonly opened: () => void;
  readonly frame: (frame: HubFrame) => void;
  /** Once, at the end, whatever the reason. */
  readonly closed: (error: StreamError) => void;
};

/** So often at least a sign of life is asked for. */
const PING_MS_MAX = 20_000;
/** Pings within the time of silence that is taken for death. */
const PINGS_PER_SILENCE = 2;
/** For the closing handshake; then the socket is destroyed. */
const CLOSE_MS_MAX = 500;
/** RFC 6455, section 7.4.1: what the hub means with them. */
const closeMeanings: ReadonlyMap<number, ErrorCode> = new Map([
  [1007, "FRAME_CORRUPT"],
  [1008, "AGENT_RUNS_TWICE"],
]);
const GOING_AWAY = 1001;

export class HubConnection {
  readonly #options: HubConnectionOptions;
  readonly #listener: HubConnectionListener;
  readonly #hubSocket: HubSocket;
  readonly #socket: WebSocket;
  /** Where the hub takes packs. */
  #packer: FramePacker | undefined;
  /** Of the frames that wait for their pack. */
  #packed: (() => void)[] = [];
  #failure: StreamError | undefined;
  #heardAtMs: number;
  #connectTimer: NodeJS.Timeout | undefined;
  #pingTimer: NodeJS.Timeout | undefined;

  constructor(options: HubConnectionOptions, listener: HubConnectionListener) {
    this.#options = options;
    this.#listener = listener;
    const { token, connectTimeoutMs, clock } = options;
    this.#heardAtMs = clock.monotonicMs();
    const url = uplinkUrl(options.url);
    this.#hubSocket = new HubSocket({ ...options, url });
    this.#socket = new WebSocket(url, [...uplinkSubprotocols], {
      createConnection: () => this.#hubSocket.connect(),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      maxPayload: UPLINK_MESSAGE_BYTES_MAX,
      perMessageDeflate: false,
      followRedirects: false,
    });
    this.#connectTimer = setTimeout(() => this.#failToConnect(), connectTimeoutMs);
    this.#listen();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN && this.#failure === undefined;
  }

  /** The welcome has come: from now on only silence ends the wait. */
  welcomed(): void {
    clearTimeout(this.#connectTimer);
  }

  /** `onWritten` is called when the frame has left the process, and never if it does not. */
  send(frame: AgentFrame, onWritten: () => void = () => undefined): void {
    if (!this.isOpen) return;
    const packer = this.#packer;
    if (packer !== undefined && frame.t === "produce" && frame.batch.length <= UPLINK_PACKED_BATCH_BYTES_MAX) {
      return this.#pack(packer, frame, onWritten);
    }
    let message: Buffer;
    try {
      message = encodeFrame(frame);
    } catch (error) {
      return this.fail(toStreamError(error));
    }
    this.#flush();
    this.#write(message, onWritten);
  }

  /** Lanes that are read at once are answered within one turn of the event loop; so they share a pack. */
  #pack(packer: FramePacker, frame: Produce, onWritten: () => void): void {
    const encoded = encodePackedFrame(frame);
    if (!packer.hasRoom(encoded.length)) this.#flush();
    if (packer.isEmpty) setImmediate(() => this.#flush());
    packer.add(encoded);
    this.#packed.push(onWritten);
  }

  #flush(): void {
    const packer = this.#packer;
    if (packer === undefined || packer.isEmpty || !this.isOpen) return;
    const packed = this.#packed;
    this.#packed = [];
    this.#write(packer.take(), () => {
      for (const onWritten of packed) onWritten();
    });
  }

  #write(message: Buffer, onWritten: () => void): void {
    // A failed write shows as the end of the socket.
    this.#socket.send(message, { binary: true }, (error) => {
      releaseMemory(message);
      if (error === undefined || error === null) onWritten();
    });
  }

  /** Ends the connection at once; `closed` tells this error. */
  fail(error: StreamError): void {
    this.#failure ??= error;
    this.#socket.terminate();
  }

  /** Says goodbye. */
  close(): void {
    this.#flush();
    this.#failure ??= new StreamError("CLOSING", "the agent is stopping");
    this.#socket.close(GOING_AWAY);
    setTimeout(() => this.#socket.terminate(), CLOSE_MS_MAX).unref();
  }

  #failToConnect(): void {
    const { stage } = this.#hubSocket;
    this.fail(new StreamError("TIMEOUT", `${describeStage(stage)} within ${this.#options.connectTimeoutMs} ms`));
  }

  #listen(): void {
    const socket = this.#socket;
    const heard = (): void => {
      this.#heardAtMs = this.#options.clock.monotonicMs();
    };
    socket.on("open", () => {
      heard();
      if (socket.protocol === UPLINK_SUBPROTOCOL) this.#packer = new FramePacker();
      this.#hubSocket.stage = "welcome";
      this.#startPings();
      this.#listener.opened();
    });
    socket.on("message", (data: RawData) => {
      heard();
      this.#receive(data as Buffer);
    });
    socket.on("ping", heard);
    socket.on("pong", heard);
    socket.on("unexpected-response", (_request, response) => {
      response.resume();
      const spoken = response.headers["sec-websocket-protocol"];
      this.fail(describeHttpAnswer(response.statusCode ?? 0, spoken));
    });
    socket.on("error", (error) => {
      this.#failure ??= describeConnectError(error, this.#hubSocket.stage);
    });
    socket.on("close", (code, reason) => this.#closed(code, reason.toString()));
  }

  #receive(message: Buffer): void {
    // What comes after the decision to close changes nothing any more.
    if (this.#failure !== undefined) return;
    let frame: HubFrame;
    try {
      frame = decodeHubFrame(message);
    } catch (error) {
      return this.fail(toStreamError(error));
    }
    this.#listener.frame(frame);
  }

  #startPings(): void {
    const { silenceMsMax, clock } = this.#options;
    this.#pingTimer = setInterval(
      () => {
        if (clock.monotonicMs() - this.#heardAtMs < silenceMsMax) return this.#socket.ping();
        this.fail(new StreamError("TIMEOUT", `nothing was heard from the hub for ${silenceMsMax} ms`));
      },
      Math.min(PING_MS_MAX, silenceMsMax / PINGS_PER_SILENCE),
    );
  }

  #closed(code: number, reason: string): void {
    clearTimeout(this.#connectTimer);
    clearInterval(this.#pingTimer);
    this.#packer?.close();
    const meaning = closeMeanings.get(code);
    if (meaning !== undefined) this.#failure ??= new StreamError(meaning, reason);
    const text = reason === "" ? `the hub closed the connection (${code})` : `the hub closed the connection: ${reason}`;
    this.#listener.closed(this.#failure ?? new StreamError("HUB_UNREACHABLE", text));
  }
}

/** The address as configured; without a path, the uplink's own. */
function uplinkUrl(configured: string): URL {
  const url = new URL(configured);
  if (url.pathname === "/" || url.pathname === "") url.pathname = UPLINK_PATH;
  return url;
}
