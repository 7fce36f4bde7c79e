/**
 * The tables of the log, one SQLite database a program (`log.db` in its data directory).
 *
 *   batch.key   [ partition id : 21 bits ][ base offset : 42 bits ]
 *
 * so that one table holds every partition, a partition's batches lie side by side in the order of their offsets, and
 * the look-up by offset is the primary key; there is no secondary index on the hot path. `max_timestamp` is the running
 * maximum within the partition, which never falls, so a look-up by time is a binary search. It is for look-ups alone: it
 * comes from producers' clocks, and what is old is told by `age_mark` (age-marks.ts).
 *
 * Compaction takes records out of batches and whole batches out of partitions, so offsets may be missing within and
 * between rows. It never touches a partition's newest batch.
 *
 * A partition's log end is its last batch's end, or its log start when it holds none: nothing but the batch itself is
 * written for an append. After damage, when the last batches are lost, it is `counted_end` (salvage/).
 */
import type { Offset } from "../ids.ts";

/**
 * A small commit writes whole pages, so small pages spare the SD card: 8 records a commit over 4 partitions cost 2.4 kB
 * a record with pages of 1 KiB and 4.8 kB with SQLite's default of 4; large commits are no slower.
 */
export const PAGE_BYTES = 1024;
export const LOG_FILE_NAME = "log.db";
export const LOCK_FILE_NAME = "lock.db";
/** Written to the database; a program refuses a newer one and upgrades an older one (log-format.ts). */
export const LOG_FORMAT = 2;

const OFFSET_BITS = 42n;
export const OFFSET_MAX: Offset = Number(1n << OFFSET_BITS) - 1;

export function batchKey(partitionId: number, baseOffset: Offset): bigint {
  return (BigInt(partitionId) << OFFSET_BITS) | BigInt(baseOffset);
}

/** SQL for the base offset of a row: small enough to come back as a number. */
export const BASE_OFFSET_SQL = `key & ${OFFSET_MAX}`;
export const PARTITION_ID_SQL = `key >> ${OFFSET_BITS}`;

export const LOG_SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topic (
  name TEXT PRIMARY KEY,
  id BLOB NOT NULL,
  config TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partition (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  log_start_offset INTEGER NOT NULL DEFAULT 0,
  -- counted_bytes are the bytes of the batches before counted_end: spares counting all of them at every start.
  counted_end INTEGER NOT NULL DEFAULT 0,
  counted_bytes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic, partition)
);
-- Partitions of deleted topics whose batches are still to be swept.
CREATE TABLE IF NOT EXISTS doomed (partition_id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS batch (
  key INTEGER PRIMARY KEY,
  last_offset_delta INTEGER NOT NULL,
  max_timestamp INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
-- How far compaction has come. clean_bytes are the bytes from clean_from, the log start of then, to first_dirty_offset.
CREATE TABLE IF NOT EXISTS compaction (
  partition_id INTEGER PRIMARY KEY,
  first_dirty_offset INTEGER NOT NULL,
  clean_from INTEGER NOT NULL,
  clean_bytes INTEGER NOT NULL,
  -- When the youngest tombstone before first_dirty_offset may go.
  last_horizon INTEGER
);
CREATE TABLE IF NOT EXISTS age_mark (
  partition_id INTEGER NOT NULL,
  -- By the log's own clock, whose time is in meta.
  at INTEGER NOT NULL,
  end_offset INTEGER NOT NULL,
  PRIMARY KEY (partition_id, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS producer (
  partition_id INTEGER NOT NULL,
  producer_id INTEGER NOT NULL,
  state TEXT NOT NULL,
  -- Of the last batch: by the wall clock, for people, and by the log's own, for the end of states that are not kept.
  updated_at INTEGER NOT NULL,
  heard_at INTEGER NOT NULL DEFAULT 0,
  is_kept INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (partition_id, producer_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS producer_by_id ON producer (producer_id);
`;
