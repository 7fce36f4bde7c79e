/**
 * Whose turn it is when both new records and history wait: history gets `percent` of the bytes, no more while new ones
 * wait, no less either. Credit for it grows with what new records send. Pure.
 */

export class HistoryShare {
  readonly #perLiveByte: number;
  readonly #batchBytesMax: number;
  #creditBytes = 0;

  constructor({ percent, batchBytesMax }: { readonly percent: number; readonly batchBytesMax: number }) {
    this.#perLiveByte = percent / (100 - percent);
    this.#batchBytesMax = batchBytesMax;
  }

  /** History goes first. */
  get isDue(): boolean {
    return this.#creditBytes >= this.#batchBytesMax;
  }

  liveSent(bytes: number): void {
    // What one more batch brings, no more: credit does not gather while history has nothing to send, or may not.
    const most = this.#batchBytesMax * (1 + this.#perLiveByte);
    this.#creditBytes = Math.min(most, this.#creditBytes + bytes * this.#perLiveByte);
  }

  /** What it sends while nothing else waits counts too, but leaves no debt. */
  historySent(bytes: number): void {
    this.#creditBytes = Math.max(0, this.#creditBytes - bytes);
  }
}
