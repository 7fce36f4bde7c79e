/** Records of a topic: by offset, by time, newest first; page by page, in one partition or in all of them. */
import type { Static } from "typebox";
import { StreamError } from "../../../shared/errors.ts";
import type { Offset, Partition } from "../../../shared/ids.ts";
import { checkTopic } from "../../access/authorize.ts";
import type { TopicInfo } from "../../engine/engine.ts";
import { recordFilter } from "./record-filter.ts";
import { readCursor, writeCursor, writeRecord } from "./record-json.ts";
import type { PartitionCursor } from "./record-json.ts";
import { ANSWER_BYTES_MAX, mergeByTime, readPartition } from "./record-reader.ts";
import type { ReadOrder } from "./record-reader.ts";
import { answer, recordPage, recordsQuery, topicParams } from "./schemas.ts";
import { askingOf } from "./services.ts";
import type { ApiApp, ApiServices } from "./services.ts";
import { topicOf } from "./topic-routes.ts";

/** Read together for one answer; those of a wider topic are read one by one. */
export const PARTITIONS_TOGETHER_MAX = 100;

type RecordsQuery = Static<typeof recordsQuery>;
type Start = Pick<RecordsQuery, "partition" | "offset" | "time" | "cursor" | "order">;

export function recordRoutes(app: ApiApp, services: ApiServices): void {
  const read = {
    tags: ["records"],
    operationId: "readRecords",
    summary: "Read records",
    description:
      "From the earliest on, or backward from the newest with `order=desc`; `offset`, `time` or `cursor` begin elsewhere. " +
      "One request looks at a bounded amount of data: fewer records than `limit`, or none, do not mean the end; `isEnd` does.",
    params: topicParams,
    querystring: recordsQuery,
    response: { 200: answer("A page of records", recordPage) },
  };
  app.get("/topics/:topic/records", { schema: read }, async (request, reply) => {
    const { topic: name } = request.params;
    checkTopic(askingOf(services, request), "read", name);
    const page = await readPage(services, topicOf(services, name), request.query);
    return reply.type("application/json; charset=utf-8").send(page);
  });
}

/** As JSON text. */
async function readPage(services: ApiServices, topic: TopicInfo, query: RecordsQuery): Promise<string> {
  const { engine } = services;
  const { order, limit, format } = query;
  const filter = recordFilter(query);
  const starts = await startsOf(services, topic, query);
  const reads = [];
  for (const { partition, offset: from } of starts) {
    const at = { topic: topic.name, partition };
    const bytesMax = ANSWER_BYTES_MAX / starts.length;
    reads.push({
      partition,
      read: await readPartition(engine, at, { order, from, recordsMax: limit, bytesMax, filter }),
    });
  }
  const { records, next } = mergeByTime(reads, order, limit);
  const written = records.map((record) => writeRecord({ ...record, topic: topic.name }, format)).join(",");
  const unreadable = JSON.stringify(reads.flatMap(({ read }) => read.unreadable));
  const isEnd = next.every((place) => isAtEnd(services, topic, place, order));
  return `{"records":[${written}],"next":"${writeCursor(next)}","isEnd":${isEnd},"unreadable":${unreadable}}`;
}

function isAtEnd({ engine }: ApiServices, topic: TopicInfo, place: PartitionCursor, order: ReadOrder): boolean {
  const { logStartOffset, highWatermark } = engine.offsets({ topic: topic.name, partition: place.partition });
  return order === "asc" ? place.offset >= highWatermark : place.offset <= logStartOffset;
}

/** Backward the offset is that behind the first record. @throws StreamError INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION. */
export async function startsOf(
  services: Pick<ApiServices, "engine">,
  topic: TopicInfo,
  start: Start,
): Promise<readonly PartitionCursor[]> {
  checkStart(start);
  if (start.cursor !== undefined) {
    const places = readCursor(start.cursor);
    checkPartitions(
      topic,
      places.map(({ partition }) => partition),
    );
    return places;
  }
  const all = Array.from({ length: topic.partitionCount }, (_, partition) => partition);
  const partitions = start.partition === undefined ? all : [start.partition];
  checkPartitions(topic, partitions);
  return Promise.all(
    partitions.map(async (partition) => ({
      partition,
      offset: await firstOffset(services, topic, { ...start, partition }),
    })),
  );
}

function checkStart({ partition, offset, time, cursor }: Start): void {
  if ([offset, time, cursor].filter((each) => each !== undefined).length > 1) {
    throw new StreamError("INVALID_REQUEST", "offset, time and cursor each say where to begin: only one of them");
  }
  if (offset !== undefined && partition === undefined) {
    throw new StreamError("INVALID_REQUEST", "an offset is that of a partition: say which one with `partition`");
  }
}

function checkPartitions({ name, partitionCount }: TopicInfo, partitions: readonly Partition[]): void {
  const wrong = partitions.find((partition) => partition >= partitionCount);
  if (wrong !== undefined) {
    const message = `topic ${name} has ${partitionCount} partitions, and none with the number ${wrong}`;
    throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", message);
  }
  if (partitions.length > PARTITIONS_TOGETHER_MAX) {
    const message = `${partitions.length} partitions; at most ${PARTITIONS_TOGETHER_MAX} are read together`;
    throw new StreamError("INVALID_REQUEST", message, { hint: "Choose one with `partition`." });
  }
}

async function firstOffset(
  { engine }: Pick<ApiServices, "engine">,
  { name: topic }: TopicInfo,
  { partition, offset, time, order }: Start & { readonly partition: Partition },
): Promise<Offset> {
  const at = { topic, partition };
  const { logStartOffset, highWatermark } = engine.offsets(at);
  // What is asked for first, when it is the newest first, is the record itself.
  if (offset !== undefined) return order === "asc" ? offset : Math.min(offset + 1, highWatermark);
  if (time !== undefined) return (await engine.offsetForTimestamp(at, time))?.offset ?? highWatermark;
  return order === "asc" ? logStartOffset : highWatermark;
}
