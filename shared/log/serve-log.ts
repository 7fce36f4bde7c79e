/**
 * The log's worker thread: owns the database, answers one message at a time. A program's worker file calls `serveLog`
 * with its extensions (agent/log-worker.ts, hub/log-worker.ts).
 *
 *   commit ▶ BEGIN, operations, COMMIT (one fsync) ▶ answer ▶ between commits: checkpoint, sweep
 *
 * A commit that only wants `os` runs with synchronous=NORMAL and is answered before it is flushed; a flush follows
 * within FLUSH_DELAY_MS or with the next commit that wants one.
 */
import { closeSync, fdatasyncSync, openSync } from "node:fs";
import path from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import type { Database } from "better-sqlite3";
import { systemClock } from "../clock.ts";
import { crashPoint } from "../crash-point.ts";
import { StreamError } from "../errors.ts";
import { invariant, unreachable } from "../invariant.ts";
import type { Durability } from "../record.ts";
import type { ExtensionMethods, LogExtension } from "./extension.ts";
import type {
  CommitOperation,
  FromWorker,
  LogQuery,
  OperationResult,
  PartitionPlace,
  ToWorker,
  WorkerData,
} from "./log-messages.ts";
import { LogCleaner } from "./log-cleaner.ts";
import { LogReader } from "./log-reader.ts";
import { LogWriter } from "./log-writer.ts";
import {
  PAGE_BYTES,
  lockDirectory,
  makeDirectory,
  openForReading,
  openForWriting,
  setSynchronous,
} from "./open-database.ts";
import { LOG_FILE_NAME } from "./schema.ts";
import { ensureLogId } from "./log-id.ts";
import { answer, damageTo, post, sqliteError, toFailure } from "./worker-port.ts";

/** Bytes committed since the last checkpoint that make the next one due. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;
/** How long an `os` commit may wait for its flush. */
const FLUSH_DELAY_MS = 500;
const SWEEP_ROWS_MAX = 500;
/** A commit rewrites a few pages for each partition it touches; close enough to know when to checkpoint. */
const PAGES_PER_PARTITION = 4;

export function serveLog(extensions: readonly LogExtension[]): void {
  const port = parentPort;
  invariant(port !== null, "the log runs in a worker thread");
  const data = workerData as WorkerData;
  try {
    const server = data.role === "writer" ? new WriterServer(port, data, extensions) : new ReaderServer(port, data);
    port.on("message", (message: ToWorker) => server.handle(message));
  } catch (error) {
    port.postMessage({ type: "fatal", failure: toFailure(sqliteError(error)) } satisfies FromWorker);
  }
}

/** Answers queries from a read-only connection: reads, or the steps of compaction. */
class ReaderServer {
  readonly #port: MessagePort;
  readonly #database: Database;
  readonly #reader: LogReader;
  readonly #cleaner: LogCleaner;

  constructor(port: MessagePort, data: WorkerData) {
    this.#port = port;
    this.#database = openForReading(data.directory);
    this.#reader = new LogReader(this.#database, damageTo(port));
    this.#cleaner = new LogCleaner(this.#database, this.#reader);
    post(port, { type: "opened", logId: "", topics: [], partitions: [] });
  }

