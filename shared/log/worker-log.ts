/**
 * The partitioned log over a worker thread: gathers what is asked for while a commit is on its way, sends it as the
 * next one, and answers when it is durable.
 *
 *   idle ── request ──▶ gather until the end of this turn of the event loop ──▶ committing ──▶ answered ─┐
 *    ▲                                                                                                   │
 *    └──────────────── nothing was asked for meanwhile ◀───────────────────── otherwise commit again ◀───┘
 */
import { randomBytes } from "node:crypto";
import { Worker } from "node:worker_threads";
import type { CrashPoint } from "../crash-point.ts";
import { StreamError, toStreamError } from "../errors.ts";
import type { Offset, Partition, ProducerId, Timestamp } from "../ids.ts";
import { invariant, unreachable } from "../invariant.ts";
import type { Durability } from "../record.ts";
import { CommitGatherer } from "./commit-gatherer.ts";
import type { Commit } from "./commit-gatherer.ts";
import type {
  FromWorker,
  LogFailure,
  LogQuery,
  PartitionPlace,
  ProducerRow,
  StoredTopic,
  ToWorker,
  WorkerData,
} from "./log-messages.ts";
import type {
  CommitSource,
  ExtensionCall,
  LogAppended,
  LogPartition,
  LogTopic,
  MergedBatch,
  PartitionedLog,
} from "./partitioned-log.ts";

export type WorkerLogOptions = {
  readonly directory: string;
  /** The program's worker file, which calls `serveLog` with its extensions. */
  readonly worker: URL;
  /** A second thread with a read-only connection answers reads, so that they do not wait for flushes. */
  readonly hasReaderThread: boolean;
  /** Commits start at least this far apart, to spare SD cards. 0: as fast as the disk flushes. */
  readonly commitIntervalMs: number;
  readonly crashPointBeforeFsync: CrashPoint;
  /** Batches that fail their check are skipped; this hears of them. */
  readonly onDamage?: (damage: { partition: LogPartition; from: Offset; to: Offset }) => void;
};

type MutablePartition = { -readonly [Key in keyof LogPartition]: LogPartition[Key] };
type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

const TOPIC_ID_BYTES = 16;

export class WorkerLog implements PartitionedLog {
  readonly #options: WorkerLogOptions;
  readonly #writer: Worker;
  #reader: Worker | undefined;
  readonly #topics = new Map<string, LogTopic>();
  readonly #partitions = new Map<number, MutablePartition>();
  readonly #gatherer = new CommitGatherer();
  readonly #queries = new Map<number, Waiting>();
  readonly #commitListeners = new Set<(changed: readonly LogPartition[]) => void>();
  readonly #fatalListeners = new Set<(error: Error) => void>();
  #id = "";
  #nextId = 1;
  #inFlight: { readonly id: number; readonly commit: Commit } | undefined;
  /** Something was asked for since the last commit was taken. */
  #isRequested = false;
  #isScheduled = false;
  #commitDueAtMs = 0;
  #fatal: StreamError | undefined;
  #closing: Promise<void> | undefined;
  #idle: (() => void) | undefined;

  private constructor(options: WorkerLogOptions) {
    this.#options = options;
    this.#writer = startWorker(options, "writer");
  }

  /** @throws StreamError LOG_LOCKED, LOG_VERSION, LOG_NOT_DURABLE, LOG_FULL, LOG_IO. */
  static async open(options: WorkerLogOptions): Promise<WorkerLog> {
    const log = new WorkerLog(options);
    const opened = await log.#open(log.#writer);
    log.#id = opened.logId;
    for (const topic of opened.topics) log.#addTopic(topic);
    log.#addPartitions(opened.partitions);
    if (options.hasReaderThread) {
      log.#reader = startWorker(options, "reader");
      await log.#open(log.#reader);
    }
    return log;
  }

  get id(): string {
    return this.#id;
  }

  get topics(): ReadonlyMap<string, LogTopic> {
    return this.#topics;
  }

