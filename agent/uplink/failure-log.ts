/** Says why the uplink is down: at once when the reason is new, then now and then, with the number of attempts. */
import type { Clock } from "../../shared/clock.ts";
import type { StreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";

/** The same reason again is told this often, also when others come in between: attempts may be a second apart. */
export const REPEAT_MS = 300_000;
/** That are remembered; an address in a message may be another each time. */
export const REASONS_MAX = 20;

export class FailureLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** When each was told last, the latest at the end. */
  readonly #told = new Map<string, number>();
  #untold = 0;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  failed(error: StreamError, retryMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const { message, code, hint } = error;
    if (nowMs - (this.#told.get(message) ?? -Infinity) < REPEAT_MS) {
      this.#untold++;
      return;
    }
    const fields = { code, reason: message, hint, retryMs, attemptsNotTold: this.#untold };
    this.#logger.warn(fields, "no uplink; records are kept and sent later");
    this.#told.delete(message);
    this.#told.set(message, nowMs);
    const [oldest] = this.#told.keys();
    if (this.#told.size > REASONS_MAX && oldest !== undefined) this.#told.delete(oldest);
    this.#untold = 0;
  }

  connected(fields: Readonly<Record<string, unknown>>): void {
    this.#logger.info({ ...fields, attemptsNotTold: this.#untold }, "uplink connected");
    this.#untold = 0;
  }
}