  handle(message: ToWorker): void {
    if (message.type === "query") {
      answer(this.#port, message.id, () => runQuery(this.#reader, new Map(), message.query));
    } else if (message.type === "compaction") {
      answer(this.#port, message.id, () => this.#cleaner.answer(message.query));
    } else if (message.type === "close") {
      this.#database.close();
      post(this.#port, { type: "closed" });
      this.#port.close();
    }
  }
}

class WriterServer {
  readonly #port: MessagePort;
  readonly #data: WorkerData;
  readonly #lock: { release(): void };
  readonly #database: Database;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #extensions: ReadonlyMap<string, ExtensionMethods>;
  readonly #walHandle: number;
  #synchronous: Durability = "fsync";
  #bytesSinceCheckpoint = 0;
  #flushTimer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Immediate | undefined;
  #isFatal = false;

  constructor(port: MessagePort, data: WorkerData, extensions: readonly LogExtension[]) {
    this.#port = port;
    this.#data = data;
    makeDirectory(data.directory);
    this.#lock = lockDirectory(data.directory);
    this.#database = openForWriting(data.directory);
    for (const extension of extensions) this.#database.exec(extension.schema);
    this.#extensions = new Map(extensions.map((extension) => [extension.name, extension.prepare(this.#database)]));
    const logId = ensureLogId(this.#database);
    this.#writer = new LogWriter(this.#database, this.#extensions);
    this.#reader = new LogReader(this.#database, damageTo(port));
    // The schema's transaction has made the WAL; this handle flushes it without a commit.
    this.#walHandle = openSync(path.join(data.directory, `${LOG_FILE_NAME}-wal`), "r+");
    post(port, { type: "opened", logId, topics: this.#writer.topics(), partitions: this.#writer.places });
    this.#sweepSoon();
  }

  handle(message: ToWorker): void {
    switch (message.type) {
      case "commit":
        return this.#commit(message);
      case "query":
        return answer(this.#port, message.id, () => runQuery(this.#reader, this.#extensions, message.query));
      case "compaction":
        return invariant(false, "compaction is prepared in a thread of its own");
      case "close":
        return this.#close();
      default:
        return unreachable(message);
    }
  }

  #commit(message: Extract<ToWorker, { type: "commit" }>): void {
    const { id, operations, bytes: spare, durability } = message;
    if (this.#isFatal) {
      const failure = { code: "LOG_IO", message: "the disk failed before" } as const;
      return post(this.#port, { type: "refused", id, failure, spare });
    }
    const results: OperationResult[] = [];
    let changed: PartitionPlace[];
    try {
      changed = this.#transaction(durability, () => this.#apply(operations, Buffer.from(message.bytes), results));
    } catch (error) {
      return this.#refuse(message, error);
    }
    post(this.#port, { type: "committed", id, results, changed, spare });
    if (durability === "os") this.#flushSoon();
    this.#bytesSinceCheckpoint += message.bytesUsed + (changed.length + 1) * PAGES_PER_PARTITION * PAGE_BYTES;
    this.#bytesSinceCheckpoint += PAGE_BYTES * replacementCount(operations);
    if (this.#bytesSinceCheckpoint >= CHECKPOINT_BYTES) this.#checkpoint();
    this.#sweepSoon();
  }

  #apply(operations: readonly CommitOperation[], bytes: Buffer, results: OperationResult[]): void {
    const now = systemClock.wallMs();
    for (const operation of operations) {
      try {
        results.push({ value: this.#writer.apply(operation, bytes, now) });
      } catch (error) {
        // A refused operation is answered alone; a disk that fails takes the whole transaction back.
        if (!(error instanceof StreamError)) throw error;
        results.push({ failure: toFailure(error) });
      }
    }
  }

  /** Durable (as far as `durability` asks) when it returns; nothing has changed when it throws. */
  #transaction(durability: Durability, work: () => void): PartitionPlace[] {
    this.#setSynchronous(durability);
    this.#writer.begin();
    try {
      work();
      if (durability === "fsync") crashPoint(this.#data.crashPointBeforeFsync);
      this.#database.exec("COMMIT");
    } catch (error) {
      // SQLite itself rolls back after some failures.
      if (this.#database.inTransaction) this.#database.exec("ROLLBACK");
      this.#writer.discard();
      throw error;
    }
    return this.#writer.settle();
  }

  #setSynchronous(durability: Durability): void {
    if (this.#synchronous === durability) return;
    setSynchronous(this.#database, durability);
    this.#synchronous = durability;
  }

  #refuse({ id, bytes: spare }: Extract<ToWorker, { type: "commit" }>, error: unknown): void {
    const failure = sqliteError(error);
    post(this.#port, { type: "refused", id, failure: toFailure(failure), spare });
    if (failure.code !== "LOG_FULL") this.#fail(failure);
  }

  /** After a failed flush nobody knows what the disk holds: no further acknowledgement, the program restarts. */
  #fail(error: StreamError): void {
    this.#isFatal = true;
    clearTimeout(this.#flushTimer);
    post(this.#port, { type: "fatal", failure: toFailure(error) });
  }

  #flushSoon(): void {
    this.#flushTimer ??= setTimeout(() => this.#flush(), FLUSH_DELAY_MS);
  }

  #flush(): void {
    this.#flushTimer = undefined;
    crashPoint(this.#data.crashPointBeforeFsync);
    this.#attempt(() => fdatasyncSync(this.#walHandle));
  }

  #checkpoint(): void {
    this.#bytesSinceCheckpoint = 0;
    this.#attempt(() => {
      this.#setSynchronous("fsync");
      this.#database.pragma("wal_checkpoint(PASSIVE)");
    });
  }

  #sweepSoon(): void {
    if (!this.#writer.needsSweep) return;
    this.#sweepTimer ??= setImmediate(() => {
      this.#sweepTimer = undefined;
      this.#attempt(() => this.#sweep());
    });
  }

  #sweep(): void {
    let hasSwept = false;
    // Deleting may be lost in a power cut and is then done again: it needs no flush of its own.
    const changed = this.#transaction("os", () => {
      hasSwept = this.#writer.sweep(SWEEP_ROWS_MAX);
    });
    if (!hasSwept) return;
    this.#bytesSinceCheckpoint += PAGE_BYTES * SWEEP_ROWS_MAX;
    post(this.#port, { type: "swept", changed });
    this.#sweepSoon();
  }

  #attempt(work: () => void): void {
    if (this.#isFatal) return;
    try {
      work();
    } catch (error) {
      const failure = sqliteError(error);
      // Housekeeping on a full disk comes back when there is room.
      if (failure.code !== "LOG_FULL") this.#fail(failure);
    }
  }

  #close(): void {
    clearTimeout(this.#flushTimer);
    if (this.#sweepTimer !== undefined) clearImmediate(this.#sweepTimer);
    this.#attempt(() => {
      this.#transaction("fsync", () => this.#writer.writeCounts());
      this.#database.pragma("wal_checkpoint(TRUNCATE)");
    });
    closeSync(this.#walHandle);
    this.#database.close();
    this.#lock.release();
    post(this.#port, { type: "closed" });
    this.#port.close();
  }
}

/** Each replacement touches a page of its own, at the least. */
function replacementCount(operations: readonly CommitOperation[]): number {
  let count = 0;
  for (const each of operations) if (each.type === "replace-batches") count += each.replacements.length;
  return count;
}

function runQuery(reader: LogReader, extensions: ReadonlyMap<string, ExtensionMethods>, query: LogQuery): unknown {
  switch (query.type) {
    case "read":
      return reader.read(query);
    case "read-merged":
      return reader.readMerged(query);
    case "offset-for-timestamp":
      return reader.offsetForTimestamp(query.partitionId, query.timestamp);
    case "max-timestamp":
      return reader.maxTimestamp(query.partitionId);
    case "producer":
      return reader.producer(query.producerId);
    case "producers-of":
      return reader.producersOf(query.partitionId);
    case "call": {
      const method = extensions.get(query.call.extension)?.[query.call.method];
      invariant(method !== undefined, `the log has no method ${query.call.extension}.${query.call.method}`);
      return method(query.call.args as never);
    }
    default:
      return unreachable(query);
  }
}
