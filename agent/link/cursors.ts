/**
 * How far each partition is delivered, and the trimming of the log behind that: seldom, because every trim is a write to
 * the card. What is delivered but not trimmed yet costs nothing but room.
 */
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";

const TRIM_INTERVAL_MS = 1000;
/** So many bytes delivered since the last trim make the next one due at once. */
const TRIM_BYTES = 4 * 1024 * 1024;

type Cursor = { readonly partition: LogPartition; deliveredTo: Offset; trimmedTo: Offset; deliveredRecords: number };

export class Cursors {
  readonly #log: Pick<PartitionedLog, "trim">;
  readonly #onTrimFailed: (error: unknown) => void;
  readonly #cursors = new Map<number, Cursor>();
  #bytesSinceTrim = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Pick<PartitionedLog, "trim">, onTrimFailed: (error: unknown) => void) {
    this.#log = log;
    this.#onTrimFailed = onTrimFailed;
  }

  /** Records delivered since the start, by topic. */
  deliveredRecords(): Map<string, number> {
    const byTopic = new Map<string, number>();
    for (const { partition, deliveredRecords } of this.#cursors.values()) {
      byTopic.set(partition.topic, (byTopic.get(partition.topic) ?? 0) + deliveredRecords);
    }
    return byTopic;
  }

  /** The first record that does not count as delivered; undefined when the hub was not heard of it yet. */
  deliveredTo(partition: LogPartition): Offset | undefined {
    return this.#cursors.get(partition.id)?.deliveredTo;
  }

  /** The hub has told where it stands: everything before counts as delivered, without having been sent now. */
  found(partition: LogPartition, deliveredTo: Offset): void {
    const cursor = this.#cursor(partition);
    if (deliveredTo <= cursor.deliveredTo) return;
    cursor.deliveredTo = deliveredTo;
    this.#trimSoon();
  }

  delivered(partition: LogPartition, deliveredTo: Offset, bytes: number): void {
    const cursor = this.#cursor(partition);
    if (deliveredTo <= cursor.deliveredTo) return;
    cursor.deliveredRecords += deliveredTo - Math.max(cursor.deliveredTo, partition.logStartOffset);
    cursor.deliveredTo = deliveredTo;
    this.#bytesSinceTrim += bytes;
    if (this.#bytesSinceTrim >= TRIM_BYTES) this.trim();
    else this.#trimSoon();
  }

  trim(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bytesSinceTrim = 0;
    for (const cursor of this.#cursors.values()) {
      if (cursor.deliveredTo <= cursor.trimmedTo) continue;
      cursor.trimmedTo = cursor.deliveredTo;
      this.#log.trim(cursor.partition, cursor.deliveredTo).catch(this.#onTrimFailed);
    }
  }

  #cursor(partition: LogPartition): Cursor {
    const known = this.#cursors.get(partition.id);
    if (known !== undefined) return known;
    const { logStartOffset } = partition;
    const cursor = { partition, deliveredTo: logStartOffset, trimmedTo: logStartOffset, deliveredRecords: 0 };
    this.#cursors.set(partition.id, cursor);
    return cursor;
  }

  #trimSoon(): void {
    this.#timer ??= setTimeout(() => this.trim(), TRIM_INTERVAL_MS).unref();
  }
}
