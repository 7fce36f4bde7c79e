/** A log in memory whose commits happen when a test says so, and end as it says. */
import { decodeRecords } from "../../../../shared/batch/records.ts";
import { frameBatch } from "../../../../shared/batch/record-batch.ts";
import { StreamError } from "../../../../shared/errors.ts";
import type { Offset } from "../../../../shared/ids.ts";
import type {
  CommitPart,
  CommitSource,
  ExtensionCall,
  LogPartition,
  LogTopic,
  PartitionedLog,
  TrimNote,
} from "../../../../shared/log/partitioned-log.ts";
import type { StoredRecord } from "../../../../shared/record.ts";

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

export class ManualLog implements Pick<
  PartitionedLog,
  | "id"
  | "topics"
  | "createTopic"
  | "createPartitions"
  | "partition"
  | "call"
  | "query"
  | "addSource"
  | "trim"
  | "onCommit"
  | "onFatal"
> {
  readonly id = "manual";
  readonly topics = new Map<string, LogTopic>();
  readonly calls: ExtensionCall[] = [];
  readonly trims: { partition: LogPartition; before: Offset }[] = [];
  readonly durabilities: string[] = [];
  /** What `query` answers. */
  answer: unknown = [];
  requests = 0;
  /** While set, topics cannot be made. */
  createFailure: Error | undefined;
  /** While set, topics are made when it is resolved. */
  createGate: Promise<void> | undefined;
  #nextId = 1;
  readonly #sources: CommitSource[] = [];
  readonly #records = new Map<LogPartition, StoredRecord[]>();
  readonly #commitListeners = new Set<(changed: readonly LogPartition[]) => void>();
  readonly #fatalListeners: ((error: Error) => void)[] = [];

  /** As the interface, for what the parts under test do not call. */
  get asLog(): PartitionedLog {
    return this as unknown as PartitionedLog;
  }

  async createTopic({ name, partitionCount }: { name: string; partitionCount: number }): Promise<LogTopic> {
    await this.createGate;
    if (this.createFailure !== undefined) throw this.createFailure;
    if (this.topics.has(name)) throw new StreamError("TOPIC_ALREADY_EXISTS", name);
    this.topics.set(name, { name, id: Buffer.alloc(16), partitions: [], config: {} });
    return this.createPartitions(name, partitionCount);
  }

  async createPartitions(name: string, partitionCount: number): Promise<LogTopic> {
    const topic = this.topics.get(name) as LogTopic;
    const partitions = [...topic.partitions];
    for (let partition = partitions.length; partition < partitionCount; partition++) {
      const id = this.#nextId++;
      partitions.push({ id, topic: name, partition, logStartOffset: 0, logEndOffset: 0, bytes: 0 });
    }
    const grown = { ...topic, partitions };
    this.topics.set(name, grown);
    return grown;
  }

  partition(topic: string, partition: number): LogPartition {
    return this.topics.get(topic)?.partitions[partition] as LogPartition;
  }

  call(calls: readonly ExtensionCall[]): Promise<unknown[]> {
    this.calls.push(...calls);
    return Promise.resolve(calls.map(() => undefined));
  }

  query(): Promise<unknown> {
    return Promise.resolve(this.answer);
  }

  addSource(source: CommitSource): { request(): void } {
    this.#sources.push(source);
    return { request: () => void this.requests++ };
  }

  /** Moves the log start and frees as many bytes as the share of the records that go. */
  trim(partition: LogPartition, before: Offset, note?: TrimNote): Promise<void> {
    this.trims.push({ partition, before });
    this.calls.push(...(note?.calls ?? []));
    const moved = partition as Mutable<LogPartition>;
    const count = moved.logEndOffset - moved.logStartOffset;
    moved.bytes = Math.round((moved.bytes * (moved.logEndOffset - before)) / count);
    moved.logStartOffset = before;
    note?.done();
    return Promise.resolve();
  }

  onCommit(listener: (changed: readonly LogPartition[]) => void): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  onFatal(listener: (error: Error) => void): void {
    this.#fatalListeners.push(listener);
  }

  die(error: Error): void {
    for (const listener of this.#fatalListeners) listener(error);
  }

  /** Takes what has gathered; the caller ends it with `succeed` or the part's own `failed`. */
  take(): CommitPart | undefined {
    const part = this.#sources.map((source) => source.take()).find((each) => each !== undefined);
    // The records are copied at once: the source uses their memory again.
    const appends = part?.appends.map(({ partition, records }) => {
      return { partition, records: { ...records, buffer: records.buffer.slice(0, records.bytes) } };
    });
    return part === undefined ? undefined : { ...part, appends: appends ?? [] };
  }

  succeed(part: CommitPart): void {
    const appended = part.appends.map(({ partition, records }) => {
      const place = partition as Mutable<LogPartition>;
      const fields = { codec: "none", lastOffsetDelta: records.recordCount - 1, ...records } as const;
      const batch = frameBatch(fields, new Uint8Array(records.buffer, 0, records.bytes));
      const stored = this.#records.get(partition) ?? [];
      this.#records.set(partition, [...stored, ...decodeRecords(batch)]);
      const baseOffset = place.logEndOffset;
      place.logEndOffset += records.recordCount;
      place.bytes += batch.length;
      return { baseOffset, lastOffset: place.logEndOffset - 1, duplicate: false };
    });
    this.calls.push(...part.calls);
    this.durabilities.push(part.durability);
    part.done(appended);
    this.announce(part.appends.map(({ partition }) => partition));
  }

  /** Commits what has gathered. */
  commit(): void {
    const part = this.take();
    if (part !== undefined) this.succeed(part);
  }

  announce(changed: readonly LogPartition[]): void {
    for (const listener of this.#commitListeners) listener(changed);
  }

  /** The committed records of a topic, partition by partition. */
  records(topic: string): StoredRecord[] {
    return (this.topics.get(topic)?.partitions ?? []).flatMap((partition) => this.#records.get(partition) ?? []);
  }

  values(topic: string): (string | undefined)[] {
    return this.records(topic).map(({ value }) => value?.toString());
  }
}
