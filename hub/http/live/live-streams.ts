/** The live streams that are open: so many at a time, and all of them end when the hub does. */
import { StreamError } from "../../../shared/errors.ts";

/** Server-Sent Events and WebSockets together. */
export const LIVE_STREAMS_MAX = 500;

export class LiveStreams {
  readonly #open = new Set<AbortController>();
  readonly #countMax: number;
  #isClosed = false;

  constructor(countMax: number = LIVE_STREAMS_MAX) {
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Aborted when the stream has to end; `end` gives its place back. @throws StreamError OVERLOADED, CLOSING. */
  begin(): { readonly closed: AbortSignal; readonly end: () => void } {
    if (this.#isClosed) throw new StreamError("CLOSING", "the hub is stopping");
    if (this.#open.size >= this.#countMax) {
      throw new StreamError("OVERLOADED", `${this.#countMax} live streams are open, as many as may be`);
    }
    const controller = new AbortController();
    this.#open.add(controller);
    const end = (): void => {
      this.#open.delete(controller);
      controller.abort();
    };
    return { closed: controller.signal, end };
  }

  close(): void {
    this.#isClosed = true;
    for (const controller of this.#open) controller.abort();
  }
}
