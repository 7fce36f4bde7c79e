/**
 * A publish sink that the test controls, with the ingest's memory of QoS 2 packet identifiers. What it "stored"
 * outlives the listener, as the log would.
 */
import type { IncomingPackets } from "../../agent/mqtt/incoming-window.ts";
import type { PublishMessage, PublishSink } from "../../agent/mqtt/publish-sink.ts";

export class FakeIngest implements PublishSink, IncomingPackets {
  readonly stored: (Omit<PublishMessage, "payload"> & { readonly text: string })[] = [];
  readonly #ids = new Map<string, [clientId: string, messageId: number]>();
  readonly #waiting: (() => void)[] = [];
  /** While set, every message is refused with it. */
  failure: Error | undefined;
  /** The next message with this text is refused, at once. */
  refusedOnce: string | undefined;
  /** How often the listener was told to read nothing. */
  heldReads = 0;
  #isFull = false;
  /** While true, answers are held back until `release` of the gate. */
  isHeld = false;
  /** While set, releasing identifiers fails with it. */
  releaseFailure: Error | undefined;
  releases = 0;

  publish({ payload, ...message }: PublishMessage, done: (error?: Error) => void): void {
    const text = payload.toString();
    if (text === this.refusedOnce) {
      this.refusedOnce = undefined;
      return done(new Error("refused once"));
    }
    const answer = (): void => {
      if (this.failure !== undefined) return done(this.failure);
      const { clientId, messageId } = message;
      const key = `${clientId} ${messageId}`;
      if (message.qos === 2 && messageId !== undefined) {
        if (this.#ids.has(key)) return done();
        this.#ids.set(key, [clientId, messageId]);
      }
      this.stored.push({ ...message, text });
      this.#arrived();
      done();
    };
    if (this.isHeld) this.#held.push(answer);
    else queueMicrotask(answer);
    this.#arrived();
  }

  readonly #held: (() => void)[] = [];
  readonly #roomListeners: (() => void)[] = [];

  get isFull(): boolean {
    if (this.#isFull) {
      this.heldReads++;
      this.#arrived();
    }
    return this.#isFull;
  }

  fillUp(): void {
    this.#isFull = true;
  }

  onRoom(listener: () => void): void {
    this.#roomListeners.push(listener);
  }

  makeRoom(): void {
    this.#isFull = false;
    for (const hear of this.#roomListeners) hear();
  }

  get heldCount(): number {
    return this.#held.length;
  }

  letThrough(): void {
    this.isHeld = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  async release(clientId: string, messageId: number): Promise<void> {
    this.releases++;
    await Promise.resolve();
    if (this.releaseFailure !== undefined) throw this.releaseFailure;
    this.#ids.delete(`${clientId} ${messageId}`);
  }

  async releaseAll(clientId: string): Promise<void> {
    await Promise.resolve();
    for (const [key, id] of this.#ids) if (id[0] === clientId) this.#ids.delete(key);
  }

  *ids(): Generator<readonly [string, number]> {
    yield* this.#ids.values();
  }

  /** Resolves when `condition` holds; asked whenever something has arrived. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  texts(): string[] {
    return this.stored.map((message) => message.text);
  }

  #arrived(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
