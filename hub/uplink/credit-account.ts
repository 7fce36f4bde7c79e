/**
 * What an agent may send before it hears of more. Credit returns in few messages: when a quarter of the window has come
 * together, or when nothing of the agent is waiting any more. So an agent that waits for room always hears of it.
 */
const RETURN_SHARE = 0.25;

export class CreditAccount {
  readonly #windowBytes: number;
  /** Sent and not given back. */
  #takenBytes = 0;
  /** Answered, and not yet told. */
  #owedBytes = 0;

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** False when the agent had no credit for it. A batch larger than the whole window may come alone. */
  take(bytes: number): boolean {
    const isAlone = this.#takenBytes === 0;
    this.#takenBytes += bytes;
    return isAlone || this.#takenBytes <= this.#windowBytes;
  }

  /** A batch is answered. Returns what to grant now, or 0. */
  giveBack(bytes: number): number {
    this.#owedBytes += bytes;
    const isIdle = this.#owedBytes === this.#takenBytes;
    if (!isIdle && this.#owedBytes < this.#windowBytes * RETURN_SHARE) return 0;
    const granted = this.#owedBytes;
    this.#owedBytes = 0;
    this.#takenBytes -= granted;
    return granted;
  }
}