  partition(topic: string, partition: Partition): LogPartition {
    const found = this.#topics.get(topic)?.partitions[partition];
    if (found === undefined) {
      throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `${topic}-${partition} does not exist`);
    }
    return found;
  }

  async createTopic(request: {
    name: string;
    partitionCount: number;
    config?: Readonly<Record<string, string>>;
  }): Promise<LogTopic> {
    const topic: StoredTopic = {
      name: request.name,
      id: randomBytes(TOPIC_ID_BYTES),
      config: request.config ?? {},
    };
    const { partitionCount } = request;
    const places = await this.#submit({ type: "create-topic", topic, partitionCount }, "fsync");
    this.#addTopic(topic);
    this.#addPartitions(places as PartitionPlace[]);
    return this.#topic(request.name);
  }

  async createPartitions(name: string, partitionCount: number): Promise<LogTopic> {
    const topic = this.#topic(name);
    const from = topic.partitions.length;
    if (partitionCount <= from) {
      throw new StreamError("INVALID_PARTITIONS", `${name} has ${from} partitions, ${partitionCount} is not more`);
    }
    const request = { type: "create-partitions", topic: name, from, to: partitionCount } as const;
    const places = await this.#submit(request, "fsync");
    this.#addPartitions(places as PartitionPlace[]);
    return this.#topic(name);
  }

  async alterTopic(name: string, config: Readonly<Record<string, string>>): Promise<LogTopic> {
    this.#topic(name);
    await this.#submit({ type: "alter-topic", topic: name, config }, "fsync");
    const topic = { ...this.#topic(name), config };
    this.#topics.set(name, topic);
    return topic;
  }

  async deleteTopic(name: string): Promise<void> {
    const topic = this.#topic(name);
    await this.#submit({ type: "delete-topic", topic: name }, "fsync");
    this.#topics.delete(name);
    for (const partition of topic.partitions) this.#partitions.delete(partition.id);
  }

  async append(partition: LogPartition, batch: Buffer, durability: Durability): Promise<LogAppended> {
    return new Promise((resolve, reject) => {
      this.#refuseWhenClosed();
      this.#gatherer.addBatch(partition.id, batch, { durability, resolve: resolve as Waiting["resolve"], reject });
      this.#request();
    });
  }

  addSource(source: CommitSource): { request(): void } {
    this.#gatherer.addSource(source);
    return { request: () => this.#request() };
  }

  async call(calls: readonly ExtensionCall[], durability: Durability = "fsync"): Promise<unknown[]> {
    return Promise.all(calls.map((call) => this.#submit({ type: "call", call }, durability)));
  }

  async query(call: ExtensionCall): Promise<unknown> {
    return this.#ask(this.#writer, { type: "call", call });
  }

  async read(request: {
    partition: LogPartition;
    offset: Offset;
    bytesMax: number;
    atLeastOne: boolean;
  }): Promise<Buffer> {
    const { partition, offset, bytesMax, atLeastOne } = request;
    if (offset < partition.logStartOffset || offset > partition.logEndOffset) {
      throw new StreamError(
        "OFFSET_OUT_OF_RANGE",
        `${offset} is not between ${partition.logStartOffset} and ${partition.logEndOffset}`,
      );
    }
    const query = { type: "read", partitionId: partition.id, offset, bytesMax, atLeastOne } as const;
    return asBuffer((await this.#ask(this.#readingWorker, query)) as Uint8Array);
  }

  async readMerged(request: {
    partition: LogPartition;
    offset: Offset;
    bytesMax: number;
    codec: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  }): Promise<MergedBatch | undefined> {
    const { partition, ...rest } = request;
    const query = { type: "read-merged", partitionId: partition.id, ...rest } as const;
    const merged = (await this.#ask(this.#readingWorker, query)) as MergedBatch | undefined;
    return merged === undefined ? undefined : { ...merged, batch: asBuffer(merged.batch) };
  }

  async offsetForTimestamp(
    partition: LogPartition,
    timestamp: Timestamp,
  ): Promise<{ offset: Offset; timestamp: Timestamp } | undefined> {
    const query = { type: "offset-for-timestamp", partitionId: partition.id, timestamp } as const;
    return (await this.#ask(this.#readingWorker, query)) as { offset: Offset; timestamp: Timestamp } | undefined;
  }

  /** The record with the largest timestamp of the partition. */
  async maxTimestamp(partition: LogPartition): Promise<{ offset: Offset; timestamp: Timestamp } | undefined> {
    const query = { type: "max-timestamp", partitionId: partition.id } as const;
    return (await this.#ask(this.#readingWorker, query)) as { offset: Offset; timestamp: Timestamp } | undefined;
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

  /** A number this database never gave before, counting from 1. */
  async nextProducerId(): Promise<ProducerId> {
    return BigInt((await this.#submit({ type: "next-producer-id" }, "fsync")) as number);
  }

  async trim(partition: LogPartition, before: Offset): Promise<void> {
    await this.#submit({ type: "trim", partitionId: partition.id, before }, "os");
  }

  /** Applies retention to the head of a partition. */
  async retain(
    partition: LogPartition,
    policy: { bytesMax: number | undefined; before: Timestamp | undefined },
  ): Promise<void> {
    await this.#submit({ type: "retain", partitionId: partition.id, ...policy }, "os");
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
    await this.#settled();
    this.#gatherer.fail(new StreamError("CLOSING", "the log is closed"));
    for (const worker of [this.#reader, this.#writer]) {
      if (worker === undefined) continue;
      const exited = new Promise((resolve) => worker.once("exit", resolve));
      send(worker, { type: "close" });
      await exited;
    }
  }

  get #readingWorker(): Worker {
    return this.#reader ?? this.#writer;
  }

  #open(worker: Worker): Promise<Extract<FromWorker, { type: "opened" }>> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: FromWorker): void => {
        if (message.type === "opened") {
          worker.on("message", (next: FromWorker) => this.#receive(next));
          resolve(message);
        } else if (message.type === "fatal") {
          reject(toError(message.failure));
          void worker.terminate();
        }
      };
      worker.once("message", onMessage);
      worker.on("error", (error) => {
        reject(toStreamError(error));
        this.#fail(new StreamError("LOG_IO", `the log's worker failed: ${String(error)}`, { cause: error }));
      });
    });
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "committed":
        return this.#committed(message);
      case "refused":
        return this.#refused(message.id, toError(message.failure));
      case "answer":
        return this.#takeQuery(message.id)?.resolve(message.value);
      case "query-failed":
        return this.#takeQuery(message.id)?.reject(toError(message.failure));
      case "swept":
        return this.#move(message.changed);
      case "damage": {
        const partition = this.#partitions.get(message.partitionId);
        if (partition !== undefined) this.#options.onDamage?.({ partition, from: message.from, to: message.to });
        return;
      }
      case "fatal":
        return this.#fail(toError(message.failure));
      case "opened":
      case "closed":
        return;
      default:
        return unreachable(message);
    }
  }

  #takeQuery(id: number): Waiting | undefined {
    const waiting = this.#queries.get(id);
    this.#queries.delete(id);
    return waiting;
  }

  #committed(message: Extract<FromWorker, { type: "committed" }>): void {
    const commit = this.#takeInFlight(message.id);
    this.#move(message.changed);
    // Work that was gathered meanwhile goes out before the answers, so that the disk does not wait for their handlers.
    this.#commitNext();
    commit.settle(message.results.map((result) => ("failure" in result ? toError(result.failure) : result)));
    this.#announce(message.changed);
    this.#checkIdle();
  }

  #refused(id: number, error: StreamError): void {
    const commit = this.#takeInFlight(id);
    this.#commitNext();
    commit.fail(error);
    this.#checkIdle();
  }

  #takeInFlight(id: number): Commit {
    const flight = this.#inFlight;
    invariant(flight?.id === id, `commit ${id} was answered out of turn`);
    this.#inFlight = undefined;
    return flight.commit;
  }

  #move(places: readonly PartitionPlace[]): void {
    for (const place of places) {
      const partition = this.#partitions.get(place.id);
      if (partition === undefined) continue;
      partition.logStartOffset = place.logStartOffset;
      partition.logEndOffset = place.logEndOffset;
      partition.bytes = place.bytes;
    }
  }

  #announce(places: readonly PartitionPlace[]): void {
    if (this.#commitListeners.size === 0 || places.length === 0) return;
    const changed = places.map((place) => this.#partitions.get(place.id)).filter((found) => found !== undefined);
    for (const listener of this.#commitListeners) listener(changed);
  }

  #submit(operation: Parameters<CommitGatherer["addOperation"]>[0], durability: Durability): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#refuseWhenClosed();
      this.#gatherer.addOperation(operation, { durability, resolve, reject });
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
    const waitMs = this.#commitDueAtMs - performance.now();
    const start = (): void => {
      this.#isScheduled = false;
      this.#commitNext();
      this.#checkIdle();
    };
    if (waitMs > 0 && this.#closing === undefined) setTimeout(start, waitMs);
    else setImmediate(start);
  }

  #commitNext(): void {
    if (this.#inFlight !== undefined || this.#isScheduled || this.#fatal !== undefined) return;
    if (performance.now() < this.#commitDueAtMs && this.#closing === undefined) {
      if (this.#isRequested) this.#request();
      return;
    }
    this.#isRequested = false;
    const commit = this.#gatherer.take();
    if (commit === undefined) return;
    this.#isRequested = this.#gatherer.hasWork;
    this.#commitDueAtMs = performance.now() + this.#options.commitIntervalMs;
    const id = this.#nextId++;
    this.#inFlight = { id, commit };
    const { operations, bytes, durability } = commit;
    send(this.#writer, { type: "commit", id, operations, bytes, durability }, [bytes]);
  }

  #ask(worker: Worker, query: LogQuery): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#fatal !== undefined) throw this.#fatal;
      const id = this.#nextId++;
      this.#queries.set(id, { resolve, reject });
      send(worker, { type: "query", id, query });
    });
  }

  /** Resolves once every request made so far is committed or refused. */
  async #settled(): Promise<void> {
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => {
      const before = this.#idle;
      this.#idle = () => {
        before?.();
        resolve();
      };
    });
  }

  #isIdle(): boolean {
    return this.#inFlight === undefined && !this.#isScheduled && !this.#isRequested;
  }

  #checkIdle(): void {
    if (!this.#isIdle()) return;
    const idle = this.#idle;
    this.#idle = undefined;
    idle?.();
  }

  #fail(error: StreamError): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = error;
    const flight = this.#inFlight;
    this.#inFlight = undefined;
    flight?.commit.fail(error);
    this.#gatherer.fail(error);
    for (const { reject } of this.#queries.values()) reject(error);
    this.#queries.clear();
    this.#checkIdle();
    for (const listener of this.#fatalListeners) listener(error);
  }

  #topic(name: string): LogTopic {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
    return topic;
  }

  #addTopic(topic: StoredTopic): void {
    this.#topics.set(topic.name, { name: topic.name, id: asBuffer(topic.id), config: topic.config, partitions: [] });
  }

  #addPartitions(places: readonly PartitionPlace[]): void {
    for (const place of [...places].sort((a, b) => a.partition - b.partition)) {
      const topic = this.#topic(place.topic);
      invariant(topic.partitions.length === place.partition, `${place.topic}-${place.partition} is out of turn`);
      const partition = { ...place };
      this.#partitions.set(place.id, partition);
      this.#topics.set(topic.name, { ...topic, partitions: [...topic.partitions, partition] });
    }
  }
}

function startWorker(options: WorkerLogOptions, role: WorkerData["role"]): Worker {
  const { directory, crashPointBeforeFsync } = options;
  const workerData: WorkerData = { directory, role, crashPointBeforeFsync };
  return new Worker(options.worker, { workerData, name: `log-${role}` });
}

function send(worker: Worker, message: ToWorker, transfer: ArrayBuffer[] = []): void {
  worker.postMessage(message, transfer);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toError(failure: LogFailure): StreamError {
  return new StreamError(failure.code, failure.message, { details: { ...failure.details } });
}
