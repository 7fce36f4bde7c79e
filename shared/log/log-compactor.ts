/**
 * Compacts one partition at a time: drives the cleaner's thread step by step and has the writer replace what it found.
 *
 *   inspect ─ not worth it ─▶ done
 *      └─ map all keys that fit ─▶ { clean a stretch ─▶ replace its batches } … ─▶ checkpoint ─ map was full ─▶ again
 *
 * Replacements ride with the commits, ask for no flush, and go in the order of their offsets. The WAL keeps the order of
 * commits, so a crash or a power cut leaves some prefix of a run: each batch is the old one or the new one, a record was
 * taken only after the one that supersedes it was there to be read, and a run that did not reach its checkpoint is done
 * again. Doing it again changes nothing that was done already.
 */
import { StreamError } from "../errors.ts";
import type { Offset, Timestamp } from "../ids.ts";
import type {
  CleanResult,
  CleanStep,
  CompactionCheckpoint,
  CompactionQuery,
  Inspection,
  MapStep,
  Replacement,
} from "./compaction-messages.ts";
import type { CompactionPolicy, CompactionReason } from "./compaction-policy.ts";
import type { LogPartition } from "./partitioned-log.ts";

/** What the newest offsets of a run's keys may take; a run with more keys becomes several. */
export const COMPACTION_MAP_BYTES_MAX = 16 * 1024 * 1024;

export type CompactionRequest = {
  readonly policy: CompactionPolicy;
  /** By the log's own clock. */
  readonly now: Timestamp;
  readonly mapBytesMax?: number;
};

/** What one or several runs over a partition came to. */
export type Compacted = {
  readonly reason: CompactionReason;
  readonly runs: number;
  /** Batches before this offset have been through it. */
  readonly cleanEnd: Offset;
  /** Of the batches that were looked at in the last run. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly recordsRemoved: number;
  readonly batchesOpaque: number;
};

export type CompactorPorts = {
  /** Asks the cleaner's thread, which is started for it. */
  ask(query: CompactionQuery): Promise<unknown>;
  replace(partitionId: number, replacements: readonly Replacement[], bytes: Uint8Array): Promise<void>;
  checkpoint(partitionId: number, checkpoint: CompactionCheckpoint): Promise<void>;
};

export class LogCompactor {
  readonly #ports: CompactorPorts;
  /** One after the other: the thread knows one run at a time. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  constructor(ports: CompactorPorts) {
    this.#ports = ports;
  }

  /** Undefined when it is not worth it. @throws StreamError CLOSING, UNKNOWN_TOPIC_OR_PARTITION, LOG_FULL, LOG_IO. */
  compact(partition: LogPartition, request: CompactionRequest): Promise<Compacted | undefined> {
    const compacted = this.#last.then(() => this.#compact(partition, request));
    this.#last = compacted.catch(() => undefined);
    return compacted;
  }

  /** Resolves when the step that is on its way has ended; the rest of the run is left for another time. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#last;
  }

  async #compact(partition: LogPartition, request: CompactionRequest): Promise<Compacted | undefined> {
    let total: Compacted | undefined;
    for (;;) {
      const inspected = await this.#inspect(partition, request);
      // After the first run the rest is not weighed again: it was worth it as a whole.
      const reason = total?.reason ?? inspected.reason;
      if (reason === undefined) return undefined;
      const run = await this.#run(partition, inspected, request);
      total = add(total, run, reason);
      if (run.cleanEnd >= inspected.cleanableEnd) return total;
    }
  }

  async #inspect(partition: LogPartition, { policy, now }: CompactionRequest): Promise<Inspection> {
    const { id: partitionId, bytes } = partition;
    return (await this.#ask({ type: "compaction-inspect", partitionId, bytes, policy, now })) as Inspection;
  }

  async #run(
    { id: partitionId }: LogPartition,
    { logStartOffset, firstDirtyOffset, cleanableEnd }: Inspection,
    { policy, now, mapBytesMax = COMPACTION_MAP_BYTES_MAX }: CompactionRequest,
  ): Promise<CleanResult & { recordsRemoved: number }> {
    const { deleteRetentionMs } = policy;
    const run = { partitionId, logStartOffset, firstDirtyOffset, cleanableEnd, now, deleteRetentionMs, mapBytesMax };
    await this.#ask({ type: "compaction-start", run });
    try {
      while (!((await this.#ask({ type: "compaction-map" })) as MapStep).isDone);
      let recordsRemoved = 0;
      for (;;) {
        const step = (await this.#ask({ type: "compaction-clean" })) as CleanStep;
        recordsRemoved += step.recordsRemoved;
        if (step.replacements.length > 0) await this.#ports.replace(partitionId, step.replacements, step.bytes);
        if (step.done === undefined) continue;
        const { cleanEnd, bytesAfter, lastHorizon } = step.done;
        const checkpoint = {
          firstDirtyOffset: cleanEnd,
          cleanFrom: logStartOffset,
          cleanBytes: bytesAfter,
          lastHorizon,
        };
        await this.#ports.checkpoint(partitionId, checkpoint);
        return { ...step.done, recordsRemoved };
      }
    } finally {
      // Gives the map's memory back.
      await this.#ports.ask({ type: "compaction-end" });
    }
  }

  #ask(query: CompactionQuery): Promise<unknown> {
    if (this.#isClosing) throw new StreamError("CLOSING", "the log is closed");
    return this.#ports.ask(query);
  }
}

function add(
  total: Compacted | undefined,
  { cleanEnd, bytesBefore, bytesAfter, recordsRemoved, batchesOpaque }: CleanResult & { recordsRemoved: number },
  reason: CompactionReason,
): Compacted {
  return {
    reason,
    runs: (total?.runs ?? 0) + 1,
    cleanEnd,
    bytesBefore: total === undefined ? bytesBefore : total.bytesBefore + bytesBefore - total.bytesAfter,
    bytesAfter,
    recordsRemoved: (total?.recordsRemoved ?? 0) + recordsRemoved,
    batchesOpaque,
  };
}
