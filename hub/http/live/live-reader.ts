/**
 * Follows partitions from where somebody stands: what is there already, then what comes.
 *
 *   read each partition in turn ──▶ records, gaps ──▶ nothing new anywhere ──▶ wait for a commit ──▶ read again
 *
 * What retention took from under the reader is told as a gap, never passed over in silence.
 */
import type { Offset, Partition } from "../../../shared/ids.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Purgatory, Watched } from "../../engine/purgatory.ts";
import type { PartitionCursor } from "../api/record-json.ts";
import { readPartition } from "../api/record-reader.ts";
import type { RecordFilter, Unreadable } from "../api/record-reader.ts";

/** Of one partition, before the next one has its turn. */
const RECORDS_AT_ONCE_MAX = 500;
/** What is held for a reader that is slow: one such piece. */
export const BYTES_AT_ONCE_MAX = 256 * 1024;
/** Nothing came for so long: the reader is told that it is still connected. */
export const IDLE_MS = 15_000;

export type LiveEvent =
  | {
      readonly type: "records";
      readonly partition: Partition;
      readonly records: readonly StoredRecord[];
      /** Where the reader stands now. */
      readonly next: Offset;
      readonly unreadable: readonly Unreadable[];
    }
  | { readonly type: "gap"; readonly partition: Partition; readonly from: Offset; readonly to: Offset }
  /** Where the reader stands: also behind what its filter has left out. */
  | { readonly type: "idle"; readonly places: readonly PartitionCursor[] };

export type LiveReaderParts = {
  readonly engine: Pick<Engine, "offsets" | "read">;
  readonly purgatory: Purgatory;
  readonly topic: string;
  readonly starts: readonly PartitionCursor[];
  readonly filter: RecordFilter | undefined;
  readonly closed: AbortSignal;
};

/** Ends when `closed` is aborted. @throws StreamError UNKNOWN_TOPIC_OR_PARTITION when the topic is deleted, OFFSET_OUT_OF_RANGE, LOG_IO. */
export async function* follow(parts: LiveReaderParts): AsyncGenerator<LiveEvent> {
  const { engine, purgatory, topic, starts, filter, closed } = parts;
  const positions = new Map(starts.map(({ partition, offset }) => [partition, offset]));
  while (!closed.aborted) {
    let hasMoved = false;
    const watched: Watched[] = [];
    for (const [partition, position] of positions) {
      const at = { topic, partition };
      const { logStartOffset, highWatermark } = engine.offsets(at);
      let from = position;
      if (from < logStartOffset) {
        yield { type: "gap", partition, from, to: logStartOffset };
        from = logStartOffset;
      }
      const options = { recordsMax: RECORDS_AT_ONCE_MAX, bytesMax: BYTES_AT_ONCE_MAX, filter };
      const { records, next, unreadable } = await readPartition(engine, at, { order: "asc", from, ...options });
      positions.set(partition, next);
      if (next > position) hasMoved = true;
      if (records.length > 0 || unreadable.length > 0) yield { type: "records", partition, records, next, unreadable };
      watched.push({ ...at, fetchOffset: next, highWatermark, bytesRoom: 1 });
    }
    if (hasMoved || closed.aborted) continue;
    const reason = await purgatory.park({ partitions: watched, bytesMissing: 1, waitMs: IDLE_MS, closed });
    if (reason !== "expired" || closed.aborted) continue;
    yield { type: "idle", places: [...positions].map(([partition, offset]) => ({ partition, offset })) };
  }
}
