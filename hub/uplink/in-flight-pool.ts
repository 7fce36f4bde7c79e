/**
 * What all agents together have sent and the hub has not answered. Credit bounds what one agent sends; when the disk is
 * slow and many agents send at once, this bounds them all: nobody is read on until room has come back. What they go on
 * sending waits at their side of the network.
 *
 *   taken   0 ········ 3/4 ········ max
 *                       ▲            └─ full: all are paused
 *                       └─ all are resumed, the one that was first comes last
 *
 * An agent that has credit and sends nothing takes nothing, so that it is in nobody's way.
 */
export type PausableReader = { pause(): void; resume(): void };

/** Readers are resumed when no more than this share is taken, so that they are not woken for every batch. */
const RESUME_SHARE = 0.75;

export class InFlightPool {
  readonly #bytesMax: number;
  readonly #readers = new Set<PausableReader>();
  #takenBytes = 0;
  #isFull = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get takenBytes(): number {
    return this.#takenBytes;
  }

  join(reader: PausableReader): void {
    this.#readers.add(reader);
    if (this.#isFull) reader.pause();
  }

  leave(reader: PausableReader): void {
    this.#readers.delete(reader);
  }

  /** What has arrived is taken in any case. */
  take(bytes: number): void {
    this.#takenBytes += bytes;
    if (this.#isFull || this.#takenBytes < this.#bytesMax) return;
    this.#isFull = true;
    for (const reader of this.#readers) reader.pause();
  }

  release(bytes: number): void {
    this.#takenBytes -= bytes;
    if (!this.#isFull || this.#takenBytes > this.#bytesMax * RESUME_SHARE) return;
    this.#isFull = false;
    const [first] = this.#readers;
    if (first === undefined) return;
    this.#readers.delete(first);
    this.#readers.add(first);
    // One that finds more than there is room for pauses them all again.
    for (const reader of this.#readers) if (!this.#isFull) reader.resume();
  }
}
