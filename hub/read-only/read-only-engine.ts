/**
 * The engine over a log whose disk takes no writes: everything can be read, and all that would have to be written is refused
 * with LOG_READ_ONLY, on which clients keep what they have and try again. Committed offsets are among it: a position that
 * nobody has written down would be forgotten.
 *
 * Who is in a group is the one thing that is taken and not kept, so that members find their partitions. The next start
 * knows the members of before, and whoever came since joins again.
 */
import { StreamError } from "../../shared/errors.ts";
import type { ProducerId, Timestamp } from "../../shared/ids.ts";
import type { OverlayLog } from "../../shared/log/overlay-log.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type {
  CommittedOffset,
  CompactionStats,
  Engine,
  GroupSnapshot,
  PartitionOffsets,
  PartitionProducer,
  ProducerPosition,
  ReadRequest,
  ReadResult,
  TopicInfo,
  TopicPartition,
} from "../engine/engine.ts";
import { byGroup } from "../engine/group-tables.ts";
import type { CommittedRow } from "../engine/group-tables.ts";
import { ProducerIds } from "../engine/producer-ids.ts";

export type ReadableLog = Pick<OverlayLog, "id" | "topics" | "reader" | "query" | "readableEndOffset" | "close">;

const NEVER = (): void => undefined;

export class ReadOnlyEngine implements Engine {
  readonly topics: ReadonlyMap<string, TopicInfo>;
  readonly compaction: CompactionStats = {
    runsTotal: 0,
    bytesBeforeTotal: 0,
    bytesAfterTotal: 0,
    recordsRemovedTotal: 0,
    lastDurationMs: 0,
  };
  readonly #log: ReadableLog;
  readonly #producerIds = new ProducerIds();

  constructor(log: ReadableLog) {
    this.#log = log;
    this.topics = new Map(
      [...log.topics.values()].map(({ name, id, config, partitions }) => [
        name,
        { name, id, config, partitionCount: partitions.length },
      ]),
    );
  }

  get clusterId(): string {
    return this.#log.id;
  }

  createTopic = refuse;
  deleteTopic = refuse;
  createPartitions = refuse;
  alterTopic = refuse;
  append = refuse;
  deleteRecords = refuse;
  commitOffsets = refuse;
  deleteOffsets = refuse;

  async read({ offset, bytesMax, atLeastOne, ...at }: ReadRequest): Promise<ReadResult> {
    const offsets = this.offsets(at);
    const { logStartOffset, logEndOffset, highWatermark: end } = offsets;
    if (offset < logStartOffset || offset > logEndOffset) {
      throw new StreamError("OFFSET_OUT_OF_RANGE", `${offset} is not between ${logStartOffset} and ${logEndOffset}`);
    }
    if (offset >= end) return { ...offsets, batches: [], bytes: 0 };
    const query = { partitionId: this.#partition(at).id, offset, end, bytesMax, atLeastOne };
    const found = this.#log.reader.read(query);
    return { ...offsets, batches: found.length === 0 ? [] : [found], bytes: found.length };
  }

  offsets(at: TopicPartition): PartitionOffsets {
    const partition = this.#partition(at);
    const { logStartOffset, logEndOffset, bytes } = partition;
    const highWatermark = Math.max(logStartOffset, this.#log.readableEndOffset(partition));
    return { logStartOffset, highWatermark, logEndOffset, bytes };
  }

  async offsetForTimestamp(at: TopicPartition, timestamp: Timestamp) {
    return this.#log.reader.offsetForTimestamp(this.#stretch(at), timestamp);
  }

  async maxTimestamp(at: TopicPartition) {
    return this.#log.reader.maxTimestamp(this.#stretch(at));
  }

  onChange(): () => void {
    return NEVER;
  }

  /** Never used to write anything. */
  async newProducerId(): Promise<ProducerId> {
    return this.#producerIds.next();
  }

  async producerPositions(producerId: ProducerId): Promise<readonly ProducerPosition[]> {
    const partitions = [...this.#log.topics.values()].flatMap((topic) => topic.partitions);
    const byId = new Map(partitions.map((each) => [each.id, each]));
    return this.#log.reader.producer(producerId).flatMap(({ partitionId, epoch, lastSequence, records }) => {
      const found = byId.get(partitionId);
      if (found === undefined) return [];
      return [{ topic: found.topic, partition: found.partition, producerEpoch: epoch, lastSequence, records }];
    });
  }

  async producersOf(at: TopicPartition): Promise<readonly PartitionProducer[]> {
    const rows = this.#log.reader.producersOf(this.#partition(at).id);
    return rows.map(({ producerId, epoch: producerEpoch, lastSequence, updatedAt: storedAt }) => {
      return { producerId, producerEpoch, lastSequence, storedAt };
    });
  }

  async loadCommittedOffsets(): Promise<ReadonlyMap<string, readonly CommittedOffset[]>> {
    const rows = (await this.#queryGroups("committedOffsets")) as CommittedRow[];
    return byGroup(rows.filter(({ topic }) => this.topics.has(topic)));
  }

  async saveGroup(_group: string, snapshot: Uint8Array | undefined): Promise<void> {
    // That a group is gone, with its committed offsets, is an answer to somebody who wanted that.
    if (snapshot === undefined) await refuse();
  }

  async loadGroups(): Promise<readonly GroupSnapshot[]> {
    return (await this.#queryGroups("groups")) as GroupSnapshot[];
  }

  async close(): Promise<void> {
    this.#log.close();
  }

  #queryGroups(method: string): Promise<unknown> {
    return this.#log.query({ extension: "groups", method, args: undefined });
  }

  #stretch(at: TopicPartition) {
    const partition = this.#partition(at);
    return { partitionId: partition.id, end: this.#log.readableEndOffset(partition) };
  }

  #partition({ topic, partition }: TopicPartition): LogPartition {
    const found = this.#log.topics.get(topic)?.partitions[partition];
    if (found !== undefined) return found;
    throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `${topic}/${partition} does not exist`);
  }
}

async function refuse(): Promise<never> {
  throw new StreamError("LOG_READ_ONLY", "the hub's disk takes no writes");
}
