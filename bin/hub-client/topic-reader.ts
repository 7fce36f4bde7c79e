/** Reads a topic without a group: every partition, from a position on, leaving no trace at the hub. */
import { Admin, Consumer } from "@platformatic/kafka";
import type { RecordsBatch } from "@platformatic/kafka";
import type { Offset, Partition } from "../../shared/ids.ts";
import type { StartPosition } from "../start-position.ts";
import { clientOptions, kafkaCodeOf, probeHub } from "./connect.ts";
import type { ConsumedRecord } from "./consumed-record.ts";
import { fetchOptions, keepReading } from "./reading.ts";
import type { ReadingOptions } from "./reading.ts";
import { readTopicRanges, resolvePosition } from "./topic-offsets.ts";
import type { TopicRange } from "./topic-offsets.ts";

export type TopicReading = ReadingOptions & {
  readonly topic: string;
  readonly position: StartPosition;
  /** Stop after this many records; undefined: never. */
  readonly recordCountMax: number | undefined;
  /** Stop at what was the end when reading began. */
  readonly untilEnd: boolean;
};

type FetchResponse = Awaited<ReturnType<Consumer["fetch"]>>;

const ATTRIBUTE_LOG_APPEND_TIME = 0x08;
const ATTRIBUTE_CONTROL = 0x20;

/** Where a reading stands; survives reconnects. */
type Progress = {
  positions: Map<Partition, Offset>;
  /** End of each partition at the beginning. */
  ends: Map<Partition, Offset>;
  recordsLeft: number;
};

/** @throws StreamError HUB_UNREACHABLE, UNKNOWN_TOPIC_OR_PARTITION and what the hub answers. */
export async function readTopic(reading: TopicReading): Promise<void> {
  let progress: Progress | undefined;
  await keepReading(reading, async (onWorking) => {
    await probeHub(reading.address);
    const admin = new Admin(clientOptions(reading.address));
    let range: TopicRange | undefined;
    try {
      [range] = await readTopicRanges(admin, [reading.topic]);
      if (range === undefined) return;
      progress ??= await beginAt(admin, range, reading);
    } finally {
      await admin.close();
    }
    onWorking();
    await fetchAll(reading, range, progress);
  });
}

async function beginAt(admin: Admin, range: TopicRange, reading: TopicReading): Promise<Progress> {
  return {
    positions: await resolvePosition(admin, range, reading.position),
    ends: new Map(range.partitions.map(({ partition, end }) => [partition, end])),
    recordsLeft: reading.recordCountMax ?? Number.POSITIVE_INFINITY,
  };
}

async function fetchAll(reading: TopicReading, range: TopicRange, progress: Progress): Promise<void> {
  // The library wants a group's name for a consumer; one that only fetches never joins it.
  const consumer = new Consumer({ ...clientOptions(reading.address), ...fetchOptions, groupId: "tributary-cli" });
  consumer.topics.track(reading.topic);
  // Closing breaks off a long poll: it fails, and the loop's owner sees that the signal has come.
  const close = (): Promise<void> => consumer.close(true);
  const onAbort = (): void => void close().catch(() => undefined);
  reading.signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (!isDone(reading, progress)) {
      const records = takeRecords(reading.topic, await fetchRound(consumer, range, progress), progress);
      if (records.length > 0) await reading.sink(records);
    }
  } finally {
    reading.signal.removeEventListener("abort", onAbort);
    await close();
  }
}

function isDone(reading: TopicReading, progress: Progress): boolean {
  if (reading.signal.aborted || progress.recordsLeft <= 0) return true;
  return reading.untilEnd && [...progress.ends].every(([partition, end]) => positionOf(progress, partition) >= end);
}

const positionOf = (progress: Progress, partition: Partition): Offset => progress.positions.get(partition) ?? 0;

/** One long poll at every hub that leads partitions of the topic: with the embedded engine that is one. */
async function fetchRound(consumer: Consumer, range: TopicRange, progress: Progress): Promise<FetchResponse[]> {
  const leaders = [...new Set(range.partitions.map(({ leader }) => leader))];
  return Promise.all(
    leaders.map((node) => {
      const partitions = range.partitions
        .filter(({ leader }) => leader === node)
        .map(({ partition }) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: BigInt(positionOf(progress, partition)),
          lastFetchedEpoch: -1,
          partitionMaxBytes: fetchOptions.maxBytesPerPartition,
        }));
      return fetchFrom(consumer, node, { topicId: range.id, partitions });
    }),
  );
}

async function fetchFrom(
  consumer: Consumer,
  node: number,
  topic: Parameters<Consumer["fetch"]>[0]["topics"][number],
): Promise<FetchResponse> {
  const { minBytes, maxBytes, maxWaitTime } = fetchOptions;
  try {
    return await consumer.fetch({ node, minBytes, maxBytes, maxWaitTime, topics: [topic] });
  } catch (error) {
    // Retention took the records while they were being read: the answer says where the log starts now.
    const response: unknown = error instanceof Error ? Reflect.get(error, "response") : undefined;
    if (kafkaCodeOf(error) !== "OFFSET_OUT_OF_RANGE" || response === undefined) throw error;
    return response as FetchResponse;
  }
}

/** The records of the answers, in the order of their offsets within a partition; moves the positions behind them. */
function takeRecords(topic: string, fetched: readonly FetchResponse[], progress: Progress): ConsumedRecord[] {
  const records: ConsumedRecord[] = [];
  const partitions = fetched.flatMap((response) => response.responses.flatMap((answered) => answered.partitions));
  for (const { partitionIndex: partition, records: batches, errorCode, logStartOffset } of partitions) {
    if (errorCode !== 0) {
      progress.positions.set(partition, Math.max(positionOf(progress, partition), Number(logStartOffset)));
      continue;
    }
    for (const batch of batches ?? []) {
      for (const record of recordsOf(batch, { topic, partition })) {
        if (record.offset < positionOf(progress, partition)) continue;
        if (progress.recordsLeft <= 0) return records;
        progress.recordsLeft--;
        records.push(record);
        progress.positions.set(partition, record.offset + 1);
      }
      const batchEnd = Number(batch.firstOffset) + batch.lastOffsetDelta + 1;
      progress.positions.set(partition, Math.max(positionOf(progress, partition), batchEnd));
    }
  }
  return records;
}

function* recordsOf(batch: RecordsBatch, at: { topic: string; partition: Partition }): Generator<ConsumedRecord> {
  if ((batch.attributes & ATTRIBUTE_CONTROL) !== 0) return;
  const isAppendTime = (batch.attributes & ATTRIBUTE_LOG_APPEND_TIME) !== 0;
  for (const record of batch.records) {
    yield {
      ...at,
      offset: Number(batch.firstOffset) + record.offsetDelta,
      timestamp: Number(isAppendTime ? batch.maxTimestamp : batch.firstTimestamp + record.timestampDelta),
      key: record.key,
      value: record.value,
      headers: record.headers.map(([key, value]) => ({ key: key?.toString("utf8") ?? "", value })),
    };
  }
}
