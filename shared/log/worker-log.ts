/**
 * The partitioned log over a worker thread: gathers what is asked for while a commit is on its way, sends it as the
 * next one, and answers when it is durable.
 *
 *   idle ── request ──▶ gather until the end of this turn of the event loop ──▶ committing ──▶ answered ─┐
 *    ▲                                                                                                   │
 *    └──────────────── nothing was asked for meanwhile ◀───────────────────── otherwise commit again ◀───┘
 */
import { randomBytes } from "node:crypto";
import { StreamError } from "../errors.ts";
import type { Offset, Partition, ProducerId, Timestamp } from "../ids.ts";
import { invariant } from "../invariant.ts";
import type { Durability } from "../record.ts";
import { CommitGatherer } from "./commit-gatherer.ts";
import type { Commit, Requester } from "./commit-gatherer.ts";
import { CommitPacer } from "./commit-pacer.ts";
import type { CommitPace } from "./commit-pacer.ts";
import type { CompactionQuery } from "./compaction-messages.ts";
import { DamageReports } from "./damage-reports.ts";
import { LogCompactor } from "./log-compactor.ts";
import type { Compacted, CompactionRequest } from "./log-compactor.ts";
import type {
  CommitOperation,
  LogQuery,
  PartitionPlace,
  ProducerRow,
  ReplaceBatches,
  StoredTopic,
} from "./log-messages.ts";
import { IntegrityRecord } from "./log-integrity.ts";
import type { LogIntegrity } from "./log-integrity.ts";
import { LogThread } from "./log-thread.ts";
import type { Committed, LogThreadListener, LogThreadOptions } from "./log-thread.ts";
import type {
  CommitSource,
  ExtensionCall,
  LogAppended,
  LogPartition,
  LogTopic,
  MergedBatch,
  MergeRequest,
  PartitionedLog,
  TrimNote,
} from "./partitioned-log.ts";
import { ReadableEnds } from "./readable-ends.ts";
import type { RetentionPolicy } from "./retention.ts";
import { OFFSET_MAX } from "./schema.ts";
import { TopicMap } from "./topic-map.ts";
import { asBuffer } from "./worker-port.ts";

export type WorkerLogOptions = LogThreadOptions & {
  /** A second thread with a read-only connection answers reads, so that they do not wait for flushes. */
  readonly hasReaderThread: boolean;
  /** How far apart commits start; without it, as fast as the disk flushes. */
  readonly pace?: CommitPace;
  /** Batches that fail their check are skipped; this hears of each of them once. */
  readonly onDamage?: (damage: { partition: LogPartition; from: Offset; to: Offset }) => void;
  /** A damaged log is salvaged while it opens, which may take minutes. */
  readonly onSalvage?: (cause: string) => void;
  /** A log that opens does not take over so many of its last commits: see salvage/open-soundly.ts. */
  readonly onGivenUp?: (commits: number) => void;
  /** While a large log opens after a kill: so many bytes are counted so far. */
  readonly onCounting?: (bytes: number) => void;
  /** The disk has become full (appends are refused with LOG_FULL), or has room again. */
  readonly onRoom?: (hasRoom: boolean) => void;
  /** Another program reads the database and holds on: the WAL has come to so many bytes and cannot begin again. */
  readonly onHeld?: (walBytes: number) => void;
};

type Position = { offset: Offset; timestamp: Timestamp };

const TOPIC_ID_BYTES = 16;

