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
import type { CommittedRow } from "./group-tables.ts";
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
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #topics = new Map<string, TopicInfo>();
  #topicsBeingMade = 0;
  readonly #cache: TailCache;
  readonly #listeners = new Set<(at: TopicPartition) => void>();
  readonly #retentionTimer: NodeJS.Timeout;
  readonly #compaction: TopicCompaction;

  constructor(parts: { log: WorkerLog; clock: Clock; logger: Logger; options: EmbeddedEngineOptions }) {
    this.#log = parts.log;
    this.#options = parts.options;
    this.#clock = parts.clock;
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
    await this.#log.deleteTopic(name);
    this.#topics.delete(name);
    for (const partition of topic.partitions) this.#cache.forget(partition.id);
    await this.#log.call([{ extension: "groups", method: "forgetTopic", args: name }]);
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
    const { batch, header } = request;
    const appended = await this.#log.append(partition, batch, request.durability);
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
    if (offset === partition.logEndOffset) return toResult([], 0, partition);
    const cached = this.#cache.read(partition.id, offset, bytesMax, atLeastOne);
    if (cached !== undefined) return toResult(cached, bytesOf(cached), partition);
    return this.#readFromLog(partition, request);
  }

  offsets(at: TopicPartition): PartitionOffsets {
    return toOffsets(this.#partition(at));
  }

  async offsetForTimestamp(at: TopicPartition, timestamp: Timestamp) {
    return this.#log.offsetForTimestamp(this.#partition(at), timestamp);
  }

  async maxTimestamp(at: TopicPartition) {
    return this.#log.maxTimestamp(this.#partition(at));
  }

  async deleteRecords(at: TopicPartition, before: Offset): Promise<Offset> {
    const partition = this.#partition(at);
    if (before < 0 || before > partition.logEndOffset) {
      throw new StreamError("OFFSET_OUT_OF_RANGE", `${before} is not between 0 and ${partition.logEndOffset}`);
    }
    await this.#log.trim(partition, before);
    return partition.logStartOffset;
  }

  onChange(listener: (at: TopicPartition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  newProducerId(): Promise<ProducerId> {
    return this.#log.nextProducerId();
  }

  async producerPositions(producerId: ProducerId): Promise<readonly ProducerPosition[]> {
    const rows = await this.#log.producerPositions(producerId);
    const byId = new Map<number, LogPartition>();
    for (const topic of this.#log.topics.values()) for (const each of topic.partitions) byId.set(each.id, each);
    return rows.flatMap(({ partitionId, epoch, lastSequence }) => {
      const partition = byId.get(partitionId);
      if (partition === undefined) return [];
      const { topic, partition: index } = partition;
      return [{ topic, partition: index, producerEpoch: epoch, lastSequence }];
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
    const rows = (await this.#query("committedOffsets")) as CommittedRow[];
    const byGroup = new Map<string, CommittedOffset[]>();
    for (const { group, ...offset } of rows) {
      const offsets = byGroup.get(group);
      if (offsets === undefined) byGroup.set(group, [offset]);
      else offsets.push(offset);
    }
    return byGroup;
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

  async #readFromLog(partition: LogPartition, request: ReadRequest): Promise<ReadResult> {
    const { offset, bytesMax, atLeastOne } = request;
    const found = await this.#log.read({ partition, offset, bytesMax, atLeastOne });
    return toResult(found.length === 0 ? [] : [found], found.length, partition);
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
    for (const { name, config } of this.#topics.values()) {
      if (!cleanupSettings(config).deletes) continue;
      const bytesMax = limit(config["retention.bytes"], this.#options.retentionBytes);
      const retentionMs = limit(config["retention.ms"], this.#options.retentionMs);
      if (bytesMax === undefined && retentionMs === undefined) continue;
      const before = retentionMs === undefined ? undefined : this.#clock.wallMs() - retentionMs;
      for (const partition of this.#view(name).topic.partitions) {
        if (partition.logStartOffset === partition.logEndOffset) continue;
        this.#log.retain(partition, { bytesMax, before }).catch((error: unknown) => {
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

function toOffsets({ logStartOffset, logEndOffset, bytes }: LogPartition): PartitionOffsets {
  return { logStartOffset, highWatermark: logEndOffset, bytes };
}

function toResult(batches: readonly Buffer[], bytes: number, partition: LogPartition): ReadResult {
  return {
    batches,
    bytes,
    logStartOffset: partition.logStartOffset,
    highWatermark: partition.logEndOffset,
  };
}

function bytesOf(batches: readonly Buffer[]): number {
  let bytes = 0;
  for (const batch of batches) bytes += batch.length;
  return bytes;
}
