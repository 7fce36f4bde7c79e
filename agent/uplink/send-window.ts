/**
 * How much may be on its way: the hub's credit and the agent's own bound on bytes that are not answered. Reads take
 * their room before they start, at the size they were asked for, so that what they return can be sent.
 */
export class SendWindow {
  readonly #batchBytesMax: number;
  readonly #inFlightBytesMax: number;
  /** What the hub grants when nothing is on its way. */
  #windowBytes = 0;
  #creditBytes = 0;
  #inFlightBytes = 0;
  #reads = 0;

  constructor(limits: { readonly batchBytesMax: number; readonly inFlightBytesMax: number }) {
    this.#batchBytesMax = limits.batchBytesMax;
    this.#inFlightBytesMax = limits.inFlightBytesMax;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  get reads(): number {
    return this.#reads;
  }

  open(creditBytes: number): void {
    this.#windowBytes = creditBytes;
    this.#creditBytes = creditBytes;
    this.#inFlightBytes = 0;
    this.#reads = 0;
  }

  /** False when the hub returns more than it was sent. */
  grant(bytes: number): boolean {
    this.#creditBytes += bytes;
    return this.#creditBytes <= this.#windowBytes;
  }

  /** Whether one more read may start; `unsentBytes` wait for credit already. */
  hasRoom(unsentBytes: number): boolean {
    if (this.#reads === 0 && unsentBytes === 0 && this.#inFlightBytes === 0 && this.#isWhole) return true;
    const takenBytes = this.#reads * this.#batchBytesMax + unsentBytes + this.#batchBytesMax;
    return takenBytes <= this.#creditBytes && this.#inFlightBytes + takenBytes <= this.#inFlightBytesMax;
  }

  /** A batch that is larger than the hub's whole window goes when nothing else is on its way. */
  canSend(bytes: number): boolean {
    return bytes <= this.#creditBytes || this.#isWhole;
  }

  readStarted(): void {
    this.#reads++;
  }

  readEnded(): void {
    this.#reads--;
  }

  sent(bytes: number): void {
    this.#creditBytes -= bytes;
    this.#inFlightBytes += bytes;
  }

  answered(bytes: number): void {
    this.#inFlightBytes -= bytes;
  }

  get #isWhole(): boolean {
    return this.#creditBytes === this.#windowBytes;
  }
}
