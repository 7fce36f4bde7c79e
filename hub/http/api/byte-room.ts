/** Bytes of requests that are held in memory at a time. Pure. */
import { StreamError } from "../../../shared/errors.ts";

export class ByteRoom {
  readonly #bytesMax: number;
  #taken = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Something always fits into an empty room. @throws StreamError OVERLOADED. */
  take(bytes: number): void {
    if (this.#taken > 0 && this.#taken + bytes > this.#bytesMax) {
      throw new StreamError("OVERLOADED", `requests to produce hold ${this.#bytesMax} bytes that are not stored yet`);
    }
    this.#taken += bytes;
  }

  release(bytes: number): void {
    this.#taken -= bytes;
  }
}
