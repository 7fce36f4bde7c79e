/**
 * One process's view of a memory-disk.ts: a log whose commits go their way step by step, when the test says so, and fail
 * as disks do. What a process asked for that has ended is never answered.
 *
 *   requested ─step─▶ taken ─step─▶ on the disk ─step─▶ answered
 *                           ├ refused: LOG_FULL, but for what frees
 *                           └ broken:  LOG_IO, stored or not, the process must end
 */
import { StreamError } from "../../shared/errors.ts";
import { CommitGatherer } from "../../shared/log/commit-gatherer.ts";
import type { Commit } from "../../shared/log/commit-gatherer.ts";
import type { CommitOperation, OperationResult, PartitionPlace } from "../../shared/log/log-messages.ts";
import type {
  CommitSource,
  ExtensionCall,
  LogPartition,
  LogTopic,
  MergedBatch,
  MergeRequest,
  TrimNote,
} from "../../shared/log/partitioned-log.ts";
import type { Durability } from "../../shared/record.ts";
import { placeOf } from "./memory-disk.ts";
import type { MemoryDisk } from "./memory-disk.ts";

type View = { -readonly [Key in keyof LogPartition]: LogPartition[Key] };
type Answer = { readonly results: readonly OperationResult[]; readonly changed: readonly PartitionPlace[] };

export class MemoryLog {
  readonly topics = new Map<string, LogTopic & { readonly partitions: View[] }>();
  readonly #disk: MemoryDisk;
  readonly #gatherer = new CommitGatherer();
  readonly #commitListeners = new Set<(changed: readonly LogPartition[]) => void>();
  readonly #fatalListeners = new Set<(error: Error) => void>();
  /** Where messages wait for a topic, they get their time now. */
  onTopicMade: (topic: string) => void = () => undefined;
  #isRequested = false;
  #taken: Commit | undefined;
  #stored: Answer | undefined;
  #isEnded = false;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
    for (const partition of disk.partitions) this.#addView(placeOf(partition));
  }

  get isIdle(): boolean {
    return !this.#isRequested && this.#taken === undefined;
  }

  /** A commit that can be refused, or break, is on its way to the disk. */
  get isWriting(): boolean {
    return this.#taken !== undefined && this.#stored === undefined;
  }

  /** False when there is nothing to do. */
  step(): boolean {
    if (this.#isEnded) return false;
    if (this.#taken === undefined) {
      if (!this.#isRequested) return false;
      this.#take();
    } else if (this.#stored === undefined) {
      this.#stored = this.#disk.store(this.#taken);
    } else {
      this.#answer(this.#taken, this.#stored);
    }
    return true;
  }

  /** The disk has no room for the commit that is being written. */
  refuse(): void {
    if (!this.isWriting) throw new Error("no commit is being written");
    this.#stored = this.#disk.store(this.#taken as Commit, true);
  }

  /** The disk fails; nobody knows what of the commit is on it. */
  breakDown(isStored: boolean): void {
    const commit = this.#taken;
    if (isStored && this.isWriting) this.#disk.store(commit as Commit);
    const error = new StreamError("LOG_IO", "the disk fails, says the test");
    this.#taken = undefined;
    commit?.fail(error);
    this.#gatherer.fail(error);
    for (const listener of this.#fatalListeners) listener(error);
  }

  /** The process has ended. */
  end(): void {
    this.#isEnded = true;
  }

  addSource(source: CommitSource): { request(): void } {
    this.#gatherer.addSource(source);
    return { request: () => void (this.#isRequested = true) };
  }

  async createTopic({ name, partitionCount }: { name: string; partitionCount: number }): Promise<LogTopic> {
    if (this.topics.has(name)) throw new StreamError("TOPIC_ALREADY_EXISTS", name);
    const topic = { name, id: Buffer.alloc(16), config: {} };
    const places = await this.#submit({ type: "create-topic", topic, partitionCount }, "fsync");
    for (const place of places as PartitionPlace[]) this.#addView(place);
    this.onTopicMade(name);
    return this.topics.get(name) as LogTopic;
  }

  async call(calls: readonly ExtensionCall[], durability: Durability = "fsync"): Promise<unknown[]> {
    return Promise.all(calls.map((call) => this.#submit({ type: "call", call: structuredClone(call) }, durability)));
  }

  async query(call: ExtensionCall): Promise<unknown> {
    if (!this.isIdle) await this.#submit({ type: "barrier" }, "os").catch(() => undefined);
    return this.#disk.query(call);
  }

  async readMerged(request: MergeRequest): Promise<MergedBatch | undefined> {
    return this.#disk.readMerged(request);
  }

  trim({ id }: LogPartition, before: number, note?: TrimNote): Promise<void> {
    const calls = structuredClone(note?.calls ?? []);
    return new Promise((resolve, reject) => {
      const operation = { type: "trim", partitionId: id, before, calls } as const;
      this.#gatherer.addOperation(operation, { durability: "os", done: note?.done, resolve: () => resolve(), reject });
      this.#isRequested = true;
    });
  }

  onCommit(listener: (changed: readonly LogPartition[]) => void): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  onFatal(listener: (error: Error) => void): void {
    this.#fatalListeners.add(listener);
  }

  #submit(operation: CommitOperation, durability: Durability): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#gatherer.addOperation(operation, { durability, resolve, reject });
      this.#isRequested = true;
    });
  }

  #answer(commit: Commit, { results, changed }: Answer): void {
    const views = changed.flatMap((place) => {
      const view = this.topics.get(place.topic)?.partitions[place.partition];
      return view === undefined ? [] : [Object.assign(view, place)];
    });
    this.#stored = undefined;
    this.#taken = undefined;
    // As the real one does: what gathered meanwhile leaves before the answers, but not behind what was refused.
    const isRefused = results.some((result) => "failure" in result);
    if (!isRefused) this.#take();
    commit.settle(results);
    if (isRefused) this.#take();
    if (views.length > 0) for (const listener of this.#commitListeners) listener(views);
  }

  #take(): void {
    this.#isRequested = false;
    this.#taken = this.#gatherer.take(undefined);
  }

  #addView(place: PartitionPlace): void {
    const known = this.topics.get(place.topic);
    const topic = known ?? { name: place.topic, id: Buffer.alloc(16), partitions: [], config: {} };
    topic.partitions.push({ ...place });
    this.topics.set(place.topic, topic);
  }
}
