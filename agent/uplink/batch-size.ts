/**
 * How large a batch may be on this link. A batch that takes longer than the link lasts begins again for ever; so a connection
 * that ends without an answer to a batch makes the next one's smaller, and answers make them larger again. Pure; it needs
 * no clock, because what counts is whether anything gets through at all.
 */

/** Even this gets through where anything does. */
export const BATCH_BYTES_MIN = 4 * 1024;
const SHRINK_FACTOR = 4;
/** Answers in a row before batches grow. */
export const ANSWERS_TO_GROW = 4;

export class BatchSize {
  readonly #bytesMax: number;
  #bytes: number;
  #answers = 0;
  #hasAnswer = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#bytes = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Smaller than what the log may have stored as one batch. */
  get isReduced(): boolean {
    return this.#bytes < this.#bytesMax;
  }

  /** The hub has answered a batch, whatever it says. */
  answered(): void {
    this.#hasAnswer = true;
    if (!this.isReduced || ++this.#answers < ANSWERS_TO_GROW) return;
    this.#answers = 0;
    this.#bytes = Math.min(this.#bytesMax, this.#bytes * 2);
  }

  /** `isUnanswered`: batches were on their way. */
  connectionEnded(isUnanswered: boolean): void {
    if (isUnanswered && !this.#hasAnswer) {
      this.#bytes = Math.min(this.#bytes, Math.max(BATCH_BYTES_MIN, Math.floor(this.#bytes / SHRINK_FACTOR)));
    }
    this.#hasAnswer = false;
    this.#answers = 0;
  }
}
