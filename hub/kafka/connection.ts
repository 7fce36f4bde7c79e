/**
 * One client's TCP connection: cuts frames, serves them in the order they came, answers in the same order.
 *
 *   socket ──▶ FrameReader ──▶ dispatch ──▶ slots [answered][waiting][answered] ──▶ socket
 *                  ▲                            answers leave from the front only
 *                  └── stops reading while too many requests, or too many bytes of answers, are on their way
 */
import type { Socket } from "node:net";
import { AssertionError } from "node:assert";
import type { StreamError } from "../../shared/errors.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Dispatched } from "./dispatch.ts";
import { FRAME_BYTES_MIN, FrameReader } from "./frame-reader.ts";
import type { KafkaOptions } from "./options.ts";
import { produceApi } from "./schemas/records.ts";
import type { Frame } from "./wire-writer.ts";

/** Up to this size a response goes out as one buffer; above, its parts go out by writev without a copy. */
const CONTIGUOUS_BYTES_MAX = 8 * 1024;

/** Bytes of requests on their way, over all connections. */
export interface RequestBudget {
  /** False when the bytes are not to be had now; `retry` is called once when it is worth asking again. */
  take(bytes: number, retry: () => void): boolean;
  release(bytes: number): void;
  /** The connection is gone: it does not ask again. */
  forget(retry: () => void): void;
}

/** What the state of its login allows a connection; asked anew for every request. */
export interface ConnectionGate {
  readonly frameBytesMin: number;
  readonly frameBytesMax: number;
  /** The answers that are due are the last ones. */
  readonly isOver: boolean;
}

export type ConnectionParts = {
  readonly socket: Socket;
  readonly options: KafkaOptions;
  readonly gate: ConnectionGate;
  readonly budget: RequestBudget;
  /** Aborted by the connection when it is closed. */
  readonly closed: AbortController;
  readonly dispatch: (frame: Buffer) => Dispatched;
  readonly onRequest: (api: string) => void;
  /** Why the hub closes a connection by itself. */
  readonly onRefused: (error: StreamError) => void;
};

