/**
 * What the hub's protocols need from whatever stores the events: the one interface between kafka/, uplink/, group/ and
 * http/ on one side and the embedded log (or, later, a Kafka cluster) on the other. test/conformance/engine.ts is its
 * specification; every implementation passes it.
 */
import type { BatchHeader } from "../../shared/batch/record-batch.ts";
import type { Offset, Partition, ProducerEpoch, ProducerId, Sequence, Timestamp } from "../../shared/ids.ts";
import type { Durability } from "../../shared/record.ts";

/** Topic configuration under Kafka's own keys; only overrides of the hub's defaults are kept. */
export type TopicConfig = Readonly<Record<string, string>>;

export type TopicInfo = {
  readonly name: string;
  /** 16 bytes; a topic that is deleted and created again gets another one (KIP-516). */
  readonly id: Buffer;
  readonly partitionCount: number;
  readonly config: TopicConfig;
};

export type TopicPartition = { readonly topic: string; readonly partition: Partition };

export type PartitionOffsets = {
  readonly logStartOffset: Offset;
  /** First offset that consumers may not read yet: the end of what is there and flushed. */
  readonly highWatermark: Offset;
  /**
   * Next offset to be written. Between the two a consumer finds nothing, but it may stand there: its records were lost to
   * damage.
   */
  readonly logEndOffset: Offset;
  /** Bytes of stored batches. */
  readonly bytes: number;
};

export type AppendRequest = TopicPartition & {
  /** One complete batch that `checkBatch` passed. The engine stamps its offset into these bytes and keeps them. */
  readonly batch: Buffer;
  readonly header: BatchHeader;
  readonly durability: Durability;
  /** What is known of the producer stays for good, as an agent may be away for months; otherwise for a day. */
  readonly keepsProducer?: boolean;
};

/** `duplicate`: the producer had sent this batch before; `baseOffset` is where it was stored then. */
export type Appended = { readonly baseOffset: Offset; readonly logStartOffset: Offset; readonly duplicate: boolean };

export type ReadRequest = TopicPartition & {
  readonly offset: Offset;
  /** Whole batches up to this many bytes. */
  readonly bytesMax: number;
  /** Return the first batch even when it alone is larger than `bytesMax`, so that a reader always gets on. */
  readonly atLeastOne: boolean;
};

/**
 * Whole batches in order, as stored; the first one contains the offset asked for, or follows it where compaction has left
 * a gap. Empty at the end of the log.
 */
export type ReadResult = {
  /** Each holds one or more whole batches. */
  readonly batches: readonly Buffer[];
  /** Of `batches` together. */
  readonly bytes: number;
  readonly logStartOffset: Offset;
  readonly highWatermark: Offset;
};

/** Where a producer stands in one partition; the next sequence the partition accepts is `lastSequence` + 1. */
export type ProducerPosition = TopicPartition & {
  readonly producerEpoch: ProducerEpoch;
  readonly lastSequence: Sequence;
  /** Ever stored of the producer there, over all epochs. */
  readonly records: number;
};

export type PartitionProducer = {
  readonly producerId: ProducerId;
  readonly producerEpoch: ProducerEpoch;
  readonly lastSequence: Sequence;
  /** When its last batch was stored. */
  readonly storedAt: Timestamp;
};

export type CommittedOffset = TopicPartition & {
  readonly offset: Offset;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly committedAt: Timestamp;
};

/** A group's membership as the coordinator persists it: opaque to the engine. */
export type GroupSnapshot = { readonly group: string; readonly snapshot: Uint8Array };

/** What compaction has done since the start. */
export type CompactionStats = {
  readonly runsTotal: number;
  /** Of the batches that were looked at, before and after. */
  readonly bytesBeforeTotal: number;
  readonly bytesAfterTotal: number;
  readonly recordsRemovedTotal: number;
  /** Of the last partition that was compacted. */
  readonly lastDurationMs: number;
};

export interface Engine {
  /** Every topic by name; a live view, changed by createTopic, deleteTopic, createPartitions and alterTopic. */
  readonly topics: ReadonlyMap<string, TopicInfo>;
  /** Stable name of this cluster, 22 characters as Kafka writes them. */
  readonly clusterId: string;

  /**
   * Durable on return.
   * @throws StreamError TOPIC_ALREADY_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, POLICY_VIOLATION (too many topics).
   */
  createTopic(request: { name: string; partitionCount: number; config?: TopicConfig }): Promise<TopicInfo>;
  /** Deletes records and committed offsets too, all or nothing. @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
  deleteTopic(name: string): Promise<void>;
  /** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS when `partitionCount` is not more than there are. */
  createPartitions(name: string, partitionCount: number): Promise<TopicInfo>;
  /** Replaces the topic's overrides. @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
  alterTopic(name: string, config: TopicConfig): Promise<TopicInfo>;

  /**
   * Stores one batch. Appends to a partition take effect in the order of the calls. Resolves when the batch has
   * reached `durability`.
   *
   * @throws StreamError UNKNOWN_TOPIC_OR_PARTITION, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, LOG_FULL, LOG_IO, CLOSING.
   */
  append(request: AppendRequest): Promise<Appended>;
  /** Synchronous when the answer is in memory. @throws StreamError UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE, LOG_IO. */
  read(request: ReadRequest): ReadResult | Promise<ReadResult>;
  /** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
  offsets(at: TopicPartition): PartitionOffsets;
  /** The first record at or after `timestamp`; undefined when there is none. */
  offsetForTimestamp(
    at: TopicPartition,
    timestamp: Timestamp,
  ): Promise<{ offset: Offset; timestamp: Timestamp } | undefined>;
  /** The record with the largest timestamp; undefined in an empty partition. */
  maxTimestamp(at: TopicPartition): Promise<{ offset: Offset; timestamp: Timestamp } | undefined>;
  /** Moves the log start; what lies before is gone. Returns the new log start. @throws StreamError OFFSET_OUT_OF_RANGE. */
  deleteRecords(at: TopicPartition, before: Offset): Promise<Offset>;

  /**
   * Calls `listener` after every commit and flush, once a partition that grew, lost its head or was deleted. Returns the
   * undo.
   */
  onChange(listener: (at: TopicPartition) => void): () => void;

  /** A producer id never given before. */
  newProducerId(): Promise<ProducerId>;
  producerPositions(producerId: ProducerId): Promise<readonly ProducerPosition[]>;
  /** Every producer with state in the partition, for DescribeProducers. */
  producersOf(at: TopicPartition): Promise<readonly PartitionProducer[]>;

  /** Durable on return. */
  commitOffsets(group: string, offsets: readonly CommittedOffset[]): Promise<void>;
  deleteOffsets(group: string, at: readonly TopicPartition[]): Promise<void>;
  /** All committed offsets of all groups, once, at start-up; those of topics that do not exist are deleted. */
  loadCommittedOffsets(): Promise<ReadonlyMap<string, readonly CommittedOffset[]>>;
  /** Durable on return; an undefined snapshot deletes the group together with its committed offsets. */
  saveGroup(group: string, snapshot: Uint8Array | undefined): Promise<void>;
  loadGroups(): Promise<readonly GroupSnapshot[]>;

  readonly compaction: CompactionStats;

  close(): Promise<void>;
}
