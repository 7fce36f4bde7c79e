/**
 * An engine that keeps everything in memory: the counterpart of the protocols in their tests. Commits are grouped as the
 * real one groups them: what is appended in one tick becomes visible, is announced and is acknowledged together.
 */
import { randomBytes } from "node:crypto";
import { readBatchHeader, stampOffset } from "../../shared/batch/record-batch.ts";
import { recordPositions } from "../../shared/batch/records.ts";
import { systemClock } from "../../shared/clock.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Offset, ProducerId, Timestamp } from "../../shared/ids.ts";
import { judge, remember } from "../../shared/log/producer-state.ts";
import type { ProducerState } from "../../shared/log/producer-state.ts";
import type {
  AppendRequest,
  Appended,
  CommittedOffset,
  Engine,
  GroupSnapshot,
  PartitionOffsets,
  ProducerPosition,
  ReadRequest,
  ReadResult,
  TopicConfig,
  TopicInfo,
  TopicPartition,
} from "../../hub/engine/engine.ts";
import { checkTopicName } from "../../hub/engine/topic-name.ts";

type StoredBatch = { readonly baseOffset: Offset; readonly lastOffset: Offset; readonly batch: Buffer };

type MemoryPartition = {
  batches: StoredBatch[];
  logStartOffset: Offset;
  /** Includes what is appended but not committed. */
  logEndOffset: Offset;
  highWatermark: Offset;
  readonly producers: Map<ProducerId, ProducerState & { readonly storedAt: Timestamp }>;
};

type Pending = { readonly at: TopicPartition; readonly partition: MemoryPartition; readonly done: () => void };

export type EngineImage = ReadonlyMap<string, readonly MemoryPartition[]>;

function copyPartition({ batches, producers, ...rest }: MemoryPartition): MemoryPartition {
  return { ...rest, batches: [...batches], producers: new Map(producers) };
}

export class MemoryEngine implements Engine {
  readonly topics = new Map<string, TopicInfo>();
  readonly clusterId = "memoryEngineForTests22";
  /** It has no compaction. */
  readonly compaction = {
    runsTotal: 0,
    bytesBeforeTotal: 0,
    bytesAfterTotal: 0,
    recordsRemovedTotal: 0,
    lastDurationMs: 0,
  };
  readonly #partitions = new Map<string, MemoryPartition[]>();
  readonly #listeners = new Set<(at: TopicPartition) => void>();
  readonly #committed = new Map<string, Map<string, CommittedOffset>>();
  readonly #groups = new Map<string, Uint8Array>();
  #pending: Pending[] = [];
  #nextProducerId = 1000n;
  #commitsHeld = false;
  /** Appends in the order in which they were asked for. */
  readonly appends: AppendRequest[] = [];

  /** While held, appends wait for their commit: to look at what happens meanwhile. */
  holdCommits(): void {
    this.#commitsHeld = true;
  }

  releaseCommits(): void {
    this.#commitsHeld = false;
    this.#commit();
  }

