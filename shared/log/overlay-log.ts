/**
 * The log on a disk that takes no writes, with what its programs write kept in memory: tables of extensions are copied
 * into a database in memory, which lies over the one on the disk. Topics and batches are read from the disk; nothing is
 * appended, and nothing is trimmed.
 *
 *   uplink_place, loss, … ─copied─▶ memory ◀─ reads and writes      `overlaid`
 *   committed_offset, …   ─────────────────▶ reads                  `asTheyAre`
 *   batch, partition      ─────────────────▶ reads
 *
 * A process without threads for it: nothing else happens in a program that only reads.
 */
import type Database from "better-sqlite3";
import path from "node:path";
import { StreamError } from "../errors.ts";
import type { Offset } from "../ids.ts";
import { invariant } from "../invariant.ts";
import type { ExtensionMethods, LogExtension } from "./extension.ts";
import { DamageReports } from "./damage-reports.ts";
import { IntegrityRecord } from "./log-integrity.ts";
import type { LogIntegrity } from "./log-integrity.ts";
import { LogReader } from "./log-reader.ts";
import type { ExtensionCall, LogPartition, LogTopic, MergedBatch, PartitionedLog } from "./partitioned-log.ts";
import { ReadableEnds } from "./readable-ends.ts";
import type { EndHole } from "./readable-ends.ts";
import { loadIncidents } from "./salvage/incidents.ts";
import { BASE_OFFSET_SQL, LOG_FILE_NAME, LOG_FORMAT, OFFSET_MAX, batchKey } from "./schema.ts";
import { closeUnwritable, openUnwritable } from "./unwritable-database.ts";
import { sqliteError } from "./worker-port.ts";
import type { Logger } from "../logger.ts";

type TopicRow = { readonly name: string; readonly id: Buffer; readonly config: string };
type PartitionRow = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  readonly logStartOffset: Offset;
  readonly countedEnd: Offset;
  readonly countedBytes: number;
};
type MergeRequest = Parameters<PartitionedLog["readMerged"]>[0];

export type OverlayExtensions = {
  /** Their tables are copied: what is written to them is gone with the process. */
  readonly overlaid?: readonly LogExtension[];
  /** Their tables are read where they are; methods that write fail. */
  readonly asTheyAre?: readonly LogExtension[];
};

const NEVER = (): void => undefined;

export class OverlayLog implements Pick<
  PartitionedLog,
  "topics" | "call" | "query" | "readMerged" | "trim" | "onCommit"
> {
  readonly id: string;
  readonly topics: ReadonlyMap<string, LogTopic>;
  /** For queries as the log's threads answer them. */
  readonly reader: LogReader;
  readonly #readableEnds = new ReadableEnds();
  readonly #integrity = new IntegrityRecord();
  readonly #damageReports = new DamageReports();
  readonly #directory: string;
  readonly #database: Database.Database;
  readonly #extensions: ReadonlyMap<string, ExtensionMethods>;

  /** @throws StreamError LOG_IO, LOG_CORRUPT, LOG_VERSION. */
  constructor(directory: string, { overlaid = [], asTheyAre = [] }: OverlayExtensions, logger: Logger) {
    const database = attached(directory);
    this.#directory = directory;
    this.#database = database;
    try {
      checkFormat(database);
      for (const { schema } of overlaid) database.exec(schema);
      copyTables(database);
      this.#extensions = new Map([...overlaid, ...asTheyAre].map((each) => [each.name, each.prepare(database)]));
      this.#integrity.opened(loadIncidents(database));
      this.reader = new LogReader(database, (partitionId, from, to) => {
        if (!this.#damageReports.isNews(partitionId, from)) return;
        this.#integrity.damaged(from, to);
        logger.warn({ partitionId, from, to }, "a part of the log cannot be read");
      });
      const { topics, endHoles } = topicsOf(database);
      this.topics = topics;
      this.#readableEnds.addHoles(endHoles);
      this.id = database.prepare<[], string>("SELECT value FROM disk.meta WHERE name = 'log-id'").pluck().get() ?? "";
    } catch (error) {
      closeUnwritable(directory, database);
      throw sqliteError(error);
    }
  }

  get integrity(): LogIntegrity {
    return this.#integrity.value;
  }

  async call(calls: readonly ExtensionCall[]): Promise<unknown[]> {
    return this.#run(() => this.#database.transaction(() => calls.map((call) => this.#method(call)))());
  }

  async query(call: ExtensionCall): Promise<unknown> {
    return this.#run(() => this.#method(call));
  }

  async readMerged({ partition, ...rest }: MergeRequest): Promise<MergedBatch | undefined> {
    return this.#run(() => this.reader.readMerged({ partitionId: partition.id, ...rest }));
  }

  /** See readable-ends.ts. */
  readableEndOffset(partition: LogPartition): Offset {
    return this.#readableEnds.of(partition);
  }

  /** The room is not needed: nothing comes. */
  async trim(): Promise<void> {}

  onCommit(): () => void {
    return NEVER;
  }

  close(): void {
    closeUnwritable(this.#directory, this.#database);
  }

  #method({ extension, method, args }: ExtensionCall): unknown {
    const found = this.#extensions.get(extension)?.[method];
    invariant(found !== undefined, `no ${extension}.${method} in a log that is only read`);
    return found(structuredClone(args) as never);
  }

  #run<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw sqliteError(error);
    }
  }
}

