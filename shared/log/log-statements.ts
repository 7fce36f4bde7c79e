/** The SQL of the log's writer, prepared once. */
import type { Database, Statement } from "better-sqlite3";
import type { Offset, Timestamp } from "../ids.ts";
import { BASE_OFFSET_SQL } from "./schema.ts";

export type PartitionRow = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  readonly log_start_offset: Offset;
  readonly counted_end: Offset;
  readonly counted_bytes: number;
};
export type HeadRow = {
  readonly base: Offset;
  readonly delta: number;
  readonly bytes: number;
  readonly max_timestamp: Timestamp;
};

export type LogStatements = ReturnType<typeof prepareStatements>;

export function prepareStatements(database: Database) {
  const sql = <Parameters extends unknown[], Row = unknown>(text: string): Statement<Parameters, Row> =>
    database.prepare<Parameters, Row>(text);
  const head = `SELECT ${BASE_OFFSET_SQL} AS base, last_offset_delta AS delta, length(bytes) AS bytes, max_timestamp FROM batch`;
  return {
    begin: sql<[]>("BEGIN IMMEDIATE"),
    savepoint: sql<[]>("SAVEPOINT call"),
    release: sql<[]>("RELEASE call"),
    rollbackTo: sql<[]>("ROLLBACK TO call"),
    partitions: sql<[], PartitionRow>("SELECT * FROM partition"),
    topics: sql<[], { name: string; id: Buffer; config: string }>("SELECT name, id, config FROM topic"),
    topic: sql<[string]>("SELECT 1 FROM topic WHERE name = ?"),
    createTopic: sql<[string, Uint8Array, string]>("INSERT INTO topic (name, id, config) VALUES (?, ?, ?)"),
    alterTopic: sql<[string, string]>("UPDATE topic SET config = ? WHERE name = ?"),
    deleteTopic: sql<[string]>("DELETE FROM topic WHERE name = ?"),
    createPartition: sql<[string, number]>("INSERT INTO partition (topic, partition) VALUES (?, ?)"),
    partitionCount: sql<[string], { count: number }>("SELECT count(*) AS count FROM partition WHERE topic = ?"),
    partitionsOf: sql<[string], { id: number }>("SELECT id FROM partition WHERE topic = ?"),
    deletePartition: sql<[number]>("DELETE FROM partition WHERE id = ?"),
    start: sql<[Offset, number]>("UPDATE partition SET log_start_offset = ? WHERE id = ?"),
    count: sql<[Offset, number, number]>("UPDATE partition SET counted_end = ?, counted_bytes = ? WHERE id = ?"),
    insert: sql<[bigint, number, Timestamp, Buffer]>(
      "INSERT INTO batch (key, last_offset_delta, max_timestamp, bytes) VALUES (?, ?, ?, ?)",
    ),
    last: sql<[bigint, bigint], HeadRow>(`${head} WHERE key >= ? AND key <= ? ORDER BY key DESC LIMIT 1`),
    head: sql<[bigint, bigint, number], HeadRow>(`${head} WHERE key >= ? AND key <= ? ORDER BY key LIMIT ?`),
    sum: sql<[bigint, bigint, number], { bytes: number | null; base: Offset | null }>(
      `SELECT SUM(bytes) AS bytes, MAX(base) AS base FROM (SELECT ${BASE_OFFSET_SQL} AS base, length(bytes) AS bytes FROM batch WHERE key >= ? AND key <= ? ORDER BY key LIMIT ?)`,
    ),
    sweep: sql<[bigint, bigint, number]>(
      "DELETE FROM batch WHERE key IN (SELECT key FROM batch WHERE key >= ? AND key <= ? ORDER BY key LIMIT ?)",
    ),
    rewrite: sql<[number, Timestamp, Buffer, bigint, number, number]>(
      "UPDATE batch SET last_offset_delta = ?, max_timestamp = ?, bytes = ? WHERE key = ? AND last_offset_delta = ? AND length(bytes) = ?",
    ),
    restamp: sql<[Timestamp, bigint, number, number]>(
      "UPDATE batch SET max_timestamp = ? WHERE key = ? AND last_offset_delta = ? AND length(bytes) = ?",
    ),
    remove: sql<[bigint, number, number]>(
      "DELETE FROM batch WHERE key = ? AND last_offset_delta = ? AND length(bytes) = ?",
    ),
    saveCompaction: sql<[number, Offset, Offset, number, Timestamp | null]>(
      "INSERT OR REPLACE INTO compaction (partition_id, first_dirty_offset, clean_from, clean_bytes, last_horizon) VALUES (?, ?, ?, ?, ?)",
    ),
    deleteCompaction: sql<[number]>("DELETE FROM compaction WHERE partition_id = ?"),
    doom: sql<[number]>("INSERT INTO doomed (partition_id) VALUES (?)"),
    doomed: sql<[], { partition_id: number }>("SELECT partition_id FROM doomed LIMIT 1"),
    undoom: sql<[number]>("DELETE FROM doomed WHERE partition_id = ?"),
  };
}
