/**
 * Looks into the log of an agent or a hub, running or not: read-only, in short reads, so that it neither disturbs the
 * writer nor keeps its WAL from being emptied. Unlike the log's own reader it shows damaged batches too. Provisional
 * timestamps of an agent are shown as the times that its records would leave with now.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import type { Database, Statement } from "better-sqlite3";
import { ClockSessions } from "../agent/time/clock-sessions.ts";
import { clockTable } from "../agent/time/clock-table.ts";
import type { StoredClock } from "../agent/time/clock-table.ts";
import { QUALITY_HEADER } from "../shared/batch/merge.ts";
import { isProvisional, resolveTimestamp } from "../shared/batch/provisional-time.ts";
import type { ClockSession } from "../shared/batch/provisional-time.ts";
import { codecOf, hasValidCrc, readBatchHeader } from "../shared/batch/record-batch.ts";
import type { BatchHeader, Codec } from "../shared/batch/record-batch.ts";
import { decodeRecords } from "../shared/batch/records.ts";
import { StreamError } from "../shared/errors.ts";
import type { Offset, Partition, Timestamp } from "../shared/ids.ts";
import { openForReading } from "../shared/log/open-database.ts";
import { BASE_OFFSET_SQL, LOG_FILE_NAME, OFFSET_MAX, batchKey } from "../shared/log/schema.ts";
import type { StoredRecord } from "../shared/record.ts";

export type PartitionSummary = {
  readonly topic: string;
  readonly partition: Partition;
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
  readonly batchCount: number;
  /** Of the stored batches, compressed as they are. */
  readonly bytes: number;
};

export type BatchInspection = {
  readonly topic: string;
  readonly partition: Partition;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly bytes: number;
  /** Undefined when the header itself cannot be read. */
  readonly header: BatchHeader | undefined;
  readonly codec: Codec | undefined;
  /** Of the newest record. */
  readonly maxTimestamp: Timestamp | undefined;
  /** What is wrong with the batch; undefined when its CRC, place and size agree. */
  readonly damage: string | undefined;
  readonly batch: Buffer;
};

type PartitionRow = { id: number; topic: string; partition: Partition; log_start_offset: Offset };
type BatchRow = { base: Offset; delta: number; bytes: Buffer };
type SizeRow = { count: number; bytes: number | null; end: Offset | null };

/** Rows of one read: a reader that stays long keeps the writer's WAL from being emptied. */
const READ_ROW_COUNT = 64;

export class LogInspection {
  readonly #database: Database;
  readonly #partitions: Statement<[], PartitionRow>;
  readonly #size: Statement<[{ from: bigint; to: bigint }], SizeRow>;
  readonly #floor: Statement<[bigint, bigint], { base: Offset; delta: number }>;
  readonly #batches: Statement<[bigint, bigint, number], BatchRow>;
  /** Of an agent's clock. */
  readonly sessions: readonly ClockSession[];

  /** `place` is a data directory or the log file itself. @throws StreamError LOG_IO when there is no readable log. */
  constructor(place: string) {
    this.#database = openLog(place);
    this.#partitions = this.#database.prepare(
      "SELECT id, topic, partition, log_start_offset FROM partition ORDER BY topic, partition",
    );
    this.#size = this.#database.prepare(
      `SELECT count(*) AS count, sum(length(bytes)) AS bytes,
        (SELECT (${BASE_OFFSET_SQL}) + last_offset_delta + 1 FROM batch WHERE key BETWEEN @from AND @to ORDER BY key DESC LIMIT 1) AS end
        FROM batch WHERE key BETWEEN @from AND @to`,
    );
    this.#floor = this.#database.prepare(
      `SELECT ${BASE_OFFSET_SQL} AS base, last_offset_delta AS delta FROM batch WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1`,
    );
    this.#batches = this.#database.prepare(
      `SELECT ${BASE_OFFSET_SQL} AS base, last_offset_delta AS delta, bytes FROM batch WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?`,
    );
    this.sessions = readSessions(this.#database);
  }

  partitions(): PartitionSummary[] {
    return this.#partitions.all().map((row) => {
      const size = this.#size.get({ from: batchKey(row.id, 0), to: batchKey(row.id, OFFSET_MAX) });
      return {
        topic: row.topic,
        partition: row.partition,
        logStartOffset: row.log_start_offset,
        logEndOffset: Math.max(size?.end ?? 0, row.log_start_offset),
        batchCount: size?.count ?? 0,
        bytes: size?.bytes ?? 0,
      };
    });
  }

  /** The batches of the chosen partitions, from the one that contains `offset` on, each checked. */
  *batches(choice: { topic?: string; partition?: Partition; offset?: Offset }): Generator<BatchInspection> {
    for (const row of this.#chosen(choice)) yield* this.#batchesOf(row, choice.offset ?? 0);
  }

  close(): void {
    this.#database.close();
  }

  /** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION when nothing fits. */
  #chosen(choice: { topic?: string; partition?: Partition }): PartitionRow[] {
    const all = this.#partitions.all();
    const { topic, partition } = choice;
    const ofTopic = topic === undefined ? all : all.filter((row) => row.topic === topic);
    if (topic !== undefined && ofTopic.length === 0) {
      const names = [...new Set(all.map((row) => row.topic))].join(", ");
      throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `the log has no topic '${topic}'`, {
        hint: names === "" ? "The log is empty." : `It has ${names}.`,
      });
    }
    const rows = partition === undefined ? ofTopic : ofTopic.filter((row) => row.partition === partition);
    if (partition !== undefined && rows.length === 0) {
      throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `the log has no partition ${partition} of it`, {
        hint: "`tributary log inspect DIR` shows what there is.",
      });
    }
    return rows;
  }

  *#batchesOf(row: PartitionRow, offset: Offset): Generator<BatchInspection> {
    const floor = this.#floor.get(batchKey(row.id, 0), batchKey(row.id, offset));
    let from = floor !== undefined && floor.base + floor.delta >= offset ? floor.base : offset;
    for (;;) {
      const rows = this.#batches.all(batchKey(row.id, from), batchKey(row.id, OFFSET_MAX), READ_ROW_COUNT);
      for (const batch of rows) yield inspectBatch(row, batch, this.sessions);
      const last = rows.at(-1);
      if (last === undefined || rows.length < READ_ROW_COUNT) return;
      from = last.base + 1;
    }
  }
}

