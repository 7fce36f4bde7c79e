/**
 * Holds one client to so many messages a second, with a second's worth at once for bursts. Pure.
 *
 * Nothing is refused: the message is stored, and its answer comes later. The broker reads no further from a client whose
 * messages are not answered, so the client is slowed by TCP and loses nothing.
 *
 *   messages   |||||||||||||||||||||        allowed   |  |  |  |  |  |  |        answer = its place in the allowed row,
 *                                                                                less the burst
 */
const BURST_MS = 1000;

export class PublishPace {
  readonly #intervalMs: number;
  /** When the next message is due if the client sends no faster than it may. */
  #dueMs = -Infinity;

  constructor(publishesPerSecondMax: number) {
    this.#intervalMs = 1000 / publishesPerSecondMax;
  }

  /** How long the answer to a message that came at `nowMs` (monotonic) has to wait; 0 within the rate. */
  delayMs(nowMs: number): number {
    this.#dueMs = Math.max(this.#dueMs, nowMs) + this.#intervalMs;
    return Math.max(0, this.#dueMs - nowMs - BURST_MS);
  }
}
