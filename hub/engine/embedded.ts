/**
 * The embedded engine: topics, batches, producer states and groups in the hub's own SQLite log. One commit at a time
 * carries what all connections have asked for meanwhile; the newest batches stay in memory for readers at the tail.
 */
import type { Clock } from "../../shared/clock.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Offset, ProducerId, Timestamp } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type { LogPartition, LogTopic } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import type { Logger } from "../../shared/logger.ts";
import { cleanupSettings } from "./cleanup-settings.ts";
import type {
  AppendRequest,
  Appended,
  CommittedOffset,
  CompactionStats,
  Engine,
  GroupSnapshot,
  PartitionOffsets,
  PartitionProducer,
  ProducerPosition,
  ReadRequest,
  ReadResult,
  TopicConfig,
  TopicInfo,
  TopicPartition,
} from "./engine.ts";
import { byGroup } from "./group-tables.ts";
import type { CommittedRow } from "./group-tables.ts";
import { ProducerIds } from "./producer-ids.ts";
import { TailCache } from "./tail-cache.ts";
import { TopicCompaction } from "./topic-compaction.ts";
import { checkTopicName } from "./topic-name.ts";

export type EmbeddedEngineOptions = {
  /** Topics at the most, those of agents included. */
  readonly topicsMax: number;
  readonly partitionsPerTopicMax: number;
  /** Memory for the newest batches of all partitions. */
  readonly tailCacheBytesMax: number;
  /** For topics that do not set retention.ms; undefined keeps records for ever. */
  readonly retentionMs: number | undefined;
  /** For topics that do not set retention.bytes, a partition; undefined for no limit. */
  readonly retentionBytes: number | undefined;
  /** How often retention looks at every partition. */
  readonly retentionCheckMs: number;
  /** How often partitions of compacted topics are looked at. */
  readonly compactionCheckMs: number;
};

type View = { readonly topic: LogTopic; readonly info: TopicInfo };

export class EmbeddedEngine implements Engine {
  readonly #log: WorkerLog;
  readonly #options: EmbeddedEngineOptions;
  readonly #logger: Logger;
  readonly #topics = new Map<string, TopicInfo>();
  #topicsBeingMade = 0;
  readonly #cache: TailCache;
  readonly #listeners = new Set<(at: TopicPartition) => void>();
  readonly #retentionTimer: NodeJS.Timeout;
  readonly #compaction: TopicCompaction;
  readonly #producerIds = new ProducerIds();

