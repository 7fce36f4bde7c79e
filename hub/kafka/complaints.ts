/** What the hub holds against its clients, in the log: one that keeps offending must not fill it. */
import type { Clock } from "../../shared/clock.ts";
import type { ErrorCode, StreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";

/** The same complaint is written once in this time, with a count. */
const INTERVAL_MS = 10_000;

export class Complaints {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #written = new Map<ErrorCode, { readonly atMs: number; suppressed: number }>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** `more` says who it was, as far as that is known; never what is secret. */
  write(client: string, error: StreamError, more: Readonly<Record<string, string | undefined>> = {}): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#written.get(error.code);
    if (last !== undefined && nowMs - last.atMs < INTERVAL_MS) {
      last.suppressed++;
      return;
    }
    this.#written.set(error.code, { atMs: nowMs, suppressed: 0 });
    const fields = { client, code: error.code, ...more, reason: error.message, suppressed: last?.suppressed ?? 0 };
    if (error.code === "UNEXPECTED") this.#logger.error({ ...fields, err: error }, "kafka request failed");
    else this.#logger.warn(fields, "kafka connection closed");
  }
}
