/**
 * Holds publishers back by not reading from them while the sink is full: what they send waits in their sockets, and TCP
 * tells them. Nothing of QoS 0 is lost that way, and nobody is refused who would only come again. Those who wait read on
 * in turn as soon as there is room.
 *
 * Like the guard (connect-guard.ts) it stands where the broker takes the chunks, so a connection that has just been read
 * goes over the limit by a chunk at most.
 */
import type { Duplex } from "node:stream";

export class ReadGate {
  readonly #isSinkFull: () => boolean;
  /** In the order in which they came. */
  readonly #waiting = new Set<Duplex>();
  #isForEverOpen = false;

  constructor(isSinkFull: () => boolean) {
    this.#isSinkFull = isSinkFull;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** `stream` is read through the gate until it ends. */
  guard(stream: Duplex): void {
    const read = stream.read.bind(stream);
    stream.read = (size?: number): unknown => {
      if (!this.#isClosed) return read(size);
      this.#waiting.add(stream);
      return null;
    };
    stream.once("close", () => this.#waiting.delete(stream));
  }

  /** There may be room again. */
  open(): void {
    for (const stream of this.#waiting) {
      if (this.#isClosed) return;
      this.#waiting.delete(stream);
      stream.emit("readable");
    }
  }

  /** The broker is closing: what is still read is thrown away. */
  leaveOpen(): void {
    this.#isForEverOpen = true;
    this.open();
  }

  get #isClosed(): boolean {
    return !this.#isForEverOpen && this.#isSinkFull();
  }
}