function attached(directory: string): Database.Database {
  return openUnwritable(":memory:", (database) => {
    database.prepare("ATTACH ? AS disk").run(path.join(directory, LOG_FILE_NAME));
    database.prepare("SELECT count(*) FROM disk.partition").get();
  });
}

function checkFormat(database: Database.Database): void {
  const format = Number(database.pragma("disk.user_version", { simple: true }));
  if (format === LOG_FORMAT) return;
  throw new StreamError(
    "LOG_VERSION",
    `the log has format ${format}, which cannot be upgraded on a disk that takes no writes`,
  );
}

/** Of the extensions: the log's own tables have no counterpart in memory. */
function copyTables(database: Database.Database): void {
  const names = database.prepare<[], string>("SELECT name FROM main.sqlite_schema WHERE type = 'table'").pluck().all();
  const isOnDisk = database.prepare("SELECT 1 FROM disk.sqlite_schema WHERE type = 'table' AND name = ?");
  for (const name of names) {
    if (isOnDisk.get(name) !== undefined) database.exec(`INSERT INTO main."${name}" SELECT * FROM disk."${name}"`);
  }
}

type Places = { readonly topics: ReadonlyMap<string, LogTopic>; readonly endHoles: readonly EndHole[] };

function topicsOf(database: Database.Database): Places {
  const rows = database
    .prepare<[], PartitionRow>(
      `SELECT id, topic, partition, log_start_offset AS logStartOffset, counted_end AS countedEnd,
       counted_bytes AS countedBytes FROM disk.partition ORDER BY topic, partition`,
    )
    .all();
  const lastEnd = database
    .prepare<[bigint, bigint], Offset>(
      `SELECT (${BASE_OFFSET_SQL}) + last_offset_delta + 1 FROM disk.batch WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1`,
    )
    .pluck();
  const bytes = database
    .prepare<[bigint, bigint], number>("SELECT TOTAL(LENGTH(bytes)) FROM disk.batch WHERE key BETWEEN ? AND ?")
    .pluck();
  const endHoles: EndHole[] = [];
  // As the writer does at its start (log-writer.ts).
  const placeOf = ({ id, topic, partition, logStartOffset, countedEnd, countedBytes }: PartitionRow): LogPartition => {
    const keyMax = batchKey(id, OFFSET_MAX);
    const from = Math.max(lastEnd.get(batchKey(id, 0), keyMax) ?? 0, logStartOffset);
    const logEndOffset = Math.max(from, countedEnd);
    if (from < logEndOffset) endHoles.push({ partitionId: id, from, logEndOffset });
    const uncounted = bytes.get(batchKey(id, countedEnd), keyMax) ?? 0;
    return { id, topic, partition, logStartOffset, logEndOffset, bytes: countedBytes + uncounted };
  };
  const placesOf = Map.groupBy(rows.map(placeOf), ({ topic }) => topic);
  const topics = database.prepare<[], TopicRow>("SELECT name, id, config FROM disk.topic").all();
  const toTopic = ({ name, id, config }: TopicRow): LogTopic => {
    return { name, id, config: JSON.parse(config) as Record<string, string>, partitions: placesOf.get(name) ?? [] };
  };
  return { topics: new Map(topics.map((row) => [row.name, toTopic(row)])), endHoles };
}