  constructor(parts: { log: WorkerLog; clock: Clock; logger: Logger; options: EmbeddedEngineOptions }) {
    this.#log = parts.log;
    this.#options = parts.options;
    this.#logger = parts.logger;
    this.#cache = new TailCache(parts.options.tailCacheBytesMax);
    for (const topic of this.#log.topics.values()) this.#topics.set(topic.name, toInfo(topic));
    this.#log.onCommit((changed) => this.#announceSoon(changed));
    this.#retentionTimer = setInterval(() => this.#retain(), parts.options.retentionCheckMs);
    this.#retentionTimer.unref();
    this.#compaction = new TopicCompaction({
      ...parts,
      checkMs: parts.options.compactionCheckMs,
      onCompacted: ({ id }, cleanEnd) => this.#cache.forgetBefore(id, cleanEnd),
    });
  }

  get topics(): ReadonlyMap<string, TopicInfo> {
    return this.#topics;
  }

  get compaction(): CompactionStats {
    return this.#compaction.stats;
  }

  get clusterId(): string {
    return this.#log.id;
  }

  async createTopic(request: { name: string; partitionCount: number; config?: TopicConfig }): Promise<TopicInfo> {
    checkTopicName(request.name);
    this.#checkPartitionCount(request.partitionCount);
    if (this.#topics.has(request.name)) throw new StreamError("TOPIC_ALREADY_EXISTS", request.name);
    if (this.#topics.size + this.#topicsBeingMade >= this.#options.topicsMax) {
      throw new StreamError("POLICY_VIOLATION", `the hub has its maximum of ${this.#options.topicsMax} topics`);
    }
    this.#topicsBeingMade++;
    try {
      return this.#show(await this.#log.createTopic(request));
    } finally {
      this.#topicsBeingMade--;
    }
  }

  async deleteTopic(name: string): Promise<void> {
    const { topic } = this.#view(name);
    await this.#log.deleteTopic(name, [{ extension: "groups", method: "forgetTopic", args: name }]);
    this.#topics.delete(name);
    for (const partition of topic.partitions) this.#cache.forget(partition.id);
    this.#announce(topic.partitions);
  }

  async createPartitions(name: string, partitionCount: number): Promise<TopicInfo> {
    this.#view(name);
    this.#checkPartitionCount(partitionCount);
    return this.#show(await this.#log.createPartitions(name, partitionCount));
  }

  async alterTopic(name: string, config: TopicConfig): Promise<TopicInfo> {
    this.#view(name);
    return this.#show(await this.#log.alterTopic(name, config));
  }

  async append(request: AppendRequest): Promise<Appended> {
    const partition = this.#partition(request);
    const { batch, header, durability, keepsProducer = false } = request;
    const appended = await this.#log.append(partition, batch, durability, { keepsProducer });
    if (!appended.duplicate) {
      // The log stamped its own copy; readers get these bytes, so they carry the same offset.
      batch.writeBigInt64BE(BigInt(appended.baseOffset), 0);
      batch.writeInt32BE(0, LEADER_EPOCH_AT);
      this.#cache.append(partition.id, appended.baseOffset, appended.baseOffset + header.lastOffsetDelta, batch);
    }
    return {
      baseOffset: appended.baseOffset,
      logStartOffset: partition.logStartOffset,
      duplicate: appended.duplicate,
    };
  }

  read(request: ReadRequest): ReadResult | Promise<ReadResult> {
    const partition = this.#partition(request);
    const { offset, bytesMax, atLeastOne } = request;
    if (offset < partition.logStartOffset || offset > partition.logEndOffset) {
      throw new StreamError(
        "OFFSET_OUT_OF_RANGE",
        `${offset} is not between ${partition.logStartOffset} and ${partition.logEndOffset}`,
      );
    }
    const offsets = this.#offsets(partition);
    const end = offsets.highWatermark;
    if (offset >= end) return { ...offsets, batches: [], bytes: 0 };
    const cached = this.#cache.read(partition.id, { offset, end, bytesMax, atLeastOne });
    if (cached !== undefined) return { ...offsets, batches: cached, bytes: bytesOf(cached) };
    return this.#readFromLog(partition, request, offsets);
  }

  offsets(at: TopicPartition): PartitionOffsets {
    return this.#offsets(this.#partition(at));
  }

  async offsetForTimestamp(at: TopicPartition, timestamp: Timestamp) {
    const partition = this.#partition(at);
    return this.#log.offsetForTimestamp(partition, timestamp, this.#log.readableEndOffset(partition));
  }

  async maxTimestamp(at: TopicPartition) {
    const partition = this.#partition(at);
    return this.#log.maxTimestamp(partition, this.#log.readableEndOffset(partition));
  }

  async deleteRecords(at: TopicPartition, before: Offset): Promise<Offset> {
    const partition = this.#partition(at);
    const { highWatermark } = this.#offsets(partition);
    if (before < 0 || before > highWatermark) {
      throw new StreamError("OFFSET_OUT_OF_RANGE", `${before} is not between 0 and ${highWatermark}`);
    }
    await this.#log.trim(partition, before);
    return partition.logStartOffset;
  }

  onChange(listener: (at: TopicPartition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async newProducerId(): Promise<ProducerId> {
    return this.#producerIds.next();
  }

  async producerPositions(producerId: ProducerId): Promise<readonly ProducerPosition[]> {
    const rows = await this.#log.producerPositions(producerId);
    const byId = new Map<number, LogPartition>();
    for (const topic of this.#log.topics.values()) for (const each of topic.partitions) byId.set(each.id, each);
    return rows.flatMap(({ partitionId, epoch, lastSequence, records }) => {
      const partition = byId.get(partitionId);
      if (partition === undefined) return [];
      const { topic, partition: index } = partition;
      return [{ topic, partition: index, producerEpoch: epoch, lastSequence, records }];
    });
  }

  async producersOf(at: TopicPartition): Promise<readonly PartitionProducer[]> {
    const rows = await this.#log.producersOf(this.#partition(at));
    return rows.map(({ producerId, epoch: producerEpoch, lastSequence, updatedAt: storedAt }) => {
      return { producerId, producerEpoch, lastSequence, storedAt };
    });
  }

  async commitOffsets(group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    await this.#callGroups("commitOffsets", { group, offsets });
  }

  async deleteOffsets(group: string, at: readonly TopicPartition[]): Promise<void> {
    await this.#callGroups("deleteOffsets", { group, at });
  }

  async loadCommittedOffsets(): Promise<ReadonlyMap<string, readonly CommittedOffset[]>> {
    await this.#dropOrphans();
    return byGroup((await this.#query("committedOffsets")) as CommittedRow[]);
  }

  async saveGroup(group: string, snapshot: Uint8Array | undefined): Promise<void> {
    await this.#callGroups("saveGroup", { group, snapshot: snapshot ?? null });
  }

  async loadGroups(): Promise<readonly GroupSnapshot[]> {
    return (await this.#query("groups")) as GroupSnapshot[];
  }

  async close(): Promise<void> {
    clearInterval(this.#retentionTimer);
    this.#compaction.close();
    await this.#log.close();
  }

  /** Committed offsets of a topic that is gone would be those of the next one of its name. */
  async #dropOrphans(): Promise<void> {
    const names = (await this.#query("committedTopics")) as string[];
    const orphans = names.filter((name) => !this.#topics.has(name));
    if (orphans.length === 0) return;
    await this.#log.call(orphans.map((args) => ({ extension: "groups", method: "forgetTopic", args })));
    this.#logger.warn({ topics: orphans }, "committed offsets of topics that do not exist were deleted");
  }

  /** The answer has the offsets of now, so that whoever waits for more does not miss what comes meanwhile. */
  async #readFromLog(
    partition: LogPartition,
    { offset, bytesMax, atLeastOne }: ReadRequest,
    offsets: PartitionOffsets,
  ): Promise<ReadResult> {
    const found = await this.#log.read({ partition, offset, end: offsets.highWatermark, bytesMax, atLeastOne });
    return { ...offsets, batches: found.length === 0 ? [] : [found], bytes: found.length };
  }

  /** Consumers see what is flushed: what a power cut takes was never read, nor committed as read. */
  #offsets(partition: LogPartition): PartitionOffsets {
    const { logStartOffset, logEndOffset, bytes } = partition;
    const highWatermark = Math.max(logStartOffset, this.#log.readableEndOffset(partition));
    return { logStartOffset, highWatermark, logEndOffset, bytes };
  }

  async #callGroups(method: string, args: unknown): Promise<void> {
    await this.#log.call([{ extension: "groups", method, args }]);
  }

  #query(method: string): Promise<unknown> {
    return this.#log.query({ extension: "groups", method, args: undefined });
  }

  /** After the commit's appends have reached the cache, so that those who wake read from it; once a commit. */
  #announceSoon(changed: readonly LogPartition[]): void {
    setImmediate(() => this.#announce(changed));
  }

  #announce(changed: readonly LogPartition[]): void {
    for (const { topic, partition } of changed) {
      for (const listener of this.#listeners) listener({ topic, partition });
    }
  }

  #retain(): void {
    this.#log.expireProducers().catch((error: unknown) => this.#logger.warn({ err: error }, "expiry failed"));
    for (const { name, config } of this.#topics.values()) {
      if (!cleanupSettings(config).deletes) continue;
      const bytesMax = limit(config["retention.bytes"], this.#options.retentionBytes);
      const retentionMs = limit(config["retention.ms"], this.#options.retentionMs);
      if (bytesMax === undefined && retentionMs === undefined) continue;
      for (const partition of this.#view(name).topic.partitions) {
        if (partition.logStartOffset === partition.logEndOffset) continue;
        this.#log.retain(partition, { bytesMax, ageMsMax: retentionMs }).catch((error: unknown) => {
          // The next pass tries again; a log that failed for good stops the hub elsewhere.
          this.#logger.warn({ err: error, topic: name, partition: partition.partition }, "retention failed");
        });
      }
    }
  }

  #checkPartitionCount(partitionCount: number): void {
    const { partitionsPerTopicMax } = this.#options;
    if (!Number.isInteger(partitionCount) || partitionCount < 1 || partitionCount > partitionsPerTopicMax) {
      throw new StreamError("INVALID_PARTITIONS", `${partitionCount} is not between 1 and ${partitionsPerTopicMax}`);
    }
  }

  #partition(at: TopicPartition): LogPartition {
    return this.#log.partition(at.topic, at.partition);
  }

  #view(name: string): View {
    const topic = this.#log.topics.get(name);
    const info = this.#topics.get(name);
    if (topic === undefined || info === undefined) {
      throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
    }
    return { topic, info };
  }

  #show(topic: LogTopic): TopicInfo {
    const info = toInfo(topic);
    this.#topics.set(topic.name, info);
    return info;
  }
}

/** Where a batch keeps its leader epoch (record-batch.ts). */
const LEADER_EPOCH_AT = 12;

/** -1 stands for "no limit" in Kafka's retention settings. */
function limit(text: string | undefined, otherwise: number | undefined): number | undefined {
  if (text === undefined) return otherwise;
  const value = Number(text);
  invariant(Number.isFinite(value), `retention ${text} was not checked when it was set`);
  return value < 0 ? undefined : value;
}

function toInfo(topic: LogTopic): TopicInfo {
  return { name: topic.name, id: topic.id, partitionCount: topic.partitions.length, config: topic.config };
}

function bytesOf(batches: readonly Buffer[]): number {
  let bytes = 0;
  for (const batch of batches) bytes += batch.length;
  return bytes;
}
