/** Counts, when a log opens, the bytes of the batches that came after the sizes were last written down. */
import type { Clock } from "../clock.ts";
import type { Offset } from "../ids.ts";
import type { LogStatements } from "./log-statements.ts";
import { OFFSET_MAX, batchKey } from "./schema.ts";

/** Rows of one step: some megabytes, or some seconds on a slow card. */
const COUNT_ROWS_MAX = 10_000;
/** How often a count that takes long is heard of. */
const REPORT_MS = 5000;

export class StartCounter {
  readonly #statements: Pick<LogStatements, "sum">;
  readonly #clock: Clock;
  readonly #onCounting: (bytes: number) => void;
  #reportedAtMs: number;
  /** Of all partitions. */
  #bytes = 0;

  constructor(statements: Pick<LogStatements, "sum">, clock: Clock, onCounting: (bytes: number) => void) {
    this.#statements = statements;
    this.#clock = clock;
    this.#onCounting = onCounting;
    this.#reportedAtMs = clock.monotonicMs();
  }

  count(partitionId: number, from: Offset): number {
    let bytes = 0;
    for (let next = from; ;) {
      const step = this.#statements.sum.get(
        batchKey(partitionId, next),
        batchKey(partitionId, OFFSET_MAX),
        COUNT_ROWS_MAX,
      );
      if (step === undefined || step.base === null || step.bytes === null) return bytes;
      bytes += step.bytes;
      this.#bytes += step.bytes;
      this.#report();
      next = step.base + 1;
    }
  }

  #report(): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#reportedAtMs < REPORT_MS) return;
    this.#reportedAtMs = now;
    this.#onCounting(this.#bytes);
  }
}
