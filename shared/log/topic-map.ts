/** Topics and partitions as the main thread sees them: what the log moves after each commit. */
import { StreamError } from "../errors.ts";
import type { Partition } from "../ids.ts";
import { invariant } from "../invariant.ts";
import type { PartitionPlace, StoredTopic } from "./log-messages.ts";
import type { LogPartition, LogTopic } from "./partitioned-log.ts";

type MutablePartition = { -readonly [Key in keyof LogPartition]: LogPartition[Key] };

export class TopicMap {
  readonly topics = new Map<string, LogTopic>();
  readonly #partitions = new Map<number, MutablePartition>();

  /** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
  topic(name: string): LogTopic {
    const topic = this.topics.get(name);
    if (topic === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
    return topic;
  }

  /** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
  partition(topic: string, partition: Partition): LogPartition {
    const found = this.topics.get(topic)?.partitions[partition];
    if (found === undefined) {
      throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `${topic}-${partition} does not exist`);
    }
    return found;
  }

  byId(partitionId: number): LogPartition | undefined {
    return this.#partitions.get(partitionId);
  }

  addTopic({ name, id, config }: StoredTopic): void {
    this.topics.set(name, { name, id: Buffer.from(id), config, partitions: [] });
  }

  addPartitions(places: readonly PartitionPlace[]): void {
    for (const place of places.toSorted((a, b) => a.partition - b.partition)) {
      const topic = this.topic(place.topic);
      invariant(topic.partitions.length === place.partition, `${place.topic}-${place.partition} is out of turn`);
      const partition = { ...place };
      this.#partitions.set(place.id, partition);
      this.topics.set(topic.name, { ...topic, partitions: [...topic.partitions, partition] });
    }
  }

  configure(name: string, config: LogTopic["config"]): LogTopic {
    const topic = { ...this.topic(name), config };
    this.topics.set(name, topic);
    return topic;
  }

  remove(name: string): void {
    for (const partition of this.topic(name).partitions) this.#partitions.delete(partition.id);
    this.topics.delete(name);
  }

  /** Moves the partitions to where a commit has left them, and returns them. */
  move(places: readonly PartitionPlace[]): LogPartition[] {
    const moved: LogPartition[] = [];
    for (const place of places) {
      const partition = this.#partitions.get(place.id);
      if (partition === undefined) continue;
      partition.logStartOffset = place.logStartOffset;
      partition.logEndOffset = place.logEndOffset;
      partition.bytes = place.bytes;
      moved.push(partition);
    }
    return moved;
  }
}