export class WorkerLog implements PartitionedLog {
  readonly #options: WorkerLogOptions;
  readonly #map = new TopicMap();
  readonly #readableEnds = new ReadableEnds();
  readonly #damageReports = new DamageReports();
  readonly #gatherer = new CommitGatherer();
  readonly #commitListeners = new Set<(changed: readonly LogPartition[]) => void>();
  readonly #fatalListeners = new Set<(error: Error) => void>();
  #id = "";
  readonly #integrity = new IntegrityRecord();
  #writer!: LogThread;
  #reader: LogThread | undefined;
  /** Started for the first compaction, kept until the log is closed. */
  #cleaner: Promise<LogThread> | undefined;
  readonly #compactor: LogCompactor;
  /** Memory of the last commit, for the next one: the worker sends it back. */
  #spare: ArrayBuffer | undefined;
  #inFlight: { readonly id: number; readonly commit: Commit } | undefined;
  /** Something was asked for since the last commit was taken. */
  #isRequested = false;
  #isScheduled = false;
  #startTimer: NodeJS.Timeout | undefined;
  readonly #pacer: CommitPacer;
  #fatal: StreamError | undefined;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  private constructor(options: WorkerLogOptions) {
    this.#options = options;
    this.#pacer = new CommitPacer(options.pace ?? { intervalMs: 0, lingerMs: 0 });
    this.#compactor = new LogCompactor({
      ask: (query) => this.#askCleaner(query),
      replace: (partitionId, replacements, bytes) => this.#replace({ partitionId, replacements }, bytes),
      checkpoint: async (partitionId, checkpoint) => {
        await this.#submit({ type: "compaction-checkpoint", partitionId, checkpoint }, "os");
      },
    });
  }

  /** @throws StreamError LOG_DIRECTORY, LOG_NOT_ALLOWED, LOG_LOCKED, LOG_VERSION, LOG_NOT_DURABLE, LOG_FULL, LOG_IO. */
  static async open(options: WorkerLogOptions): Promise<WorkerLog> {
    const log = new WorkerLog(options);
    const listener = log.#listener();
    const { thread, opened } = await LogThread.open(options, "writer", listener);
    log.#writer = thread;
    log.#id = opened.logId;
    log.#integrity.opened(opened.incidents);
    log.#readableEnds.addHoles(opened.endHoles);
    for (const topic of opened.topics) log.#map.addTopic(topic);
    log.#map.addPartitions(opened.partitions);
    if (options.hasReaderThread) log.#reader = (await LogThread.open(options, "reader", listener)).thread;
    return log;
  }

  get id(): string {
    return this.#id;
  }

  get integrity(): LogIntegrity {
    return this.#integrity.value;
  }

  get topics(): ReadonlyMap<string, LogTopic> {
    return this.#map.topics;
  }

  partition(topic: string, partition: Partition): LogPartition {
    return this.#map.partition(topic, partition);
  }

  async createTopic(request: {
    name: string;
    partitionCount: number;
    config?: Readonly<Record<string, string>>;
  }): Promise<LogTopic> {
    const { name, partitionCount, config = {} } = request;
    const topic: StoredTopic = { name, id: randomBytes(TOPIC_ID_BYTES), config };
    const places = await this.#submit({ type: "create-topic", topic, partitionCount }, "fsync");
    this.#map.addTopic(topic);
    this.#map.addPartitions(places as PartitionPlace[]);
    return this.#map.topic(name);
  }

  async createPartitions(name: string, partitionCount: number): Promise<LogTopic> {
    this.#map.topic(name);
    const places = await this.#submit({ type: "create-partitions", topic: name, partitionCount }, "fsync");
    this.#map.addPartitions(places as PartitionPlace[]);
    return this.#map.topic(name);
  }

  async alterTopic(name: string, config: Readonly<Record<string, string>>): Promise<LogTopic> {
    this.#map.topic(name);
    await this.#submit({ type: "alter-topic", topic: name, config }, "fsync");
    return this.#map.configure(name, config);
  }

  async deleteTopic(name: string, calls: readonly ExtensionCall[] = []): Promise<void> {
    this.#map.topic(name);
    await this.#submit({ type: "delete-topic", topic: name, calls }, "fsync");
    this.#map.remove(name);
  }

  async append(
    partition: LogPartition,
    batch: Buffer,
    durability: Durability,
    { keepsProducer = false }: { keepsProducer?: boolean } = {},
  ): Promise<LogAppended> {
    const append = { partitionId: partition.id, batch, keepsProducer };
    const appended = this.#queue(durability, (requester) => this.#gatherer.addBatch(append, requester));
    return appended as Promise<LogAppended>;
  }

  addSource(source: CommitSource): { request(): void } {
    this.#gatherer.addSource(source);
    return { request: () => this.#request() };
  }

  async call(calls: readonly ExtensionCall[], durability: Durability = "fsync"): Promise<unknown[]> {
    return Promise.all(calls.map((call) => this.#submit({ type: "call", call }, durability)));
  }

  async query(call: ExtensionCall): Promise<unknown> {
    if (!this.#isIdle() && this.#closing === undefined) {
      // If the commit is refused, so is what was asked for before: it has its answer either way.
      await this.#submit({ type: "barrier" }, "os").catch(() => undefined);
    }
    return this.#ask(this.#writer, { type: "call", call });
  }

  async read(request: {
    partition: LogPartition;
    offset: Offset;
    end?: Offset;
    bytesMax: number;
    atLeastOne: boolean;
  }): Promise<Buffer> {
    const { partition, offset, end = OFFSET_MAX + 1, bytesMax, atLeastOne } = request;
    if (offset < partition.logStartOffset || offset > partition.logEndOffset) {
      const range = `${partition.logStartOffset} and ${partition.logEndOffset}`;
      throw new StreamError("OFFSET_OUT_OF_RANGE", `${offset} is not between ${range}`);
    }
    const query = { type: "read", partitionId: partition.id, offset, end, bytesMax, atLeastOne } as const;
    return asBuffer((await this.#ask(this.#readingThread, query)) as Uint8Array);
  }

  async readMerged(request: MergeRequest): Promise<MergedBatch | undefined> {
    const { partition, ...rest } = request;
    const query = { type: "read-merged", partitionId: partition.id, ...rest } as const;
    const merged = (await this.#ask(this.#readingThread, query)) as MergedBatch | undefined;
    return merged === undefined ? undefined : { ...merged, batch: asBuffer(merged.batch) };
  }

  /** What may be shown to readers that remember it: see readable-ends.ts. */
  readableEndOffset(partition: LogPartition): Offset {
    return this.#readableEnds.of(partition);
  }

  async offsetForTimestamp(
    partition: LogPartition,
    timestamp: Timestamp,
    end: Offset = OFFSET_MAX + 1,
  ): Promise<Position | undefined> {
    const query = { type: "offset-for-timestamp", partitionId: partition.id, timestamp, end } as const;
    return (await this.#ask(this.#readingThread, query)) as Position | undefined;
  }

  /** The record with the largest timestamp of the partition, before `end`. */
  async maxTimestamp(partition: LogPartition, end: Offset = OFFSET_MAX + 1): Promise<Position | undefined> {
    const query = { type: "max-timestamp", partitionId: partition.id, end } as const;
    return (await this.#ask(this.#readingThread, query)) as Position | undefined;
  }

  /** Where a producer stands, after every append that was asked for before. */
  async producerPositions(producerId: ProducerId): Promise<readonly ProducerRow[]> {
    await this.#submit({ type: "barrier" }, "os");
    return (await this.#ask(this.#writer, { type: "producer", producerId })) as ProducerRow[];
  }

  async producersOf(partition: LogPartition): Promise<readonly ProducerRow[]> {
    await this.#submit({ type: "barrier" }, "os");
    return (await this.#ask(this.#writer, { type: "producers-of", partitionId: partition.id })) as ProducerRow[];
  }

  /** Looks for states of producers that have expired, a part of them each time. */
  async expireProducers(): Promise<void> {
    await this.#submit({ type: "expire-producers" }, "os");
  }

  async trim(partition: LogPartition, before: Offset, note?: TrimNote): Promise<void> {
    const operation = { type: "trim", partitionId: partition.id, before, calls: note?.calls ?? [] } as const;
    await this.#queue("os", (to) => this.#gatherer.addOperation(operation, { ...to, done: note?.done }));
  }

  /** Before it, everything was stored longer ago than that. */
  async expiredEnd(partition: LogPartition, ageMsMax: number): Promise<Offset> {
    return (await this.#submit({ type: "expired-end", partitionId: partition.id, ageMsMax }, "os")) as Offset;
  }

  /** Applies retention to the head of a partition. */
  async retain(partition: LogPartition, policy: RetentionPolicy): Promise<void> {
    await this.#submit({ type: "retain", partitionId: partition.id, ...policy }, "os");
  }

  /** Notes how far the partition has come, so that ages can be told later. Returns the log's own time. */
  async markAge(partition: LogPartition): Promise<Timestamp> {
    return (await this.#submit({ type: "mark-age", partitionId: partition.id }, "os")) as Timestamp;
  }

  /**
   * Compacts a partition if it is worth it, in a thread of its own and in small steps between the commits. Undefined when
   * there was nothing to do. @throws StreamError CLOSING, UNKNOWN_TOPIC_OR_PARTITION, LOG_FULL, LOG_IO.
   */
  async compact(partition: LogPartition, request: CompactionRequest): Promise<Compacted | undefined> {
    this.#refuseWhenClosed();
    return this.#compactor.compact(partition, request);
  }

  onCommit(listener: (changed: readonly LogPartition[]) => void): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  onFatal(listener: (error: Error) => void): void {
    this.#fatalListeners.add(listener);
    if (this.#fatal !== undefined) listener(this.#fatal);
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    if (this.#startTimer !== undefined) {
      // The program has only seconds left; the interval may be longer.
      clearTimeout(this.#startTimer);
      setImmediate(() => this.#start());
    }
    if (!this.#isIdle()) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#gatherer.fail(new StreamError("CLOSING", "the log is closed"));
    await this.#compactor.close();
    await (await this.#cleaner?.catch(() => undefined))?.close();
    await this.#reader?.close();
    await this.#writer.close();
  }

  get #readingThread(): LogThread {
    return this.#reader ?? this.#writer;
  }

  async #askCleaner(query: CompactionQuery): Promise<unknown> {
    if (this.#fatal !== undefined) throw this.#fatal;
    this.#cleaner ??= LogThread.open(this.#options, "cleaner", this.#listener()).then(({ thread }) => thread);
    const cleaner = await this.#cleaner.catch((error: unknown) => {
      this.#cleaner = undefined;
      throw error;
    });
    if (this.#fatal !== undefined) throw this.#fatal;
    return cleaner.askCleaner(query);
  }

  async #replace(replace: ReplaceBatches, bytes: Uint8Array): Promise<void> {
    await this.#queue("os", (requester) => this.#gatherer.addReplacement(replace, bytes, requester));
  }

  #listener(): LogThreadListener {
    return {
      committed: (message) => this.#committed(message),
      refused: (refusal) => this.#refused(refusal),
      flushed: () => this.#flushed(),
      swept: (changed) => this.#map.move(changed),
      counting: (bytes) => this.#options.onCounting?.(bytes),
      salvaging: (cause) => this.#options.onSalvage?.(cause),
      givenUp: (commits) => {
        this.#integrity.gaveUp(commits);
        this.#options.onGivenUp?.(commits);
      },
      room: (hasRoom) => this.#options.onRoom?.(hasRoom),
      held: (walBytes) => this.#options.onHeld?.(walBytes),
      damage: ({ partitionId, from, to }) => {
        const partition = this.#map.byId(partitionId);
        if (partition === undefined || !this.#damageReports.isNews(partitionId, from)) return;
        this.#integrity.damaged(from, to);
        this.#options.onDamage?.({ partition, from, to });
      },
      fatal: (error) => this.#fail(error),
    };
  }

  #committed(message: Committed): void {
    if (this.#fatal !== undefined) return;
    this.#spare = message.spare;
    const commit = this.#takeInFlight(message.id);
    const flushed = commit.durability === "fsync" ? this.#readableEnds.flushed() : [];
    if (commit.durability === "os") this.#leaveFlushed(message.changed);
    const changed = this.#map.move(message.changed);
    // Work that was gathered meanwhile goes out before the answers, so that the disk does not wait for their handlers. Not
    // behind what was refused: its source first takes back what it has gathered since.
    const isRefused = message.results.some((result) => "failure" in result);
    if (!isRefused) this.#commitNext();
    commit.settle(message.results);
    if (isRefused) this.#commitNext();
    this.#tell([...new Set([...changed, ...this.#byIds(flushed)])]);
    this.#checkIdle();
  }

  #leaveFlushed(places: readonly PartitionPlace[]): void {
    for (const { id, logEndOffset } of places) {
      const before = this.#map.byId(id);
      if (before !== undefined && before.logEndOffset < logEndOffset) this.#readableEnds.leave(before);
    }
  }

  #flushed(): void {
    this.#tell(this.#byIds(this.#readableEnds.flushed()));
  }

  #byIds(ids: readonly number[]): LogPartition[] {
    return ids.flatMap((id) => this.#map.byId(id) ?? []);
  }

  #tell(changed: readonly LogPartition[]): void {
    if (changed.length > 0) for (const listener of this.#commitListeners) listener(changed);
  }

  #refused({ id, error, spare }: { id: number; error: StreamError; spare: ArrayBuffer }): void {
    // The commit after one that turned out to be fatal: all who waited have been told.
    if (this.#fatal !== undefined) return;
    this.#spare = spare;
    // The answers first, as above.
    this.#takeInFlight(id).fail(error);
    this.#commitNext();
    this.#checkIdle();
  }

  #takeInFlight(id: number): Commit {
    const flight = this.#inFlight;
    invariant(flight?.id === id, `commit ${id} was answered out of turn`);
    this.#inFlight = undefined;
    return flight.commit;
  }

  #submit(operation: CommitOperation, durability: Durability): Promise<unknown> {
    return this.#queue(durability, (requester) => this.#gatherer.addOperation(operation, requester));
  }

  /** `add` gives the gatherer what the next commit is to bring, and who waits for it. */
  #queue(durability: Durability, add: (requester: Requester) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#refuseWhenClosed();
      add({ durability, resolve, reject });
      this.#request();
    });
  }

  #refuseWhenClosed(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
    if (this.#closing !== undefined) throw new StreamError("CLOSING", "the log is closed");
  }

  /** Gathering ends with this turn of the event loop: all that has arrived by then shares the commit. */
  #request(): void {
    this.#isRequested = true;
    if (this.#isScheduled || this.#inFlight !== undefined || this.#fatal !== undefined) return;
    this.#isScheduled = true;
    const waitMs = this.#pacer.dueAtMs - performance.now();
    if (waitMs > 0 && this.#closing === undefined) this.#startTimer = setTimeout(() => this.#start(), waitMs);
    else setImmediate(() => this.#start());
  }

  #start(): void {
    this.#startTimer = undefined;
    this.#isScheduled = false;
    this.#commitNext();
    this.#checkIdle();
  }

  #commitNext(): void {
    if (this.#inFlight !== undefined || this.#isScheduled || this.#fatal !== undefined) return;
    if (performance.now() < this.#pacer.dueAtMs && this.#closing === undefined) {
      if (this.#isRequested) this.#request();
      return;
    }
    this.#isRequested = false;
    const commit = this.#gatherer.take(this.#spare);
    if (commit === undefined) return;
    this.#isRequested = this.#gatherer.hasWork;
    this.#pacer.began(performance.now(), commit);
    this.#inFlight = { id: this.#writer.commit(commit), commit };
  }

  async #ask(thread: LogThread, query: LogQuery): Promise<unknown> {
    if (this.#fatal !== undefined) throw this.#fatal;
    return thread.ask(query);
  }

  #isIdle(): boolean {
    return this.#fatal !== undefined || !(this.#isScheduled || this.#isRequested || this.#inFlight !== undefined);
  }

  #checkIdle(): void {
    if (this.#isIdle()) this.#onIdle?.();
  }

  #fail(error: StreamError): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = error;
    const flight = this.#inFlight;
    this.#inFlight = undefined;
    flight?.commit.fail(error);
    this.#gatherer.fail(error);
    this.#writer.failQueries(error);
    this.#reader?.failQueries(error);
    this.#cleaner?.then(
      (cleaner) => cleaner.failQueries(error),
      () => undefined,
    );
    this.#checkIdle();
    for (const listener of this.#fatalListeners) listener(error);
  }
}
