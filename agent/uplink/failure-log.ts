/** Says why the uplink is down: at once when the reason is new, then now and then, with the number of attempts. */
import type { Clock } from "../../shared/clock.ts";
import type { StreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";

/** The same reason again is told this often. */
export const REPEAT_MS = 300_000;

export class FailureLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  #last: { readonly message: string; readonly atMs: number } | undefined;
  #untold = 0;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  failed(error: StreamError, retryMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const { message, code, hint } = error;
    if (this.#last?.message === message && nowMs - this.#last.atMs < REPEAT_MS) {
      this.#untold++;
      return;
    }
    const fields = { code, reason: message, hint, retryMs, attemptsNotTold: this.#untold };
    this.#logger.warn(fields, "no uplink; records are kept and sent later");
    this.#last = { message, atMs: nowMs };
    this.#untold = 0;
  }

  connected(fields: Readonly<Record<string, unknown>>): void {
    this.#logger.info({ ...fields, attemptsNotTold: this.#untold }, "uplink connected");
    this.#untold = 0;
  }
}
