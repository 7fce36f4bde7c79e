/**
 * Topics and partitions of a salvaged log: what must be there for the rest to make sense is made, and where batches are
 * missing is found out. Offsets that may have been given out are never given out again.
 *
 *   log start ▏▒▒▒▒│ lost │▒▒▒▒▒▒▒│ lost   ▏ counted end ······ margin ······▏ log end
 */
import { randomBytes } from "node:crypto";
import type { Database } from "better-sqlite3";
import type { Offset, Partition } from "../../ids.ts";
import { BASE_OFFSET_SQL, OFFSET_MAX, batchKey } from "../schema.ts";
import type { BatchPlace } from "./salvaged-batches.ts";
import { skipMarker } from "./skip-marker.ts";

const TOPIC_ID_BYTES = 16;

/** Inclusive ends. */
export type LostRange = {
  readonly topic: string;
  readonly partition: Partition;
  readonly from: Offset;
  readonly to: Offset;
};

type PlaceRow = { readonly id: number; readonly topic: string; readonly partition: number };
type PlaceStart = PlaceRow & { readonly start: Offset; readonly counted: Offset };
type BatchRow = { readonly base: Offset; readonly delta: number; readonly bytes: number };

/** Makes topics whose row is gone, and partitions missing among others; puts right what cannot be read as a config. */
export function repairTopics(target: Database): void {
  target.exec("UPDATE topic SET config = '{}' WHERE NOT json_valid(config)");
  const names = target.prepare<[], string>("SELECT name FROM topic UNION SELECT topic FROM partition").pluck().all();
  const makeTopic = target.prepare("INSERT OR IGNORE INTO topic (name, id, config) VALUES (?, ?, '{}')");
  const makePartition = target.prepare("INSERT OR IGNORE INTO partition (topic, partition) VALUES (?, ?)");
  const last = target.prepare<[string], number | null>("SELECT max(partition) FROM partition WHERE topic = ?").pluck();
  // A damaged number would make partitions without end.
  target.exec("DELETE FROM partition WHERE partition < 0 OR partition >= 100000 OR id <= 0 OR id >= 2097152");
  for (const name of names) {
    makeTopic.run(name, randomBytes(TOPIC_ID_BYTES));
    const end = last.get(name) ?? 0;
    for (let partition = 0; partition <= end; partition++) makePartition.run(name, partition);
  }
}

export function batchPlaces(target: Database): Map<number, BatchPlace> {
  const rows = target
    .prepare<[], { id: number; start: Offset; compactedEnd: Offset }>(
      `SELECT id, log_start_offset AS start, COALESCE(first_dirty_offset, 0) AS compactedEnd
       FROM partition LEFT JOIN compaction ON partition_id = id`,
    )
    .all();
  return new Map(rows.map(({ id, start, compactedEnd }) => [id, { logStartOffset: start, compactedEnd }]));
}

export type Ends = {
  /** Records that were there. */
  readonly lost: readonly LostRange[];
  /** Offsets that are left out. */
  readonly skipped: readonly LostRange[];
};

/** `margin`: how far behind what is known to have been given out each partition goes on. */
export function settleEnds(target: Database, margin: number): Ends {
  const places = target
    .prepare<[], PlaceStart>(
      "SELECT id, topic, partition, log_start_offset AS start, counted_end AS counted FROM partition ORDER BY id",
    )
    .all();
  const batches = target.prepare<[bigint, bigint], BatchRow>(
    `SELECT ${BASE_OFFSET_SQL} AS base, last_offset_delta AS delta, length(bytes) AS bytes FROM batch
     WHERE key >= ? AND key <= ? ORDER BY key`,
  );
  const save = target.prepare("UPDATE partition SET counted_end = ?, counted_bytes = ? WHERE id = ?");
  const compacted = batchPlaces(target);
  const lost: LostRange[] = [];
  const skipped: LostRange[] = [];
  const counts: [end: Offset, bytes: number, id: number][] = [];
  for (const { id, topic, partition, start, counted } of places) {
    const compactedEnd = compacted.get(id)?.compactedEnd ?? 0;
    let next = start;
    let placeBytes = 0;
    for (const row of batches.iterate(batchKey(id, 0), batchKey(id, OFFSET_MAX))) {
      if (row.base > next && row.base > compactedEnd) lost.push({ topic, partition, from: next, to: row.base - 1 });
      next = Math.max(next, row.base + row.delta + 1);
      placeBytes += row.bytes;
    }
    // A damaged number must not use up the offsets.
    const known = counted > OFFSET_MAX / 2 ? next : Math.max(next, counted);
    if (known > next) lost.push({ topic, partition, from: next, to: known - 1 });
    if (known > 0 && margin > 0) skipped.push(skip(target, { id, topic, partition }, known, margin));
    counts.push([known, placeBytes, id]);
  }
  for (const count of counts) save.run(...count);
  return { lost, skipped };
}

/** Numbers of partitions are never given out again, also those of partitions that are gone. */
export function reservePartitionIds(target: Database): void {
  const largest = target.prepare<[], bigint | null>("SELECT max(key) FROM batch").pluck().safeIntegers().get();
  const inBatches = largest === null || largest === undefined ? 0 : Number(largest >> 42n);
  const inTable = target.prepare<[], number | null>("SELECT max(id) FROM partition").pluck().get() ?? 0;
  target
    .prepare("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'partition'")
    .run(Math.max(inBatches, inTable));
}

/** Leaves out `margin` offsets from `from` on. */
function skip(target: Database, { id, topic, partition }: PlaceRow, from: Offset, margin: number): LostRange {
  const to = Math.min(OFFSET_MAX - 1, from + margin - 1);
  const { bytes, lastOffsetDelta } = skipMarker(to);
  const maxTimestamp = target
    .prepare<[bigint, bigint], number>("SELECT max_timestamp FROM batch WHERE key >= ? AND key <= ? ORDER BY key DESC")
    .pluck()
    .get(batchKey(id, 0), batchKey(id, OFFSET_MAX));
  target
    .prepare("INSERT OR IGNORE INTO batch (key, last_offset_delta, max_timestamp, bytes) VALUES (?, ?, ?, ?)")
    .run(batchKey(id, to), lastOffsetDelta, maxTimestamp ?? 0, bytes);
  return { topic, partition, from, to };
}

/** Without a look at the batches between: each partition goes on so far behind its last one. */
export function skipAhead(target: Database, margin: number): LostRange[] {
  const places = target
    .prepare<[], PlaceStart>(
      "SELECT id, topic, partition, log_start_offset AS start, counted_end AS counted FROM partition ORDER BY id",
    )
    .all();
  const last = target.prepare<[bigint, bigint], { end: Offset }>(
    `SELECT (${BASE_OFFSET_SQL}) + last_offset_delta + 1 AS end FROM batch WHERE key >= ? AND key <= ?
     ORDER BY key DESC LIMIT 1`,
  );
  return places.flatMap(({ id, topic, partition, start, counted }) => {
    const from = Math.max(start, counted, last.get(batchKey(id, 0), batchKey(id, OFFSET_MAX))?.end ?? 0);
    return margin === 0 ? [] : [skip(target, { id, topic, partition }, from, margin)];
  });
}