  /** Everything that is committed, to be restored later: a backup. */
  takeImage(): EngineImage {
    return new Map(Array.from(this.#partitions, ([topic, partitions]) => [topic, partitions.map(copyPartition)]));
  }

  restore(image: EngineImage): void {
    for (const [topic, partitions] of image) this.#partitions.set(topic, partitions.map(copyPartition));
  }

  async createTopic(request: { name: string; partitionCount: number; config?: TopicConfig }): Promise<TopicInfo> {
    const { name, partitionCount, config = {} } = request;
    checkTopicName(name);
    if (this.topics.has(name)) throw new StreamError("TOPIC_ALREADY_EXISTS", name);
    this.#partitions.set(name, Array.from({ length: partitionCount }, emptyPartition));
    return this.#show({ name, id: randomBytes(16), partitionCount, config });
  }

  async deleteTopic(name: string): Promise<void> {
    const { partitionCount } = this.#topic(name);
    this.topics.delete(name);
    this.#partitions.delete(name);
    for (let partition = 0; partition < partitionCount; partition++) this.#announce({ topic: name, partition });
  }

  async createPartitions(name: string, partitionCount: number): Promise<TopicInfo> {
    const topic = this.#topic(name);
    if (partitionCount <= topic.partitionCount) throw new StreamError("INVALID_PARTITIONS", `${partitionCount}`);
    const partitions = this.#partitions.get(name) ?? [];
    while (partitions.length < partitionCount) partitions.push(emptyPartition());
    return this.#show({ ...topic, partitionCount });
  }

  async alterTopic(name: string, config: TopicConfig): Promise<TopicInfo> {
    return this.#show({ ...this.#topic(name), config });
  }

  append(request: AppendRequest): Promise<Appended> {
    const partition = this.#partition(request);
    this.appends.push(request);
    const { batch, header } = request;
    const { producerId, producerEpoch: epoch, baseSequence, recordCount } = header;
    const produced = { epoch, baseSequence, recordCount };
    const state = partition.producers.get(producerId);
    const verdict = producerId < 0n ? { type: "accept" as const } : judge(state, produced);
    if (verdict.type === "fenced") return Promise.reject(new StreamError("INVALID_PRODUCER_EPOCH", `${epoch}`));
    if (verdict.type === "out-of-order") {
      return Promise.reject(new StreamError("OUT_OF_ORDER_SEQUENCE_NUMBER", `${baseSequence}`));
    }
    const isDuplicate = verdict.type === "duplicate";
    const baseOffset = isDuplicate ? verdict.baseOffset : partition.logEndOffset;
    if (!isDuplicate) {
      stampOffset(batch, baseOffset);
      const lastOffset = baseOffset + header.lastOffsetDelta;
      partition.batches.push({ baseOffset, lastOffset, batch });
      partition.logEndOffset = lastOffset + 1;
      if (producerId >= 0n) {
        const storedAt = systemClock.wallMs();
        partition.producers.set(producerId, { ...remember(state, produced, baseOffset), storedAt });
      }
    }
    return new Promise((resolve) => {
      const done = (): void =>
        resolve({ baseOffset, logStartOffset: partition.logStartOffset, duplicate: isDuplicate });
      if (this.#pending.length === 0) queueMicrotask(() => this.#commit());
      this.#pending.push({ at: { topic: request.topic, partition: request.partition }, partition, done });
    });
  }

  read({ offset, bytesMax, atLeastOne, ...at }: ReadRequest): ReadResult {
    const partition = this.#partition(at);
    if (offset < partition.logStartOffset || offset > partition.highWatermark) {
      throw new StreamError("OFFSET_OUT_OF_RANGE", `${offset}`);
    }
    const batches: Buffer[] = [];
    let bytes = 0;
    for (const { batch, lastOffset } of partition.batches) {
      if (lastOffset < offset || lastOffset >= partition.highWatermark) continue;
      if (bytes + batch.length > bytesMax && !(atLeastOne && bytes === 0)) break;
      batches.push(batch);
      bytes += batch.length;
    }
    return { ...offsetsOf(partition), batches, bytes };
  }

  offsets(at: TopicPartition): PartitionOffsets {
    return offsetsOf(this.#partition(at));
  }

  async offsetForTimestamp(at: TopicPartition, timestamp: Timestamp) {
    for (const record of this.#records(at)) if (record.timestamp >= timestamp) return record;
    return undefined;
  }

  async maxTimestamp(at: TopicPartition) {
    let newest: { offset: Offset; timestamp: Timestamp } | undefined;
    for (const record of this.#records(at)) {
      if (newest === undefined || record.timestamp > newest.timestamp) newest = record;
    }
    return newest;
  }

  async deleteRecords(at: TopicPartition, before: Offset): Promise<Offset> {
    const partition = this.#partition(at);
    if (before < 0 || before > partition.highWatermark) throw new StreamError("OFFSET_OUT_OF_RANGE", `${before}`);
    partition.logStartOffset = Math.max(before, partition.logStartOffset);
    partition.batches = partition.batches.filter(({ lastOffset }) => lastOffset >= partition.logStartOffset);
    this.#announce(at);
    return partition.logStartOffset;
  }

  onChange(listener: (at: TopicPartition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async newProducerId(): Promise<ProducerId> {
    return this.#nextProducerId++;
  }

  async producerPositions(producerId: ProducerId): Promise<readonly ProducerPosition[]> {
    const positions: ProducerPosition[] = [];
    for (const [topic, partitions] of this.#partitions) {
      for (const [partition, { producers }] of partitions.entries()) {
        const state = producers.get(producerId);
        if (state === undefined) continue;
        const { epoch: producerEpoch, lastSequence, records } = state;
        positions.push({ topic, partition, producerEpoch, lastSequence, records });
      }
    }
    return positions;
  }

  async producersOf(at: TopicPartition) {
    return Array.from(this.#partition(at).producers, ([producerId, { epoch, lastSequence, storedAt }]) => ({
      producerId,
      producerEpoch: epoch,
      lastSequence,
      storedAt,
    }));
  }

  async commitOffsets(group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    const committed = this.#committed.get(group) ?? new Map<string, CommittedOffset>();
    for (const each of offsets) committed.set(`${each.topic}/${each.partition}`, each);
    this.#committed.set(group, committed);
  }

  async deleteOffsets(group: string, at: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition } of at) this.#committed.get(group)?.delete(`${topic}/${partition}`);
  }

  async loadCommittedOffsets(): Promise<ReadonlyMap<string, readonly CommittedOffset[]>> {
    return new Map(Array.from(this.#committed, ([group, offsets]) => [group, Array.from(offsets.values())]));
  }

  async saveGroup(group: string, snapshot: Uint8Array | undefined): Promise<void> {
    if (snapshot !== undefined) {
      this.#groups.set(group, snapshot);
      return;
    }
    this.#groups.delete(group);
    this.#committed.delete(group);
  }

  async loadGroups(): Promise<readonly GroupSnapshot[]> {
    return Array.from(this.#groups, ([group, snapshot]) => ({ group, snapshot }));
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #commit(): void {
    if (this.#commitsHeld) return;
    const committed = this.#pending;
    this.#pending = [];
    for (const { partition } of committed) partition.highWatermark = partition.logEndOffset;
    const changed = new Map(committed.map(({ at }) => [`${at.topic}/${at.partition}`, at]));
    for (const at of changed.values()) this.#announce(at);
    for (const { done } of committed) done();
  }

  #announce(at: TopicPartition): void {
    for (const listener of this.#listeners) listener(at);
  }

  #show(info: TopicInfo): TopicInfo {
    this.topics.set(info.name, info);
    return info;
  }

  #topic(name: string): TopicInfo {
    const info = this.topics.get(name);
    if (info === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", name);
    return info;
  }

  #partition({ topic, partition }: TopicPartition): MemoryPartition {
    const found = this.#partitions.get(topic)?.[partition];
    if (found === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `${topic}/${partition}`);
    return found;
  }

  *#records(at: TopicPartition) {
    const { batches, highWatermark, logStartOffset } = this.#partition(at);
    for (const { batch, baseOffset } of batches) {
      if (baseOffset >= highWatermark) return;
      for (const record of recordPositions(batch)) if (record.offset >= logStartOffset) yield record;
    }
  }
}

function emptyPartition(): MemoryPartition {
  return { batches: [], logStartOffset: 0, logEndOffset: 0, highWatermark: 0, producers: new Map() };
}

function offsetsOf({ batches, logStartOffset, highWatermark }: MemoryPartition): PartitionOffsets {
  let bytes = 0;
  for (const { batch } of batches) if (readBatchHeader(batch).baseOffset < highWatermark) bytes += batch.length;
  return { logStartOffset, highWatermark, logEndOffset: highWatermark, bytes };
}
