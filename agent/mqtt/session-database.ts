/** The sessions' way to their tables in the log, and how the listener knows that nothing is on its way there. */
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Durability } from "../../shared/record.ts";
import { SESSION_EXTENSION } from "./session-tables.ts";

/** The part of the log that sessions need. */
export type SessionLog = Pick<PartitionedLog, "call" | "query">;

export class SessionDatabase {
  readonly #log: SessionLog;
  readonly #running = new Set<Promise<unknown>>();

  constructor(log: SessionLog) {
    this.#log = log;
  }

  /** Runs a method of session-tables.ts in the next commit; resolves with its result when that is durable. */
  call(method: string, args: unknown, durability: Durability): Promise<unknown> {
    const results = this.#log.call([{ extension: SESSION_EXTENSION, method, args }], durability);
    return this.track(results.then(([result]) => result));
  }

  query(method: string, args: unknown): Promise<unknown> {
    return this.track(this.#log.query({ extension: SESSION_EXTENSION, method, args }));
  }

  /** Has `idle` wait for `promise` too. */
  track<Result>(promise: Promise<Result>): Promise<Result> {
    this.#running.add(promise);
    const forget = (): void => void this.#running.delete(promise);
    promise.then(forget, forget);
    return promise;
  }

  /** Resolves when all that was asked for is done. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}