type Slot = { response: Frame | undefined; isSettled: boolean };

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #socket: Socket;
  readonly #frames: FrameReader;
  readonly #slots: Slot[] = [];
  readonly #retry = (): void => this.#pump();
  /** A frame that waits for the budget. */
  #next: Buffer | undefined;
  /** Bytes of answers that wait behind an earlier request. */
  #heldBytes = 0;
  /** `lingering`: the peer is gone, and has sent what needs no answer. */
  #phase: "open" | "draining" | "lingering" | "closed" = "open";
  #hasPeerEnded = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#socket = parts.socket;
    this.#frames = new FrameReader(parts.options.requestBytesMax);
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.setTimeout(parts.options.connectionIdleMs, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      // What a client sends while the connection is being drained is not served.
      if (this.#phase !== "open") return;
      this.#frames.push(chunk);
      this.#pump();
    });
    socket.on("end", () => (this.#hasPeerEnded = true));
    // The cause (reset, broken pipe) is the peer's business; "close" follows and cleans up.
    socket.on("error", () => {
      this.#hasPeerEnded = true;
      socket.destroy();
    });
    socket.on("close", () => this.#onClose());
  }

  /** Serves no further requests, answers those in flight, then ends the connection. */
  drain(): void {
    if (this.#phase !== "open") return;
    this.#phase = "draining";
    this.#socket.pause();
    this.#flush();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Serves what has arrived, as far as the limits allow; reads on only when all of it is served. */
  #pump(): void {
    if (this.#phase !== "open" && this.#phase !== "lingering") return;
    try {
      while (this.#mayServe()) {
        const { frameBytesMin, frameBytesMax } = this.#parts.gate;
        this.#frames.setLimits(frameBytesMin, frameBytesMax);
        const frame = this.#next ?? this.#frames.next();
        this.#next = frame;
        if (frame === undefined) {
          if (this.#phase === "lingering") this.#phase = "closed";
          else if (this.#socket.isPaused()) this.#socket.resume();
          return;
        }
        if (this.#phase === "lingering" && !isProduce(frame)) {
          this.#next = undefined;
          continue;
        }
        if (!this.#parts.budget.take(frame.length, this.#retry)) break;
        this.#next = undefined;
        this.#serve(frame);
      }
    } catch (error) {
      return this.#refuse(error);
    }
    this.#socket.pause();
  }

  #mayServe(): boolean {
    const { requestsInFlightMax, responseBytesQueuedMax } = this.#parts.options;
    if (this.#slots.length >= requestsInFlightMax) return false;
    if (this.#phase === "lingering") return true;
    return (
      this.#phase === "open" &&
      !this.#socket.destroyed &&
      this.#heldBytes + this.#socket.writableLength < responseBytesQueuedMax
    );
  }

  #serve(frame: Buffer): void {
    const slot: Slot = { response: undefined, isSettled: false };
    this.#slots.push(slot);
    const bytes = frame.length;
    let dispatched: Dispatched;
    try {
      dispatched = this.#parts.dispatch(frame);
    } catch (error) {
      this.#parts.budget.release(bytes);
      throw error;
    }
    const { api, response } = dispatched;
    this.#parts.onRequest(api);
    if (response instanceof Promise) {
      response
        .finally(() => this.#parts.budget.release(bytes))
        .then(
          (settled) => {
            this.#settle(slot, settled);
            this.#pump();
          },
          (error: unknown) => this.#refuse(error),
        );
    } else {
      this.#parts.budget.release(bytes);
      this.#settle(slot, response);
    }
  }

  #settle(slot: Slot, response: Frame | undefined): void {
    if (this.#phase === "closed") return;
    slot.response = response;
    slot.isSettled = true;
    this.#heldBytes += response?.bytes ?? 0;
    this.#flush();
  }

  /** Writes the answers at the front of the line. */
  #flush(): void {
    if (this.#phase === "closed") return;
    for (let slot = this.#slots[0]; slot?.isSettled === true; slot = this.#slots[0]) {
      this.#slots.shift();
      if (slot.response === undefined) continue;
      this.#heldBytes -= slot.response.bytes;
      if (this.#phase === "lingering") continue;
      this.#write(slot.response);
    }
    if (this.#parts.gate.isOver) this.drain();
    if (this.#phase === "draining" && this.#slots.length === 0) {
      this.#socket.end();
      // The peer's end of the stream is seen only by reading.
      this.#socket.resume();
    }
  }

  /** Once the answer has left the process, the connection may be served on. */
  #write({ chunks, bytes }: Frame): void {
    if (bytes <= CONTIGUOUS_BYTES_MAX) {
      this.#socket.write(Buffer.concat(chunks, bytes), this.#retry);
      return;
    }
    this.#socket.cork();
    const last = chunks.length - 1;
    for (const [index, chunk] of chunks.entries()) this.#socket.write(chunk, index === last ? this.#retry : undefined);
    this.#socket.uncork();
  }

  /** The connection cannot go on: a request was malformed, or cannot be answered. A programmer's error goes on up. */
  #refuse(error: unknown): void {
    if (error instanceof AssertionError) throw error;
    if (this.#phase === "closed") return;
    if (this.#phase === "lingering") this.#phase = "closed";
    this.#parts.onRefused(toStreamError(error));
    this.#socket.destroy();
  }

  /**
   * A producer with acks=0 may send, close, and be gone: what of it has arrived is stored, as by Kafka, although it waits
   * behind requests that are on their way. Requests that live by their answer are not served.
   */
  #onClose(): void {
    const lingers = this.#phase === "open" && this.#hasPeerEnded && !this.#parts.gate.isOver;
    this.#phase = lingers ? "lingering" : "closed";
    if (!lingers) {
      this.#slots.length = 0;
      this.#heldBytes = 0;
      this.#next = undefined;
      this.#parts.budget.forget(this.#retry);
    }
    this.#parts.closed.abort();
    this.#pump();
  }
}

/** The tokens of a login may be shorter than any request. */
function isProduce(frame: Buffer): boolean {
  return frame.length >= FRAME_BYTES_MIN && frame.readInt16BE(0) === produceApi.key;
}