function inspectBatch(
  at: { topic: string; partition: Partition },
  row: BatchRow,
  sessions: readonly ClockSession[],
): BatchInspection {
  const place = {
    topic: at.topic,
    partition: at.partition,
    baseOffset: row.base,
    lastOffset: row.base + row.delta,
    bytes: row.bytes.length,
    batch: row.bytes,
  };
  try {
    const header = readBatchHeader(row.bytes);
    const { timestamp: maxTimestamp } = timeOf(header.maxTimestamp, sessions);
    return { ...place, header, codec: codecOf(header), maxTimestamp, damage: damageOf(row, header) };
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    return { ...place, header: undefined, codec: undefined, maxTimestamp: undefined, damage: error.message };
  }
}

function damageOf(row: BatchRow, header: BatchHeader): string | undefined {
  if (header.bytes !== row.bytes.length) return `${row.bytes.length} bytes stored, ${header.bytes} expected`;
  if (!hasValidCrc(row.bytes, header)) return "the CRC-32C does not match";
  if (header.baseOffset !== row.base) return `the batch says offset ${header.baseOffset}`;
  if (header.lastOffsetDelta !== row.delta) return `the batch says ${header.lastOffsetDelta + 1} offsets`;
  return undefined;
}

/** The records of a sound batch from `offset` on. @throws StreamError CORRUPT_RECORD. */
export function* recordsOf(
  inspected: BatchInspection,
  offset: Offset,
  sessions: readonly ClockSession[] = [],
): Generator<StoredRecord> {
  if (inspected.header === undefined) return;
  for (const record of decodeRecords(inspected.batch, inspected.header)) {
    if (record.offset < offset) continue;
    const { timestamp, quality } = timeOf(record.timestamp, sessions);
    const mark = quality === undefined ? [] : [{ key: QUALITY_HEADER, value: Buffer.from(quality) }];
    yield { ...record, timestamp, headers: [...record.headers, ...mark] };
  }
}

function timeOf(timestamp: Timestamp, sessions: readonly ClockSession[]) {
  return isProvisional(timestamp) ? resolveTimestamp(timestamp, sessions) : { timestamp, quality: undefined };
}

/** A hub's log has none, nor has that of an agent of before. */
function readSessions(database: Database): readonly ClockSession[] {
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE name IN ('clock_known', 'clock_session')");
  if (tables.all().length < 2) return [];
  const load = clockTable.prepare(database)["load"] as () => StoredClock;
  return new ClockSessions(load().sessions).list();
}

function openLog(place: string): Database {
  const directory = path.basename(place) === LOG_FILE_NAME ? path.dirname(place) : place;
  if (!existsSync(path.join(directory, LOG_FILE_NAME))) {
    throw new StreamError("LOG_IO", `there is no ${LOG_FILE_NAME} in ${directory}`, { hint: hintFor(directory) });
  }
  let database: Database | undefined;
  try {
    database = openForReading(directory);
    // A file without the log's tables fails here, not in the first look.
    database.prepare("SELECT id FROM partition LIMIT 1").get();
    return database;
  } catch (error) {
    database?.close();
    throw new StreamError("LOG_IO", `the log in ${directory} cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: "It may be damaged, of another version, or not readable for this user.",
    });
  }
}

/** A directory above is an easy mistake, so the logs below it are named. */
function hintFor(directory: string): string {
  const isDirectory = statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isDirectory) return "Give the --data directory of an agent or a hub.";
  const below = readdirSync(directory).filter((name) => existsSync(path.join(directory, name, LOG_FILE_NAME)));
  if (below.length === 0) return "Give the --data directory of an agent or a hub.";
  return `There is one in ${below.map((name) => path.join(directory, name)).join(" and in ")}.`;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
