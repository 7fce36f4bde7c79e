/**
 * The log's writing thread: owns the database, answers one message at a time.
 *
 *   commit ▶ BEGIN, operations, COMMIT (one fsync) ▶ answer ▶ between commits: checkpoint, sweep
 *
 * A commit that only wants `os` runs with synchronous=NORMAL and is answered before it is flushed; a flush follows
 * within FLUSH_DELAY_MS or with the next commit that wants one.
 *
 * When the disk is full (disk-reserve.ts) the thread goes on with the operations that free or keep the books, refuses all others with
 * LOG_FULL, and comes back by itself when there is room.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync } from "node:fs";
import path from "node:path";
import type { MessagePort } from "node:worker_threads";
import type { Database, Statement } from "better-sqlite3";
import type { Clock } from "../clock.ts";
import { crashPoint } from "../crash-point.ts";
import { StreamError } from "../errors.ts";
import { invariant, unreachable } from "../invariant.ts";
import type { Durability } from "../record.ts";
import { toFailure } from "../thread-failure.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { CheckpointMode } from "./checkpointer.ts";
import type { DiskReserve } from "./disk-reserve.ts";
import type { ExtensionMethods, LogExtension } from "./extension.ts";
import type {
  AskedQuery,
  CommitOperation,
  OperationResult,
  PartitionPlace,
  ToWorker,
  WorkerData,
} from "./log-messages.ts";
import { ensureLogId } from "./log-id.ts";
import { LogReader } from "./log-reader.ts";
import { LogWriter } from "./log-writer.ts";
import { PageRoom } from "./page-room.ts";
import { BUSY_TIMEOUT_MS, UNFLUSHED_COMMITS_MAX, leaveReadable, setSynchronous } from "./open-database.ts";
import { runQuery } from "./run-query.ts";
import { loadIncidents } from "./salvage/incidents.ts";
import { CatalogKeeper } from "./salvage/catalog-keeper.ts";
import { listQuarantines, removeQuarantine } from "./salvage/quarantine.ts";
import { noteRunning, noteStopped, noteSuspicion } from "./salvage/suspicion.ts";
import { LOG_FILE_NAME, PAGE_BYTES } from "./schema.ts";
import { Upkeep } from "./upkeep.ts";
import { answer, damageTo, post, sqliteError } from "./worker-port.ts";

/** Bytes in the WAL that make a checkpoint due; never more than the reserve, which may have to take them. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;
/** How long an `os` commit without appends, which nobody waits for, may wait for its flush. */
const UPKEEP_FLUSH_DELAY_MS = 500;
const SWEEP_ROWS_MAX = 500;
/** On a full disk: a step that fits into what the reserve has given, and a checkpoint before that is used up. */
const FULL_SWEEP_ROWS_MAX = 50;
const FULL_CHECKPOINT_BYTES = 1024 * 1024;
/** What the database may not grow into: the WAL needs it, also to free. */
const WAL_ROOM_BYTES = 2 * 1024 * 1024;
/** How often a full log looks whether there is room; twice as long each time it finds none. */
const FULL_RETRY_MS = { min: 1000, max: 30_000 } as const;
/** A commit rewrites a few pages for each partition it touches; close enough to know when to checkpoint. */
const PAGES_PER_OPERATION = 4;
/** Of pages and frames, over what is in them. */
const PAGE_OVERHEAD = 1.1;

type Commit = Extract<ToWorker, { type: "commit" }>;
type Stored = { readonly results: readonly OperationResult[]; readonly changed: readonly PartitionPlace[] };

export type WriterServerParts = {
  readonly extensions: readonly LogExtension[];
  readonly clock: Clock;
  readonly lock: { release(): void };
  readonly reserve: DiskReserve;
  readonly database: Database;
};

