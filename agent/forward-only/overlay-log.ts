/**
 * The log on a disk that takes no writes, with what its programs write kept in memory: the extensions' tables are copied
 * into a database in memory, which lies over the one on the disk. Topics and batches are read from the disk; nothing is
 * appended, and nothing is trimmed.
 *
 *   uplink_place, loss, … ─copied─▶ memory ◀─ reads and writes
 *   batch, partition      ─────────────────▶ reads
 *
 * A process without threads for it: nothing else happens in a program that only forwards.
 */
import Database from "better-sqlite3";
import path from "node:path";
import { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import { LogReader } from "../../shared/log/log-reader.ts";
import type {
  ExtensionCall,
  LogPartition,
  LogTopic,
  MergedBatch,
  PartitionedLog,
} from "../../shared/log/partitioned-log.ts";
import { BASE_OFFSET_SQL, LOG_FILE_NAME, LOG_FORMAT, OFFSET_MAX, batchKey } from "../../shared/log/schema.ts";
import { sqliteError } from "../../shared/log/worker-port.ts";
import type { Logger } from "../../shared/logger.ts";

type TopicRow = { readonly name: string; readonly id: Buffer; readonly config: string };
type PartitionRow = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  readonly logStartOffset: Offset;
  readonly bytes: number;
};
type MergeRequest = Parameters<PartitionedLog["readMerged"]>[0];

const NEVER = (): void => undefined;

export class OverlayLog implements Pick<
  PartitionedLog,
  "topics" | "call" | "query" | "readMerged" | "trim" | "onCommit"
> {
  readonly id: string;
  readonly topics: ReadonlyMap<string, LogTopic>;
  readonly #database: Database.Database;
  readonly #reader: LogReader;
  readonly #extensions: ReadonlyMap<string, ExtensionMethods>;

  /** @throws StreamError LOG_IO, LOG_CORRUPT, LOG_VERSION. */
  constructor(directory: string, extensions: readonly LogExtension[], logger: Logger) {
    const database = attached(path.join(directory, LOG_FILE_NAME));
    this.#database = database;
    try {
      checkFormat(database);
      for (const { schema } of extensions) database.exec(schema);
      copyTables(database);
      this.#extensions = new Map(extensions.map((each) => [each.name, each.prepare(database)]));
      this.#reader = new LogReader(database, (partitionId, from, to) => {
        logger.warn({ partitionId, from, to }, "a part of the log cannot be read");
      });
      this.topics = topicsOf(database);
      this.id = database.prepare<[], string>("SELECT value FROM disk.meta WHERE name = 'log-id'").pluck().get() ?? "";
    } catch (error) {
      database.close();
      throw sqliteError(error);
    }
  }

  async call(calls: readonly ExtensionCall[]): Promise<unknown[]> {
    return this.#run(() => this.#database.transaction(() => calls.map((call) => this.#method(call)))());
  }

  async query(call: ExtensionCall): Promise<unknown> {
    return this.#run(() => this.#method(call));
  }

  async readMerged({ partition, ...rest }: MergeRequest): Promise<MergedBatch | undefined> {
    return this.#run(() => this.#reader.readMerged({ partitionId: partition.id, ...rest }));
  }

  /** The room is not needed: nothing comes. */
  async trim(): Promise<void> {}

  onCommit(): () => void {
    return NEVER;
  }

  close(): void {
    this.#database.close();
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

/**
 * SQLite keeps its index of the WAL in a file, which takes writing, or in memory, which takes a lock that only a file that
 * is open for writing gives. A disk that fails writes lets files be opened so, one that is mounted read-only does not; but
 * then the index file may be only read, too.
 */
function attached(file: string): Database.Database {
  for (const locking of ["EXCLUSIVE", "NORMAL"]) {
    const database = new Database(":memory:");
    try {
      database.pragma(`locking_mode = ${locking}`);
      database.prepare("ATTACH ? AS disk").run(file);
      // Opens it in fact.
      database.prepare("SELECT count(*) FROM disk.partition").get();
      return database;
    } catch (error) {
      database.close();
      if (locking === "NORMAL") throw sqliteError(error);
    }
  }
  throw new StreamError("LOG_IO", "the log cannot be opened");
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

function topicsOf(database: Database.Database): ReadonlyMap<string, LogTopic> {
  const partitions = database
    .prepare<[], PartitionRow>(
      `SELECT id, topic, partition, log_start_offset AS logStartOffset, counted_bytes AS bytes
       FROM disk.partition ORDER BY topic, partition`,
    )
    .all();
  const end = database
    .prepare<[bigint, bigint], Offset>(
      `SELECT (${BASE_OFFSET_SQL}) + last_offset_delta + 1 FROM disk.batch WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1`,
    )
    .pluck();
  const placeOf = (row: PartitionRow): LogPartition => {
    const logEndOffset = end.get(batchKey(row.id, 0), batchKey(row.id, OFFSET_MAX)) ?? row.logStartOffset;
    return { ...row, logEndOffset: Math.max(row.logStartOffset, logEndOffset) };
  };
  const topics = database.prepare<[], TopicRow>("SELECT name, id, config FROM disk.topic").all();
  return new Map(
    topics.map(({ name, id, config }) => [
      name,
      {
        name,
        id,
        config: JSON.parse(config) as Record<string, string>,
        partitions: partitions.filter((row) => row.topic === name).map(placeOf),
      },
    ]),
  );
}
