/**
 * Starts the parts of a program in order and stops them in reverse, each within a deadline that names the culprit.
 *
 *   start    log ──▶ engine ──▶ listener                  a part that fails stops those before it, then the error goes up
 *   stop     listener ──▶ engine ──▶ log                  a part that fails or hangs does not keep the later ones waiting
 *
 * The log is started first and therefore stopped last, when nobody is left who could ask it for anything. The time for
 * stopping is bounded as a whole, and every part still to come has its share of it reserved, so that a hanging listener
 * cannot use up the time in which the log closes.
 */
import type { Clock } from "./clock.ts";
import { StreamError, toStreamError } from "./errors.ts";
import type { Logger } from "./logger.ts";

/** For one part, unless it says otherwise. */
const START_MS_MAX = 60_000;
/** How often a part that takes long to start is named. */
const START_REPORT_MS = 10_000;
/** For one part, unless it says otherwise: more than what listeners grant their connections (3 s). */
const STOP_MS_MAX = 4000;
/** For all parts together: below the 10 s in which a program has to end after SIGTERM. */
const STOP_TOTAL_MS_MAX = 8000;
/** What of the total no earlier part may take from a later one. */
const STOP_RESERVED_MS = 500;

export type PartDefinition<Part> = {
  /** As an operator knows it: "the log", "the Kafka listener". */
  readonly name: string;
  readonly start: () => Part | Promise<Part>;
  readonly stop: (part: Part) => void | Promise<void>;
  /** Infinity for a part whose start grows with what it holds: giving up would only begin it again. */
  readonly startMsMax?: number;
  readonly stopMsMax?: number;
};

type Running = { readonly name: string; readonly stop: () => void | Promise<void>; readonly stopMsMax: number };

export class Lifecycle {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #running: Running[] = [];
  #stopping: Promise<void> | undefined;

  constructor(parts: { readonly logger: Logger; readonly clock: Clock }) {
    this.#logger = parts.logger;
    this.#clock = parts.clock;
  }

  /**
   * Starts the next part and gives it back.
   *
   * @throws whatever `start` throws, or StreamError TIMEOUT; either way after every earlier part was stopped.
   * @throws StreamError CLOSING when `stop` was called meanwhile.
   */
  async start<Part>(definition: PartDefinition<Part>): Promise<Part> {
    const { name, startMsMax = START_MS_MAX, stopMsMax = STOP_MS_MAX } = definition;
    if (this.#stopping !== undefined) throw new StreamError("CLOSING", `${name} is not started any more`);
    const startedAtMs = this.#clock.monotonicMs();
    const starting = Promise.resolve().then(definition.start);
    const reports = setInterval(() => {
      const durationMs = Math.round(this.#clock.monotonicMs() - startedAtMs);
      this.#logger.info({ part: name, durationMs }, "still starting");
    }, START_REPORT_MS);
    try {
      const part = await within(starting, startMsMax, () => `${name} did not start within ${startMsMax} ms`);
      this.#running.push({ name, stopMsMax, stop: () => definition.stop(part) });
      this.#logger.debug({ part: name, durationMs: Math.round(this.#clock.monotonicMs() - startedAtMs) }, "started");
      if (this.#stopping === undefined) return part;
    } catch (error) {
      if (error instanceof Deadline) this.#abandon(name, starting, definition.stop);
      await this.#stopAfterFailure();
      throw error;
    } finally {
      clearInterval(reports);
    }
    // `stop` ran while this part started and did not know of it yet.
    await this.#stopAll();
    throw new StreamError("CLOSING", `${name} was started while the program was stopping`);
  }

  /**
   * Stops all parts in reverse order. May be called more than once; every caller waits for the same stop.
   *
   * @throws StreamError TIMEOUT that names the parts that did not stop in time, or else the first error of a part.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stopAll(): Promise<void> {
    const endMs = this.#clock.monotonicMs() + STOP_TOTAL_MS_MAX;
    const late: string[] = [];
    const errors: Error[] = [];
    for (let part = this.#running.pop(); part !== undefined; part = this.#running.pop()) {
      const leftMs = endMs - this.#clock.monotonicMs() - this.#running.length * STOP_RESERVED_MS;
      const msMax = Math.max(STOP_RESERVED_MS, Math.min(part.stopMsMax, leftMs));
      try {
        const stopping = Promise.resolve().then(part.stop);
        await within(stopping, msMax, () => `did not stop within ${Math.round(msMax)} ms`);
      } catch (error) {
        const { code } = toStreamError(error);
        if (error instanceof Deadline) late.push(part.name);
        else errors.push(error as Error);
        this.#logger.error({ part: part.name, code, err: error }, "part did not stop");
      }
    }
    if (late.length > 0) throw new StreamError("TIMEOUT", `${late.join(", ")} did not stop in time`);
    if (errors[0] !== undefined) throw errors[0];
  }

  /** The reason for stopping is what the caller has to hear; what goes wrong on the way down is logged above. */
  async #stopAfterFailure(): Promise<void> {
    await this.stop().catch(() => undefined);
  }

  /** A part that starts after its deadline is stopped, for it may hold a port or a lock. */
  #abandon<Part>(name: string, starting: Promise<Part>, stop: (part: Part) => void | Promise<void>): void {
    starting.then(stop).catch((error: unknown) => {
      this.#logger.debug({ part: name, err: error }, "abandoned part ended");
    });
  }
}

class Deadline extends StreamError {
  constructor(message: string) {
    super("TIMEOUT", message);
  }
}

/** @throws Deadline when `promise` takes longer; what becomes of it then is the caller's business. */
async function within<Value>(promise: Promise<Value>, msMax: number, describe: () => string): Promise<Value> {
  if (msMax === Infinity) return promise;
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Deadline(describe())), msMax);
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
