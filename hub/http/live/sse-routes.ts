/**
 * Live records as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 *   id: 0:42,1:7                       where to go on in each partition; a browser sends it back as Last-Event-ID
 *   data: {"topic":"plant", …}         one record
 *
 *   event: gap                         retention has taken records from under the reader
 *   data: {"partition":0,"from":3,"to":40}
 *
 *   event: problem                     it cannot go on; the problem of RFC 9457
 *
 * Each record is an event with an id of its own, so that a reader that comes back misses nothing and sees nothing twice.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Static } from "typebox";
import { problemOf } from "../../../shared/http/problem.ts";
import { checkTopic } from "../../access/authorize.ts";
import type { Purgatory } from "../../engine/purgatory.ts";
import { recordFilter } from "../api/record-filter.ts";
import { writeCursor, writeRecord } from "../api/record-json.ts";
import type { PartitionCursor } from "../api/record-json.ts";
import { liveQuery, topicParams } from "../api/schemas.ts";
import { askingOf } from "../api/services.ts";
import type { ApiApp, ApiServices } from "../api/services.ts";
import { topicOf } from "../api/topic-routes.ts";
import { LiveReader } from "./live-reader.ts";
import type { LiveEvent } from "./live-reader.ts";
import { liveStarts } from "./live-starts.ts";
import type { LiveStreams } from "./live-streams.ts";
import { writePaced } from "./paced-writer.ts";

/** When a browser that was cut off comes back. */
const RETRY_MS = 1000;
const STREAM_TYPE = "text/event-stream";

type LiveQuery = Static<typeof liveQuery>;
export type LiveParts = { readonly purgatory: Purgatory; readonly streams: LiveStreams };

const schema = {
  tags: ["live"],
  operationId: "followRecords",
  summary: "Follow a topic (Server-Sent Events)",
  description:
    "Records as they come, each an event whose id is where to go on: a reader that comes back with `Last-Event-ID`, as every " +
    "EventSource does, misses nothing and sees nothing twice. An event `gap` tells of records that retention took before they " +
    "were read, an event `problem` why the stream ends.",
  params: topicParams,
  querystring: liveQuery,
  response: {
    200: { description: "Until one of both ends it", content: { [STREAM_TYPE]: { schema: { type: "string" } } } },
  },
} as const;

export function sseRoutes(app: ApiApp, services: ApiServices, parts: LiveParts): void {
  app.get("/topics/:topic/events", { schema }, async (request, reply) => {
    const { topic: name } = request.params;
    checkTopic(askingOf(services, request), "read", name);
    const topic = topicOf(services, name);
    // Where the reader stood goes before where it says that it wants to begin: it says that at each attempt.
    const cursor = lastEventId(request);
    const starts = await liveStarts(services, topic, cursor === undefined ? request.query : { cursor });
    const filter = recordFilter(request.query);
    const stream = parts.streams.begin();
    try {
      const reader = new LiveReader({ ...parts, engine: services.engine, filter, closed: stream.closed });
      reader.add(starts.map((start) => ({ topic: name, ...start })));
      await send(reply, reader.events(), { starts, format: request.query.format, stream });
    } finally {
      stream.end();
    }
    return reply;
  });
}

function lastEventId({ headers }: FastifyRequest): string | undefined {
  const id = headers["last-event-id"];
  return typeof id === "string" && id !== "" ? id : undefined;
}

type Sending = {
  readonly starts: readonly PartitionCursor[];
  readonly format: LiveQuery["format"];
  readonly stream: ReturnType<LiveStreams["begin"]>;
};

async function send(
  reply: FastifyReply,
  events: AsyncGenerator<LiveEvent>,
  { starts, format, stream }: Sending,
): Promise<void> {
  reply.hijack();
  const { raw } = reply;
  raw.on("close", stream.end);
  raw.on("error", stream.end);
  raw.writeHead(200, {
    ...reply.getHeaders(),
    "content-type": `${STREAM_TYPE}; charset=utf-8`,
    "x-accel-buffering": "no",
  } as Record<string, string>);
  const places = new Map(starts.map(({ partition, offset }) => [partition, offset]));
  const cursor = (): string => writeCursor([...places].map(([partition, offset]) => ({ partition, offset })));
  const text = (event: LiveEvent): string => {
    if (event.type === "idle") {
      for (const { partition, offset } of event.places) places.set(partition, offset);
      // Without data it is no event, but its id counts.
      return `: still here\nid: ${cursor()}\n\n`;
    }
    if (event.type === "gap") {
      const { at, from, to } = event;
      places.set(at.partition, to);
      return `event: gap\nid: ${cursor()}\ndata: ${JSON.stringify({ ...at, from, to })}\n\n`;
    }
    const parts = event.records.map((record) => {
      places.set(event.at.partition, record.offset + 1);
      return `id: ${cursor()}\ndata: ${writeRecord({ ...record, ...event.at }, format)}\n\n`;
    });
    for (const range of event.unreadable) parts.push(`event: unreadable\ndata: ${JSON.stringify(range)}\n\n`);
    places.set(event.at.partition, event.next);
    return parts.join("");
  };
  try {
    // The id of the beginning: who is cut off before the first record comes back to the same place.
    await writePaced(raw, `retry: ${RETRY_MS}\nid: ${cursor()}\nevent: open\ndata: {}\n\n`, stream);
    for await (const event of events) await writePaced(raw, text(event), stream);
  } catch (error) {
    if (!stream.closed.aborted) raw.write(`event: problem\ndata: ${JSON.stringify(problemOf(error))}\n\n`);
  } finally {
    raw.end();
  }
}
