/** Which partitions a topic has, what they hold, and where in them a start position lies. */
import { ListOffsetTimestamps } from "@platformatic/kafka";
import type { Admin } from "@platformatic/kafka";
import { StreamError } from "../../shared/errors.ts";
import type { Offset, Partition } from "../../shared/ids.ts";
import type { StartPosition } from "../start-position.ts";

export type PartitionRange = {
  readonly partition: Partition;
  /** Hub that serves it. */
  readonly leader: number;
  /** First retained offset. */
  readonly start: Offset;
  /** Next offset to be written. */
  readonly end: Offset;
};

export type TopicRange = { readonly name: string; readonly id: string; readonly partitions: readonly PartitionRange[] };

/** @throws what the library throws; UNKNOWN_TOPIC_OR_PARTITION for a topic that does not exist. */
export async function readTopicRanges(admin: Admin, topics: readonly string[]): Promise<TopicRange[]> {
  if (topics.length === 0) return [];
  const existing = new Set(await admin.listTopics({ includeInternals: true }));
  const missing = topics.find((topic) => !existing.has(topic));
  if (missing !== undefined) throw unknownTopic(missing);
  const metadata = await admin.metadata({ topics: [...topics], forceUpdate: true });
  const shapes = topics.map((name) => {
    const found = metadata.topics.get(name);
    if (found === undefined) throw unknownTopic(name);
    return { name, id: found.id, leaders: found.partitions.map((partition) => partition.leader) };
  });
  const [starts, ends] = await Promise.all([
    listOffsets(admin, shapes, ListOffsetTimestamps.EARLIEST),
    listOffsets(admin, shapes, ListOffsetTimestamps.LATEST),
  ]);
  return shapes.map(({ name, id, leaders }) => ({
    name,
    id,
    partitions: leaders.map((leader, partition) => ({
      partition,
      leader,
      start: starts.get(`${name}/${partition}`) ?? 0,
      end: ends.get(`${name}/${partition}`) ?? 0,
    })),
  }));
}

const unknownTopic = (name: string): StreamError =>
  new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `there is no topic '${name}'`);

type TopicShape = { readonly name: string; readonly leaders: readonly number[] };

async function listOffsets(
  admin: Admin,
  topics: readonly TopicShape[],
  timestamp: bigint,
): Promise<Map<string, Offset>> {
  const listed = await admin.listOffsets({
    topics: topics.map(({ name, leaders }) => ({
      name,
      partitions: leaders.map((_, partitionIndex) => ({ partitionIndex, timestamp })),
    })),
  });
  return new Map(
    listed.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, offset }) => [`${name}/${partitionIndex}`, Number(offset)] as const),
    ),
  );
}

/**
 * The offset in each partition at which reading from `position` begins. An offset outside what is kept moves to the
 * nearer end; a time after the last record means the end.
 */
export async function resolvePosition(
  admin: Admin,
  topic: TopicRange,
  position: StartPosition,
): Promise<Map<Partition, Offset>> {
  if (position.type !== "timestamp") {
    return new Map(topic.partitions.map((range) => [range.partition, positionIn(range, position)]));
  }
  const shape = { name: topic.name, leaders: topic.partitions.map((range) => range.leader) };
  const found = await listOffsets(admin, [shape], BigInt(position.timestamp));
  return new Map(
    topic.partitions.map(({ partition, end }) => {
      const offset = found.get(`${topic.name}/${partition}`) ?? -1;
      return [partition, offset < 0 ? end : offset];
    }),
  );
}

function positionIn(range: PartitionRange, position: Exclude<StartPosition, { type: "timestamp" }>): Offset {
  switch (position.type) {
    case "earliest":
      return range.start;
    case "latest":
      return range.end;
    case "offset":
      return Math.min(range.end, Math.max(range.start, position.offset));
  }
}
