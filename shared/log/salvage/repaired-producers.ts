/**
 * What the salvaged log says of producers must be what its batches say: a position beyond the last batch that is there
 * would tell the producer that lost batches had arrived, and it would let go of its own copy.
 *
 *   batches   …│ seq 40-49 │ seq 50-59 │ lost: seq 60-69 │        state: last sequence 69  ▶  59
 *
 * An agent then sends again what it still has. A Kafka client would be out of step; it is forgotten, and goes on with any
 * sequence.
 */
import type { Database } from "better-sqlite3";
import type { Offset } from "../../ids.ts";
import { sequenceAfter } from "../../ids.ts";
import { remember } from "../producer-state.ts";
import type { ProducerState } from "../producer-state.ts";
import { batchKey } from "../schema.ts";
import type { BatchPlace, ProducerBatch } from "./salvaged-batches.ts";

/** Memory for those whose batches pass by; beyond it a state that is gone stays gone. */
const PRODUCERS_MAX = 200_000;
const SEQUENCE_COUNT = 2 ** 31;

type Seen = { state: ProducerState; baseOffset: Offset };
type StoredState = {
  readonly partitionId: bigint;
  readonly producerId: bigint;
  readonly state: string;
  readonly isKept: bigint;
};

export class RepairedProducers {
  readonly #newest = new Map<string, Seen>();

  see({ partitionId, header }: ProducerBatch): void {
    const key = `${partitionId}:${header.producerId}`;
    const known = this.#newest.get(key);
    if (known === undefined && this.#newest.size >= PRODUCERS_MAX) return;
    // What is found later without a tree may be older.
    if (known !== undefined && header.baseOffset < known.baseOffset) return;
    const { producerEpoch: epoch, baseSequence, lastOffsetDelta, baseOffset } = header;
    const state = remember(known?.state, { epoch, baseSequence, recordCount: lastOffsetDelta + 1 }, baseOffset);
    this.#newest.set(key, { state, baseOffset });
  }

  /** Returns how many states it has changed. `isTableDamaged`: rows may be missing. */
  repair(
    target: Database,
    parts: { readonly places: ReadonlyMap<number, BatchPlace>; readonly isTableDamaged: boolean },
  ): number {
    const isKept = columnsOf(target).includes("is_kept") ? "is_kept" : "1";
    const read = target.prepare<[], StoredState>(
      `SELECT partition_id AS partitionId, producer_id AS producerId, state, ${isKept} AS isKept FROM producer`,
    );
    read.safeIntegers();
    const put = target.prepare("UPDATE producer SET state = ? WHERE partition_id = ? AND producer_id = ?");
    const remove = target.prepare("DELETE FROM producer WHERE partition_id = ? AND producer_id = ?");
    const known = new Set<string>();
    let changed = 0;
    for (const { partitionId, producerId, state: text, isKept: keeps } of read.all()) {
      const key = `${partitionId}:${producerId}`;
      known.add(key);
      const stored = parse(text);
      if (stored !== undefined && !isAhead(target, Number(partitionId), stored, parts.places)) continue;
      changed++;
      const seen = keeps === 0n ? undefined : this.#newest.get(key);
      if (seen === undefined) remove.run(partitionId, producerId);
      else put.run(JSON.stringify(withRecords(seen.state, stored)), partitionId, producerId);
    }
    if (parts.isTableDamaged) changed += this.#addMissing(target, known);
    return changed;
  }

  #addMissing(target: Database, known: ReadonlySet<string>): number {
    // In a log of format 1 there are no lifetimes yet; the upgrade adds them.
    const lifetimes = columnsOf(target).includes("is_kept") ? ["heard_at", "is_kept"] : [];
    const all = ["partition_id", "producer_id", "state", "updated_at", ...lifetimes];
    const add = target.prepare(
      `INSERT OR IGNORE INTO producer (${all.join(", ")}) VALUES (?, ?, ?, ?${lifetimes.length > 0 ? ", 0, 1" : ""})`,
    );
    let count = 0;
    for (const [key, { state }] of this.#newest) {
      if (known.has(key)) continue;
      const [partitionId = "", producerId = ""] = key.split(":");
      add.run(BigInt(partitionId), BigInt(producerId), JSON.stringify(state), 0);
      count++;
    }
    return count;
  }
}

function columnsOf(target: Database): string[] {
  return (target.pragma("table_info(producer)") as { readonly name: string }[]).map(({ name }) => name);
}

/** The state's last batch is not there, and neither trimmed nor compacted away. */
function isAhead(
  target: Database,
  partitionId: number,
  { recent }: ProducerState,
  places: ReadonlyMap<number, BatchPlace>,
): boolean {
  const last = recent.at(-1);
  const place = places.get(partitionId);
  if (last === undefined || place === undefined) return false;
  if (last.baseOffset < Math.max(place.logStartOffset, place.compactedEnd)) return false;
  const key = batchKey(partitionId, last.baseOffset);
  return target.prepare("SELECT 1 FROM batch WHERE key = ?").get(key) === undefined;
}

/** The count over all epochs, less what is lost of this one. */
function withRecords(state: ProducerState, stored: ProducerState | undefined): ProducerState {
  if (stored === undefined || stored.epoch !== state.epoch) return state;
  const lost = (stored.lastSequence - state.lastSequence + SEQUENCE_COUNT) % SEQUENCE_COUNT;
  return { ...state, records: Math.max(state.records, (stored.records ?? 0) - lost) };
}

/** Undefined for what is no state. */
function parse(text: string): ProducerState | undefined {
  try {
    const state = JSON.parse(text) as Partial<ProducerState>;
    const isState =
      Number.isInteger(state.epoch) && Number.isInteger(state.lastSequence) && Array.isArray(state.recent);
    return isState && (state.recent ?? []).every(isRemembered) ? (state as ProducerState) : undefined;
  } catch {
    return undefined;
  }
}

function isRemembered(batch: Partial<ProducerState["recent"][number]>): boolean {
  const { firstSequence, lastSequence, baseOffset } = batch;
  const isWhole = Number.isInteger(firstSequence) && Number.isInteger(lastSequence) && Number.isInteger(baseOffset);
  return isWhole && sequenceAfter(firstSequence ?? 0, 0) === firstSequence;
}
