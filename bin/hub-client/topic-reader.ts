/** Reads a topic without a group: every partition, from a position on, leaving no trace at the hub. */
import { Admin, Consumer } from "@platformatic/kafka";
import type { RecordsBatch } from "@platformatic/kafka";
import { StreamError } from "../../shared/errors.ts";
import type { Offset, Partition } from "../../shared/ids.ts";
import type { StartPosition } from "../start-position.ts";
import { clientOptions, kafkaCodeOf, withAdmin } from "./connect.ts";
import { probeHub } from "./probe.ts";
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
  await keepReading(reading, async (hub) => {
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
    hub.isBack();
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
      const fetched = await fetchRound(consumer, range, progress);
      if (fetched === undefined) {
        if (await skipMissing(reading, progress)) continue;
        throw new StreamError(
          "OFFSET_OUT_OF_RANGE",
          `the hub refuses positions in '${reading.topic}' that it says it has`,
        );
      }
      const records = takeRecords(reading.topic, fetched, progress);
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

/**
 * One long poll at every hub that leads partitions of the topic: with the embedded engine that is one. Undefined when a
 * partition does not have the position asked for.
 */
async function fetchRound(
  consumer: Consumer,
  range: TopicRange,
  progress: Progress,
): Promise<FetchResponse[] | undefined> {
  const { minBytes, maxBytes, maxWaitTime } = fetchOptions;
  const leaders = [...new Set(range.partitions.map(({ leader }) => leader))];
  const fetches = leaders.map((node) => {
    const partitions = range.partitions
      .filter(({ leader }) => leader === node)
      .map(({ partition }) => ({
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(positionOf(progress, partition)),
        lastFetchedEpoch: -1,
        partitionMaxBytes: fetchOptions.maxBytesPerPartition,
      }));
    return consumer.fetch({ node, minBytes, maxBytes, maxWaitTime, topics: [{ topicId: range.id, partitions }] });
  });
  try {
    return await Promise.all(fetches);
  } catch (error) {
    if (kafkaCodeOf(error) === "OFFSET_OUT_OF_RANGE") return undefined;
    throw error;
  }
}

/**
 * Moves positions that the hub does not have (any more) to what it has, and says what was left out: retention took
 * records while they were being read. False when there was nothing to move.
 */
async function skipMissing(reading: TopicReading, progress: Progress): Promise<boolean> {
  let hasMoved = false;
  const [range] = await withAdmin(reading.address, (admin) => readTopicRanges(admin, [reading.topic]));
  for (const { partition, start, end } of range?.partitions ?? []) {
    const position = positionOf(progress, partition);
    const moved = Math.min(end, Math.max(start, position));
    if (moved === position) continue;
    hasMoved = true;
    progress.positions.set(partition, moved);
    const gone =
      moved > position ? `offsets ${position} to ${moved - 1} are gone` : `offset ${position} does not exist`;
    reading.notice(`${reading.topic}/${partition}: ${gone}, reading goes on at ${moved}`);
  }
  return hasMoved;
}

/** The records of the answers, in the order of their offsets within a partition; moves the positions behind them. */
function takeRecords(topic: string, fetched: readonly FetchResponse[], progress: Progress): ConsumedRecord[] {
  const records: ConsumedRecord[] = [];
  const partitions = fetched.flatMap((response) => response.responses.flatMap((answered) => answered.partitions));
  for (const { partitionIndex: partition, records: batches } of partitions) {
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
