/** What one MQTT client knows of its messages, by their sequence: sent, sent again, acknowledged. */

export type Qos = 0 | 1 | 2;

export class PublishHistory {
  readonly client: string;
  readonly qos: Qos;
  /** The next sequence, and so the count of messages that were sent at least once. */
  #sentCount = 0;
  #ackedCount = 0;
  /** By sequence. */
  readonly #acked: boolean[] = [];
  readonly #resentCounts = new Map<number, number>();

  constructor(client: string, qos: Qos) {
    this.client = client;
    this.qos = qos;
  }

  get sentCount(): number {
    return this.#sentCount;
  }

  get ackedCount(): number {
    return this.#ackedCount;
  }

  /** Messages that were sent again with DUP, at least once. */
  get resentCount(): number {
    return this.#resentCounts.size;
  }

  /** Records the first sending; returns the message's sequence. */
  send(): number {
    this.#acked.push(false);
    return this.#sentCount++;
  }

  /** Sent again, with DUP. */
  resend(sequence: number): void {
    this.#resentCounts.set(sequence, this.resends(sequence) + 1);
  }

  /** PUBACK, or PUBREC at QoS 2: from here on the message is the agent's to keep. */
  acknowledge(sequence: number): void {
    if (this.#acked[sequence] === true) return;
    this.#acked[sequence] = true;
    this.#ackedCount++;
  }

  isAcked(sequence: number): boolean {
    return this.#acked[sequence] === true;
  }

  resends(sequence: number): number {
    return this.#resentCounts.get(sequence) ?? 0;
  }
}
