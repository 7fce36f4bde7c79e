/**
 * One reader's WebSocket: messages in and out, no faster than the reader reads, and an end that comes when the reader is gone,
 * also where nobody says so.
 */
import { WebSocket } from "ws";
import { StreamError } from "../../../shared/errors.ts";
import { problemOf } from "../../../shared/http/problem.ts";
import { STALL_MS_MAX } from "./paced-writer.ts";

/** How often the reader has to show that it lives. */
const PING_MS = 15_000;
/** Pings in a row without an answer, and the connection is over. */
const PINGS_UNANSWERED_MAX = 3;
const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

export class LiveConnection {
  readonly #webSocket: WebSocket;
  readonly #closed = new AbortController();
  readonly #pings: NodeJS.Timeout;
  #unanswered = 0;

  constructor(webSocket: WebSocket, onMessage: (text: string) => void) {
    this.#webSocket = webSocket;
    webSocket.on("message", (data, isBinary) => {
      if (isBinary) this.fail(new StreamError("INVALID_REQUEST", "messages are text"));
      else onMessage((data as Buffer).toString("utf8"));
    });
    webSocket.on("pong", () => (this.#unanswered = 0));
    webSocket.on("error", () => webSocket.terminate());
    webSocket.on("close", () => this.#end());
    this.#pings = setInterval(() => this.#ping(), PING_MS).unref();
  }

  /** Aborted when the connection is over. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Resolves when the reader can be sent more. Text is JSON. */
  async send(message: string | object): Promise<void> {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    if (this.#webSocket.readyState !== WebSocket.OPEN) return;
    const stalled = setTimeout(() => this.#webSocket.terminate(), STALL_MS_MAX);
    // An error of the socket is followed by its close.
    await new Promise<void>((resolve) => this.#webSocket.send(text, () => resolve()));
    clearTimeout(stalled);
  }

  /** Tells why, and ends. */
  fail(error: unknown): void {
    if (this.closed.aborted) return;
    void this.send({ type: "problem", problem: problemOf(error) });
    this.#webSocket.close(POLICY_VIOLATION);
    this.#end();
  }

  close(): void {
    this.#webSocket.close(GOING_AWAY);
    this.#end();
  }

  #ping(): void {
    if (++this.#unanswered > PINGS_UNANSWERED_MAX) this.#webSocket.terminate();
    else this.#webSocket.ping();
  }

  #end(): void {
    clearInterval(this.#pings);
    this.#closed.abort();
  }
}
