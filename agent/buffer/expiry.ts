/**
 * Drops what the hub did not get within `log.ageMsMax`, and notes it as lost, in one commit. Ages are told by the log's own
 * clock (shared/log/log-clock.ts), which no setting of any clock moves.
 */
import { toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import type { Logger } from "../../shared/logger.ts";
import type { LossLedger } from "../ledger/loss-ledger.ts";
import { trimNoted } from "../ledger/trim-noted.ts";

export const EXPIRY_CHECK_MS = 60_000;

export type ExpiryOptions = {
  readonly log: Pick<WorkerLog, "topics" | "expiredEnd" | "trim">;
  readonly ledger: Pick<LossLedger, "planTrim">;
  /** The first record that the hub has not confirmed: what was delivered before is no loss. */
  readonly pendingFrom: (partition: LogPartition) => Offset;
  readonly ageMsMax: number;
  readonly logger: Logger;
};

export class Expiry {
  readonly #options: ExpiryOptions;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#checkLater();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Resolves when everything that is too old is gone. */
  async check(): Promise<void> {
    const { log, ageMsMax } = this.#options;
    for (const { partitions } of log.topics.values()) {
      for (const partition of partitions) {
        const end = await log.expiredEnd(partition, ageMsMax);
        if (end > partition.logStartOffset) await this.#drop(partition, end);
      }
    }
  }

  async #drop(partition: LogPartition, end: Offset): Promise<void> {
    const { log, ledger, pendingFrom, logger } = this.#options;
    const from = Math.max(partition.logStartOffset, pendingFrom(partition));
    await trimNoted(log, ledger, partition, { from, end, reason: "expired" });
    if (from >= end) return;
    const { topic, partition: index } = partition;
    logger.warn({ topic, partition: index, from, to: end - 1 }, "records expired before the hub had them");
  }

  #checkLater(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      void this.check()
        .catch((error: unknown) => {
          // Tried again with the next check; a log that failed ends the program by itself.
          const { code, message } = toStreamError(error);
          this.#options.logger.warn({ code, reason: message }, "what is too old could not be dropped");
        })
        .then(() => this.#checkLater());
    }, EXPIRY_CHECK_MS).unref();
  }
}
