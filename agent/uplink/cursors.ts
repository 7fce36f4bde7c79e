/**
 * How far each partition is settled, on disk and in the log: what the hub has is removed here, but not at once. Every
 * trim is a write to the card, so it waits for ten seconds to pass or for enough to be gone.
 *
 *   settled 40, 52, 97 … ──ten seconds, or trimBytes──▶ one commit: cursor 97 and trim before 97
 *
 * A crash in between costs nothing: the next welcome says again what the hub has.
 */
import { toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Acks } from "../../shared/record.ts";
import type { EpochStore } from "./epoch-store.ts";
import type { UplinkEffect } from "./uplink-events.ts";

export const TRIM_INTERVAL_MS = 10_000;
const TRIM_BYTES_MAX = 4 * 1024 * 1024;
/** Of what the log may take: what is delivered must not fill a small one. */
const TRIM_SHARE = 1 / 16;
/** After a trim that failed. */
export const RETRY_MS = 5000;

export type DeliveredCounts = Readonly<Record<Acks, number>>;

export type CursorParts = {
  readonly log: Pick<PartitionedLog, "trim">;
  readonly store: Pick<EpochStore, "settle">;
  readonly logger: Logger;
  /** What is delivered is removed when it has come to this, as the log stores it. */
  readonly trimBytes: number;
};

export type Settled = Omit<Extract<UplinkEffect, { type: "settled" }>, "type">;

type Moved = {
  readonly trimEnd: Offset;
  /** What a trim would free. */
  readonly storedBytes: number;
};

export function trimBytesOf(logBytesMax: number): number {
  return Math.min(TRIM_BYTES_MAX, Math.floor(logBytesMax * TRIM_SHARE));
}

export class Cursors {
  readonly #parts: CursorParts;
  /** By lane. */
  readonly #settled = new Map<number, Offset>();
  readonly #moved = new Map<LogPartition, Moved>();
  /** Before it, the log was asked to trim: it may still be at it. */
  readonly #trimming = new Map<LogPartition, Offset>();
  readonly #delivered = new Map<string, { none: number; leader: number; all: number }>();
  #movedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(parts: CursorParts) {
    this.#parts = parts;
  }

  /** `trimEnd`: what the partition need not keep any more. */
  settle(partition: LogPartition, { laneId, settled, trimEnd, delivered }: Settled): void {
    const { records, acks } = delivered;
    let counts = this.#delivered.get(partition.topic);
    if (counts === undefined) {
      counts = { none: 0, leader: 0, all: 0 };
      this.#delivered.set(partition.topic, counts);
    }
    counts[acks] += records;
    this.#settled.set(laneId, settled);
    this.#move(partition, trimEnd);
    if (this.#movedBytes >= this.#parts.trimBytes) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), TRIM_INTERVAL_MS);
  }

  /** Records delivered since the start, by topic; it only grows. */
  delivered(): ReadonlyMap<string, DeliveredCounts> {
    return this.#delivered;
  }

  /** Writes the cursors down and trims; resolves when that has happened or failed. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flushing.then(() => this.#write());
    return this.#flushing;
  }

  #move(partition: LogPartition, trimEnd: Offset): void {
    const storedBytes = storedBetween(partition, this.#trimming.get(partition) ?? 0, trimEnd);
    this.#movedBytes += storedBytes - (this.#moved.get(partition)?.storedBytes ?? 0);
    this.#moved.set(partition, { trimEnd, storedBytes });
  }

  async #write(): Promise<void> {
    if (this.#moved.size === 0) return;
    const settled = [...this.#settled];
    const moved = [...this.#moved];
    this.#settled.clear();
    this.#moved.clear();
    this.#movedBytes = 0;
    const changes = settled.map(([laneId, end]) => ({ laneId, settled: end }));
    for (const [partition, { trimEnd }] of moved) this.#trimming.set(partition, trimEnd);
    try {
      // Asked for in one turn, so that they share a commit.
      const { log, store } = this.#parts;
      await Promise.all([
        store.settle(changes),
        ...moved.map(([partition, { trimEnd }]) => log.trim(partition, trimEnd)),
      ]);
    } catch (error) {
      // Nothing is lost: the hub knows what it has. But what stays takes room, so it is tried again.
      const { code, message, retriable } = toStreamError(error);
      this.#parts.logger.warn({ code, reason: message }, "what the hub has could not be removed from the log");
      if (!retriable) return;
      for (const [laneId, end] of settled) if (!this.#settled.has(laneId)) this.#settled.set(laneId, end);
      for (const [partition, { trimEnd }] of moved) {
        this.#trimming.delete(partition);
        this.#move(partition, this.#moved.get(partition)?.trimEnd ?? trimEnd);
      }
      this.#timer ??= setTimeout(() => void this.flush(), RETRY_MS).unref();
    }
  }
}

/**
 * Estimated by the share of the records. What was sent for them says little: batches are joined and compressed on their
 * way, so a log at its cap may leave as a tenth of it.
 */
function storedBetween({ bytes, logStartOffset, logEndOffset }: LogPartition, from: Offset, end: Offset): number {
  const count = end - Math.max(from, logStartOffset);
  return count <= 0 ? 0 : (bytes * count) / (logEndOffset - logStartOffset);
}
