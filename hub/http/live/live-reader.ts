/**
 * Follows partitions from where somebody stands: what is there already, then what comes.
 *
 *   read each place in turn ──▶ records, gaps ──▶ nothing new anywhere ──▶ wait for a commit ──▶ read again
 *
 * What retention took from under the reader is told as a gap, never passed over in silence. One piece of one partition is held
 * at a time, so a reader that is slow, or follows very many partitions, costs little.
 */
import type { Offset } from "../../../shared/ids.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import type { Engine, TopicPartition } from "../../engine/engine.ts";
import type { Purgatory, Watched } from "../../engine/purgatory.ts";
import { readPartition } from "../api/record-reader.ts";
import type { RecordFilter, Unreadable } from "../api/record-reader.ts";

/** Of one partition, before the next one has its turn. */
const RECORDS_AT_ONCE_MAX = 500;
/** What is held for a reader that is slow: one such piece. */
const BYTES_AT_ONCE_MAX = 256 * 1024;
/** Nothing came for so long: the reader is told that it is still connected. */
export const IDLE_MS = 15_000;

/** Where a reader stands in a partition. */
export type Place = TopicPartition & { readonly offset: Offset };

export type LiveEvent =
  | {
      readonly type: "records";
      readonly at: TopicPartition;
      readonly records: readonly StoredRecord[];
      /** Where the reader stands now. */
      readonly next: Offset;
      readonly unreadable: readonly Unreadable[];
    }
  | { readonly type: "gap"; readonly at: TopicPartition; readonly from: Offset; readonly to: Offset }
  /** Where the reader stands: also behind what its filter has left out. */
  | { readonly type: "idle"; readonly places: readonly Place[] };

export type LiveReaderParts = {
  readonly engine: Pick<Engine, "offsets" | "read">;
  readonly purgatory: Purgatory;
  readonly filter: RecordFilter | undefined;
  readonly closed: AbortSignal;
};

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export class LiveReader {
  readonly #parts: LiveReaderParts;
  readonly #places = new Map<string, Place>();
  #parked: AbortController | undefined;

  constructor(parts: LiveReaderParts) {
    this.#parts = parts;
    parts.closed.addEventListener("abort", () => this.#parked?.abort(), { once: true });
  }

  /** From now on these too. */
  add(places: readonly Place[]): void {
    for (const place of places) this.#places.set(keyOf(place), place);
    this.#parked?.abort();
  }

  /** Nothing of them is told any more, what has been read already included. */
  remove(at: readonly TopicPartition[]): void {
    for (const each of at) this.#places.delete(keyOf(each));
    this.#parked?.abort();
  }

  /** Ends when `closed` is aborted. @throws StreamError UNKNOWN_TOPIC_OR_PARTITION when a topic is deleted, OFFSET_OUT_OF_RANGE, LOG_IO. */
  async *events(): AsyncGenerator<LiveEvent> {
    const { closed } = this.#parts;
    while (!closed.aborted) {
      const watched: Watched[] = [];
      let hasMoved = false;
      for (const place of this.#places.values()) {
        const { events, watch } = await this.#readOn(place);
        yield* events;
        if (watch === undefined || closed.aborted) continue;
        if (watch.fetchOffset > place.offset) hasMoved = true;
        watched.push(watch);
      }
      if (!hasMoved && (await this.#wait(watched)) === "idle")
        yield { type: "idle", places: [...this.#places.values()] };
    }
  }

  async #readOn(place: Place): Promise<{ readonly events: readonly LiveEvent[]; readonly watch: Watched | undefined }> {
    const { engine, filter } = this.#parts;
    const at = { topic: place.topic, partition: place.partition };
    const { logStartOffset, highWatermark } = engine.offsets(at);
    const from = Math.max(place.offset, logStartOffset);
    const options = { recordsMax: RECORDS_AT_ONCE_MAX, bytesMax: BYTES_AT_ONCE_MAX, filter };
    const { records, next, unreadable } = await readPartition(engine, at, { order: "asc", from, ...options });
    // It may have been taken away meanwhile, or moved.
    if (this.#places.get(keyOf(at)) !== place) return { events: [], watch: undefined };
    if (next !== place.offset) this.#places.set(keyOf(at), { ...at, offset: next });
    const events: LiveEvent[] = [];
    if (from > place.offset) events.push({ type: "gap", at, from: place.offset, to: from });
    if (records.length > 0 || unreadable.length > 0) events.push({ type: "records", at, records, next, unreadable });
    return { events, watch: { ...at, fetchOffset: next, highWatermark, bytesRoom: 1 } };
  }

  async #wait(watched: readonly Watched[]): Promise<"idle" | "news"> {
    if (this.#parts.closed.aborted) return "news";
    const parked = new AbortController();
    this.#parked = parked;
    const request = { partitions: watched, bytesMissing: 1, waitMs: IDLE_MS, closed: parked.signal };
    const reason = await this.#parts.purgatory.park(request);
    return reason === "expired" && !this.#parts.closed.aborted ? "idle" : "news";
  }
}