export class WriterServer {
  readonly #port: MessagePort;
  readonly #clock: Clock;
  readonly #data: WorkerData;
  readonly #lock: { release(): void };
  readonly #reserve: DiskReserve;
  readonly #database: Database;
  readonly #catalog: CatalogKeeper;
  readonly #checkpointer: Checkpointer;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #extensions: ReadonlyMap<string, ExtensionMethods>;
  readonly #upkeep: Upkeep;
  readonly #pages: PageRoom;
  readonly #rowsWritten: Statement<[], number>;
  readonly #walHandle: number;
  #synchronous: Durability = "fsync";
  /** A commit was answered that may still be in the memory of the operating system alone. */
  #hasUnflushed = false;
  #unflushedCommits = 0;
  #flushTimer: NodeJS.Timeout | undefined;
  #flushDueAtMs = 0;
  #sweepTimer: NodeJS.Immediate | undefined;
  #fullTimer: NodeJS.Timeout | undefined;
  #fullRetryMs: number = FULL_RETRY_MS.min;
  #hasRoom = true;
  #isFatal = false;

  constructor(port: MessagePort, data: WorkerData, parts: WriterServerParts) {
    const { extensions, clock, lock, reserve, database } = parts;
    this.#port = port;
    this.#clock = clock;
    this.#data = data;
    this.#lock = lock;
    this.#reserve = reserve;
    this.#database = database;
    this.#catalog = new CatalogKeeper(database, { directory: data.directory, extensions, clock });
    const bytesMax = Math.min(CHECKPOINT_BYTES, data.reserveBytes);
    this.#checkpointer = new Checkpointer(this.#database, {
      bytesMax,
      busyTimeoutMs: BUSY_TIMEOUT_MS,
      onHeld: (walBytes) => post(port, { type: "held", walBytes }),
    });
    this.#rowsWritten = this.#database.prepare<[], number>("SELECT total_changes()").pluck();
    for (const extension of extensions) this.#database.exec(extension.schema);
    this.#extensions = new Map(extensions.map((extension) => [extension.name, extension.prepare(this.#database)]));
    this.#upkeep = new Upkeep(extensions, this.#extensions);
    this.#pages = new PageRoom(this.#database);
    const logId = ensureLogId(this.#database);
    const onCounting = (bytes: number): void => post(port, { type: "counting", bytes });
    this.#writer = new LogWriter(this.#database, { extensions: this.#extensions, clock, onCounting });
    this.#reader = new LogReader(this.#database, damageTo(port));
    // The schema's transaction has made the WAL; this handle flushes it without a commit.
    this.#walHandle = openSync(path.join(data.directory, `${LOG_FILE_NAME}-wal`), "r+");
    // A killed program may have left commits in it that only the memory of the operating system has.
    fdatasyncSync(this.#walHandle);
    noteRunning(data.directory);
    const hasRoom = this.#reserve.restore();
    const incidents = loadIncidents(database);
    const { places: partitions, endHoles } = this.#writer;
    post(port, { type: "opened", logId, topics: this.#writer.topics(), partitions, endHoles, incidents });
    this.#tellRoom(hasRoom);
    // What a kill has left in the WAL may be as large as ever.
    this.#checkpoint("RESTART");
    this.#catalog.save();
    if (hasRoom) this.#sweepSoon();
    else this.#recover();
  }

  handle(message: ToWorker): void {
    switch (message.type) {
      case "commit":
        return this.#commit(message);
      case "queries":
        return this.#answer(message.queries);
      case "compaction":
        return invariant(false, "compaction is prepared in a thread of its own");
      case "close":
        return this.#close();
      default:
        return unreachable(message);
    }
  }

  #answer(queries: readonly AskedQuery[]): void {
    const run = ({ id, query }: AskedQuery) => ({ id, run: () => runQuery(this.#reader, this.#extensions, query) });
    const damage = answer(this.#port, queries.map(run)).find(({ code }) => code === "LOG_CORRUPT");
    // Reads of batches pass over what is damaged; of other tables there is nothing to pass over to.
    if (damage !== undefined && !this.#isFatal) this.#fail(damage);
  }

  #commit(message: Commit): void {
    const { id, bytes: spare, durability } = message;
    if (this.#isFatal) {
      const failure = toFailure(new StreamError("LOG_IO", "the disk failed before"));
      return post(this.#port, { type: "refused", id, failure, spare });
    }
    const wasFull = !this.#reserve.isHeld;
    let stored: Stored;
    try {
      stored = this.#storeWhatFits(message);
    } catch (error) {
      return this.#refuse(message, error);
    }
    post(this.#port, { type: "committed", id, ...stored, spare });
    if (message.operations.some(changesTopics)) this.#catalog.saveSoon();
    if (durability === "os")
      this.#flushSoon(message.operations.some(appends) ? this.#data.flushDelayMs : UPKEEP_FLUSH_DELAY_MS);
    if (!this.#reserve.isHeld && !wasFull) this.#recover();
    else if (this.#checkpointer.isDue()) this.#checkpoint("RESTART");
    this.#sweepSoon();
  }

  /** All of the commit, or on a full disk that part of it which is upkeep; the other operations are refused one by one. */
  #storeWhatFits(message: Commit): Stored {
    if (this.#reserve.isHeld) {
      // So that the reserve can take what the WAL holds.
      if (this.#checkpointer.isDueWith(bytesOf(message))) this.#checkpoint("RESTART");
      const all = this.#storeIfRoom(message, () => true) ?? this.#storeAfterCheckpoint(message);
      this.#tellRoom(all !== undefined);
      const stored = all ?? this.#storeIfRoom(message, this.#upkeep.of(message.operations));
      if (stored !== undefined) return stored;
      this.#reserve.release();
    }
    return this.#store(message, this.#upkeep.of(message.operations));
  }

  /** The room may be in the WAL itself, or in the database. */
  #storeAfterCheckpoint(message: Commit): Stored | undefined {
    this.#checkpoint("RESTART");
    return this.#storeIfRoom(message, () => true);
  }

  /** Undefined when the disk has no room for it; nothing has changed then. */
  #storeIfRoom(message: Commit, isTaken: (operation: CommitOperation) => boolean): Stored | undefined {
    const isMore = message.operations.some((each) => isTaken(each) && !this.#upkeep.has(each));
    if (isMore && !this.#hasRoomFor(message)) return undefined;
    try {
      return this.#store(message, isTaken);
    } catch (error) {
      if (isLackOfRoom(error)) return undefined;
      throw error;
    }
  }

  /**
   * A commit takes room twice: in the WAL, and when a checkpoint moves it, in the database. It is refused before the log
   * itself takes what is then needed, or the database would grow into the reserve and never give it back.
   */
  #hasRoomFor(message: Commit): boolean {
    const bytes = this.#checkpointer.walBytes + bytesOf(message);
    if (message.operations.some((each) => this.#upkeep.fills(each)) && !this.#pages.hasFor(bytesOf(message)))
      return false;
    const { freeBytes } = this.#reserve;
    if (freeBytes >= bytes + Math.max(bytes, WAL_ROOM_BYTES)) return true;
    const growth = Math.max(0, bytes - this.#pages.freeBytes);
    // The WAL is written over from its beginning, so what it has is room too, but for itself alone.
    const walRoom = freeBytes - growth + fstatSync(this.#walHandle).size;
    return freeBytes >= growth && walRoom >= Math.max(bytes, WAL_ROOM_BYTES);
  }

  #store(message: Commit, isTaken: (operation: CommitOperation) => boolean): Stored {
    const { operations, durability } = message;
    // A checkpoint just before may have found out.
    if (this.#isFatal) throw new StreamError("LOG_IO", "the disk failed before");
    const rowsBefore = this.#rowsWritten.get();
    const results: OperationResult[] = [];
    const changed = this.#transaction(durability, () => {
      this.#apply(operations, isTaken, { bytes: Buffer.from(message.bytes), results });
    });
    this.#checkpointer.wrote(bytesOf(message));
    const hasWritten = this.#rowsWritten.get() !== rowsBefore && results.every((result) => "value" in result);
    // SQLite flushes nothing for a transaction that writes nothing: a duplicate must not be answered before its first.
    if (durability === "fsync" && !hasWritten && this.#hasUnflushed) this.#flush();
    if (durability === "fsync") this.#flushed();
    return { results, changed };
  }

  #apply(
    operations: readonly CommitOperation[],
    isTaken: (operation: CommitOperation) => boolean,
    { bytes, results }: { bytes: Buffer; results: OperationResult[] },
  ): void {
    const now = this.#clock.wallMs();
    for (const operation of operations) {
      try {
        if (!isTaken(operation)) throw new StreamError("LOG_FULL", "the disk is full");
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
    const changed = this.#writer.settle();
    this.#unflushedCommits = durability === "fsync" ? 0 : this.#unflushedCommits + 1;
    if (this.#unflushedCommits >= UNFLUSHED_COMMITS_MAX) this.#flush();
    return changed;
  }

  #setSynchronous(durability: Durability): void {
    if (this.#synchronous === durability) return;
    setSynchronous(this.#database, durability);
    this.#synchronous = durability;
  }

  #refuse({ id, bytes: spare }: Commit, error: unknown): void {
    const failure = sqliteError(error);
    post(this.#port, { type: "refused", id, failure: toFailure(failure), spare });
    if (failure.code !== "LOG_FULL") this.#fail(failure);
  }

  /** After a failed flush nobody knows what the disk holds: no further acknowledgement, the program restarts. */
  #fail(error: StreamError): void {
    this.#isFatal = true;
    if (error.code === "LOG_CORRUPT") noteSuspicion(this.#data.directory, error.reason);
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#fullTimer);
    this.#catalog.close();
    post(this.#port, { type: "fatal", failure: toFailure(error) });
  }

  #flushSoon(delayMs: number): void {
    this.#hasUnflushed = true;
    const dueAtMs = performance.now() + delayMs;
    if (this.#flushTimer !== undefined && this.#flushDueAtMs <= dueAtMs) return;
    clearTimeout(this.#flushTimer);
    this.#flushDueAtMs = dueAtMs;
    this.#flushTimer = setTimeout(() => {
      crashPoint(this.#data.crashPointBeforeFsync);
      this.#attempt(() => this.#flush());
    }, delayMs);
  }

  #flush(): void {
    try {
      fdatasyncSync(this.#walHandle);
    } catch (error) {
      throw new StreamError("LOG_IO", `flushing the log: ${String(error)}`, { cause: error });
    }
    this.#flushed();
    post(this.#port, { type: "flushed" });
  }

  #flushed(): void {
    this.#hasUnflushed = false;
    this.#unflushedCommits = 0;
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
  }

  /** The sizes go with it, so that a start after a kill counts no more than what the WAL held. */
  #checkpoint(mode: CheckpointMode): void {
    if (this.#writer.hasUncounted) this.#attempt(() => this.#transaction("os", () => this.#writer.writeCounts()));
    this.#attempt(() => {
      this.#setSynchronous("fsync");
      this.#checkpointer.run(mode);
    });
    this.#catalog.saveWhenDue();
  }

  #sweepSoon(): void {
    if (!this.#writer.needsSweep || this.#isFatal) return;
    this.#sweepTimer ??= setImmediate(() => {
      this.#sweepTimer = undefined;
      this.#attempt(() => this.#sweep());
    });
  }

  #sweep(): void {
    const rowsMax = this.#reserve.isHeld ? SWEEP_ROWS_MAX : FULL_SWEEP_ROWS_MAX;
    let hasSwept = false;
    let changed: readonly PartitionPlace[];
    try {
      // Deleting may be lost in a power cut and is then done again: it needs no flush of its own.
      changed = this.#transaction("os", () => {
        hasSwept = this.#writer.sweep(rowsMax);
      });
    } catch (error) {
      if (!isLackOfRoom(error)) throw error;
      return this.#sweepWithoutRoom();
    }
    if (hasSwept) {
      this.#checkpointer.wrote(PAGE_BYTES * rowsMax);
      post(this.#port, { type: "swept", changed });
    }
    if (!this.#reserve.isHeld) this.#gainRoom(hasSwept);
    else if (this.#checkpointer.isDue()) this.#checkpoint("RESTART");
    if (hasSwept) this.#sweepSoon();
  }

  #sweepWithoutRoom(): void {
    // A full log has its timer, which sweeps again.
    if (!this.#reserve.isHeld) return;
    this.#reserve.release();
    this.#tellRoom(false);
    this.#recover();
  }

  /** Now and then while a full log sweeps, and once more when it is done. */
  #gainRoom(isSweeping: boolean): void {
    const { walBytes } = this.#checkpointer;
    if (walBytes < (isSweeping ? FULL_CHECKPOINT_BYTES : 1)) return;
    this.#checkpoint("TRUNCATE");
    this.#attempt(() => this.#leaveFull());
  }

  #tellRoom(hasRoom: boolean): void {
    if (this.#hasRoom !== hasRoom) post(this.#port, { type: "room", hasRoom });
    this.#hasRoom = hasRoom;
  }

  #leaveFull(): boolean {
    if (!this.#reserve.restore()) return false;
    clearTimeout(this.#fullTimer);
    this.#fullTimer = undefined;
    this.#fullRetryMs = FULL_RETRY_MS.min;
    this.#tellRoom(true);
    return true;
  }

  /** Makes what room it can; as long as that is not enough, again and again. */
  #recover(): void {
    this.#attempt(() => {
      for (const name of listQuarantines(this.#data.directory)) removeQuarantine(this.#data.directory, name);
    });
    this.#checkpoint("TRUNCATE");
    let hasRoom = false;
    this.#attempt(() => {
      hasRoom = this.#leaveFull();
    });
    this.#sweepSoon();
    if (hasRoom || this.#isFatal) return;
    this.#fullTimer = setTimeout(() => this.#recover(), this.#fullRetryMs);
    this.#fullRetryMs = Math.min(FULL_RETRY_MS.max, this.#fullRetryMs * 2);
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
    clearTimeout(this.#fullTimer);
    this.#catalog.close();
    if (this.#sweepTimer !== undefined) clearImmediate(this.#sweepTimer);
    this.#attempt(() => this.#transaction("fsync", () => this.#writer.writeCounts()));
    this.#attempt(() => {
      this.#database.pragma("wal_checkpoint(TRUNCATE)");
      this.#catalog.save();
      noteStopped(this.#data.directory);
    });
    closeSync(this.#walHandle);
    this.#database.close();
    // Also after a failure: it was us who took the WAL away.
    noteStopped(this.#data.directory);
    leaveReadable(this.#data.directory);
    this.#lock.release();
    post(this.#port, { type: "closed" });
    this.#port.close();
  }
}

function appends({ type }: CommitOperation): boolean {
  return type === "append-batch" || type === "append-records";
}

function changesTopics({ type }: CommitOperation): boolean {
  return type === "create-topic" || type === "create-partitions" || type === "alter-topic" || type === "delete-topic";
}

function isLackOfRoom(error: unknown): boolean {
  return sqliteError(error).code === "LOG_FULL";
}

/** About what a commit adds to the WAL. */
function bytesOf({ bytesUsed, operations }: Commit): number {
  let pages = (operations.length + 1) * PAGES_PER_OPERATION;
  // Each replacement touches a page of its own, at the least.
  for (const each of operations) if (each.type === "replace-batches") pages += each.replacements.length;
  return bytesUsed * PAGE_OVERHEAD + pages * PAGE_BYTES;
}
