/** Looks at the partitions of compacted topics from time to time, one after another, and counts what became of them. */
import type { Clock } from "../../shared/clock.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition, LogTopic } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import type { Logger } from "../../shared/logger.ts";
import { cleanupSettings } from "./cleanup-settings.ts";
import type { CompactionStats } from "./engine.ts";

export type TopicCompactionParts = {
  readonly log: Pick<WorkerLog, "topics" | "compact" | "markAge">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly checkMs: number;
  /** Batches before `cleanEnd` are not what they were. */
  readonly onCompacted: (partition: LogPartition, cleanEnd: Offset) => void;
};

type Idle = { readonly logEndOffset: Offset; readonly config: LogTopic["config"]; readonly lookAgainAtMs: number };

export class TopicCompaction {
  readonly #parts: TopicCompactionParts;
  readonly #timer: NodeJS.Timeout;
  /** Where a partition ended when a look at it found nothing to do: without news there is no second look. */
  readonly #idle = new Map<number, Idle>();
  #isRunning = false;
  #isClosed = false;
  #stats: CompactionStats = {
    runsTotal: 0,
    bytesBeforeTotal: 0,
    bytesAfterTotal: 0,
    recordsRemovedTotal: 0,
    lastDurationMs: 0,
  };

  constructor(parts: TopicCompactionParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => void this.check(), parts.checkMs);
    this.#timer.unref();
  }

  get stats(): CompactionStats {
    return this.#stats;
  }

  /** No run is started any more; closing the log ends the one that is on its way. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  /** Compacts what is worth it. While a check takes longer than the interval, further ones are left out. */
  async check(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      const topics = [...this.#parts.log.topics.values()].filter(({ config }) => cleanupSettings(config).compacts);
      this.#forgetAllBut(topics);
      for (const topic of topics) await this.#checkTopic(topic);
    } finally {
      this.#isRunning = false;
    }
  }

  async #checkTopic(topic: LogTopic): Promise<void> {
    for (const partition of topic.partitions) {
      if (this.#isClosed) return;
      if (this.#parts.log.topics.get(topic.name)?.id !== topic.id) return;
      if (this.#isWorthALook(partition, topic)) await this.#compact(partition, topic);
    }
  }

  #forgetAllBut(topics: readonly LogTopic[]): void {
    const ids = new Set(topics.flatMap(({ partitions }) => partitions.map(({ id }) => id)));
    for (const id of this.#idle.keys()) if (!ids.has(id)) this.#idle.delete(id);
  }

  #isWorthALook(partition: LogPartition, { config }: LogTopic): boolean {
    if (partition.logStartOffset === partition.logEndOffset) return false;
    const idle = this.#idle.get(partition.id);
    if (idle === undefined || idle.logEndOffset !== partition.logEndOffset || idle.config !== config) return true;
    return this.#parts.clock.monotonicMs() >= idle.lookAgainAtMs;
  }

  async #compact(partition: LogPartition, { config }: LogTopic): Promise<void> {
    const { log, clock, logger } = this.#parts;
    const { topic, partition: index, logEndOffset } = partition;
    const startedAtMs = clock.monotonicMs();
    try {
      const policy = cleanupSettings(config).compaction;
      const compacted = await log.compact(partition, { policy, now: await log.markAge(partition) });
      if (compacted === undefined) {
        this.#idle.set(partition.id, { logEndOffset, config, lookAgainAtMs: startedAtMs + IDLE_LOOK_MS });
        return;
      }
      const durationMs = Math.round(clock.monotonicMs() - startedAtMs);
      this.#count(compacted, durationMs);
      this.#parts.onCompacted(partition, compacted.cleanEnd);
      logger.debug({ topic, partition: index, ...compacted, durationMs }, "a partition was compacted");
      if (compacted.batchesOpaque > 0) {
        const { batchesOpaque } = compacted;
        const text = "batches that cannot be looked into stay as they are, and tombstones after them stay with them";
        logger.warn({ topic, partition: index, batchesOpaque }, text);
      }
    } catch (error) {
      const { code } = toStreamError(error);
      // A topic that was deleted, or the hub stopping: nothing to compact any more. Otherwise the next check tries again.
      if (code === "UNKNOWN_TOPIC_OR_PARTITION" || code === "CLOSING") return;
      logger.warn({ err: error, topic, partition: index }, "compaction failed");
    }
  }

  #count(
    compacted: { runs: number; bytesBefore: number; bytesAfter: number; recordsRemoved: number },
    lastDurationMs: number,
  ): void {
    const { runsTotal, bytesBeforeTotal, bytesAfterTotal, recordsRemovedTotal } = this.#stats;
    this.#stats = {
      runsTotal: runsTotal + compacted.runs,
      bytesBeforeTotal: bytesBeforeTotal + compacted.bytesBefore,
      bytesAfterTotal: bytesAfterTotal + compacted.bytesAfter,
      recordsRemovedTotal: recordsRemovedTotal + compacted.recordsRemoved,
      lastDurationMs,
    };
  }
}

/** A partition that nothing was appended to is looked at this often: its records and tombstones grow older. */
const IDLE_LOOK_MS = 60_000;
