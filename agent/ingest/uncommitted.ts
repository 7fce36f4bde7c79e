/** What gathers or is on its way to the disk, and how much that may be. */
import type { LogSpace } from "../buffer/log-space.ts";
import { UNCOMMITTED_BYTES_MIN, UNCOMMITTED_SHARE_OF_CAP } from "./ingest-limits.ts";
import type { IngestLimits } from "./ingest-limits.ts";

/** Of the limits: for what had been read when they were reached. */
const OVERSHOOT_FACTOR = 2;

export class Uncommitted {
  readonly #limits: IngestLimits;
  readonly #space: LogSpace;
  #bytesMax = 0;
  #bytes = 0;
  #messages = 0;

  constructor(limits: IngestLimits, space: LogSpace) {
    this.#limits = limits;
    this.#space = space;
    this.followCap();
  }

  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#messages;
  }

  /** No more should come. */
  get isFull(): boolean {
    return this.#isOver(1);
  }

  /** No more is taken. */
  get isOverfull(): boolean {
    return this.#isOver(OVERSHOOT_FACTOR);
  }

  add(bytes: number, messages: number): void {
    this.#bytes += bytes;
    this.#messages += messages;
  }

  remove(bytes: number, messages: number): void {
    this.#bytes -= bytes;
    this.#messages -= messages;
  }

  /** The cap falls when others fill the disk: then less may be on its way, too. */
  followCap(): void {
    const share = Math.floor(this.#space.capBytes * UNCOMMITTED_SHARE_OF_CAP);
    this.#bytesMax = Math.min(this.#limits.uncommittedBytesMax, Math.max(UNCOMMITTED_BYTES_MIN, share));
  }

  #isOver(factor: number): boolean {
    return this.#bytes >= this.#bytesMax * factor || this.#messages >= this.#limits.uncommittedMessagesMax * factor;
  }
}
