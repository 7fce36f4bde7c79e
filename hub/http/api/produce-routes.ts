/**
 * Producing over HTTP. Three forms of the same records:
 *
 *   application/json        {"records": [{"key": "s1", "value": {"c": 21.5}}, …]}        all are checked before any is stored
 *   application/cbor        the same as CBOR; byte strings are bytes
 *   application/x-ndjson    one record a line, however many: stored as they come
 */
import type { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import type { Clock } from "../../../shared/clock.ts";
import { StreamError } from "../../../shared/errors.ts";
import type { Partition, Timestamp } from "../../../shared/ids.ts";
import type { Acks } from "../../../shared/record.ts";
import { checkTopic } from "../../access/authorize.ts";
import { ByteRoom } from "./byte-room.ts";
import { recordOfLine, recordsOfCbor, recordsOfJson } from "./incoming-records.ts";
import { readLines } from "./read-lines.ts";
import type { IncomingRecord } from "./record-json.ts";
import { RecordProducer } from "./record-producer.ts";
import type { PlacedRecord, Prepared, StoredRange } from "./record-producer.ts";
import { answer, newRecords, produced, produceQuery, topicParams } from "./schemas.ts";
import { askingOf } from "./services.ts";
import type { ApiApp, ApiServices } from "./services.ts";
import { topicOf } from "./topic-routes.ts";

export const CBOR_TYPE = "application/cbor";
export const NDJSON_TYPE = "application/x-ndjson";
const OK = 200;
const ACCEPTED = 202;
/** Lines that are stored together. */
const TOGETHER_RECORDS = 500;
const TOGETHER_BYTES = 512 * 1024;

/** Bodies of all requests to produce that are not answered, or not stored; beyond it further ones are refused. */
export const PRODUCED_BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024;

const schema = {
  tags: ["records"],
  operationId: "produceRecords",
  summary: "Produce records",
  description:
    "Records with a key go to the partition that every Kafka client would choose; those without stay together in one. " +
    "With JSON and CBOR nothing is stored if a record is malformed. Of NDJSON each line is a record, as in `records`; " +
    "if a line is refused, those before it are stored, and `details.stored` of the error says how many.",
  params: topicParams,
  querystring: produceQuery,
  body: {
    content: {
      "application/json": { schema: newRecords },
      [CBOR_TYPE]: { schema: { description: "As application/json; byte strings are taken as they are" } },
      [NDJSON_TYPE]: { schema: { description: "A record a line, as in `records`" } },
    },
  },
  response: {
    200: answer("They are stored", produced),
    202: answer("With `acks=none`: they are on their way", produced),
  },
} as const;

export function produceRoutes(app: ApiApp, services: ApiServices): void {
  app.addContentTypeParser(CBOR_TYPE, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  // Read line by line: the limit of a body is not that of a stream.
  app.addContentTypeParser(NDJSON_TYPE, (_request, body, done) => done(null, body));
  const room = new ByteRoom(PRODUCED_BYTES_IN_FLIGHT_MAX);
  let turn = 0;
  app.post(
    "/topics/:topic/records",
    { schema, ...holding(room, app.initialConfig.bodyLimit) },
    async (request, reply) => {
      const { topic: name } = request.params;
      const { acks } = request.query;
      checkTopic(askingOf(services, request), "write", name);
      const producer = new RecordProducer(services, { topic: topicOf(services, name), acks, turn: turn++ });
      const body: unknown = request.body;
      const send = sender(producer, acks, { room, onFailure: (error) => services.onUnheard(error, name) });
      reply.status(acks === "none" ? ACCEPTED : OK);
      if (isStream(body)) return sendLines(body, services, send);
      const records = recordsOf(body, services.clock.wallMs());
      return { records: records.length, offsets: await send(records) };
    },
  );
}

function recordsOf(body: unknown, now: Timestamp): readonly PlacedRecord[] {
  if (Buffer.isBuffer(body)) return recordsOfCbor(body, now);
  return recordsOfJson(body as { readonly records: readonly IncomingRecord[] }, now);
}

const isStream = (body: unknown): body is Readable =>
  typeof body === "object" && body !== null && Symbol.asyncIterator in body;

/** Takes room for a request's body before it is read, and gives it back when the request is over. */
function holding(room: ByteRoom, bodyBytesMax = 0) {
  const held = new WeakMap<object, number>();
  const release = (request: object): void => {
    room.release(held.get(request) ?? 0);
    held.delete(request);
  };
  return {
    onRequest: async (request: FastifyRequest) => {
      const isLines = request.headers["content-type"]?.startsWith(NDJSON_TYPE) === true;
      const bytes = isLines ? TOGETHER_BYTES * 2 : Number(request.headers["content-length"] ?? bodyBytesMax);
      room.take(bytes);
      held.set(request, bytes);
    },
    onResponse: async (request: FastifyRequest) => release(request),
    onRequestAbort: async (request: FastifyRequest) => release(request),
  };
}

type Send = (records: readonly PlacedRecord[]) => Promise<readonly StoredRange[]>;

/** What is wrong with the records themselves is told in any case; with `acks=none` nothing that comes later. */
function sender(
  producer: RecordProducer,
  acks: Acks,
  { room, onFailure }: { readonly room: ByteRoom; readonly onFailure: (error: unknown) => void },
): Send {
  return async (records) => {
    const prepared = producer.prepare(records);
    if (acks !== "none") return producer.store(prepared);
    const bytes = bytesOf(prepared);
    room.take(bytes);
    void producer
      .store(prepared)
      .catch(onFailure)
      .finally(() => room.release(bytes));
    return [];
  };
}

/** @throws StreamError; `details.stored` says what of the lines before is in the log. */
async function sendLines(stream: Readable, { clock }: Pick<ApiServices, "clock">, send: Send) {
  const ranges = new Map<Partition, StoredRange>();
  let records = 0;
  const add = (range: StoredRange): void => {
    const before = ranges.get(range.partition);
    ranges.set(range.partition, before === undefined ? range : { ...before, records: before.records + range.records });
  };
  try {
    for await (const group of groupsOf(stream, clock)) {
      for (const range of await send(group)) add(range);
      records += group.length;
    }
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    for (const range of (error.details["stored"] ?? []) as readonly StoredRange[]) add(range);
    const { code, reason, hint, details } = error;
    throw new StreamError(code, reason, { cause: error, hint, details: { ...details, stored: [...ranges.values()] } });
  }
  return { records, offsets: [...ranges.values()] };
}

/** Of a line that is refused, those before it come first. */
async function* groupsOf(stream: Readable, clock: Clock): AsyncGenerator<readonly PlacedRecord[]> {
  let group: PlacedRecord[] = [];
  let bytes = 0;
  try {
    for await (const line of readLines(stream)) {
      group.push(recordOfLine(line, clock.wallMs()));
      bytes += line.text.length;
      if (group.length < TOGETHER_RECORDS && bytes < TOGETHER_BYTES) continue;
      yield group;
      [group, bytes] = [[], 0];
    }
  } catch (error) {
    if (group.length > 0) yield group;
    throw error;
  }
  if (group.length > 0) yield group;
}

function bytesOf(prepared: readonly Prepared[]): number {
  return prepared.reduce((sum, { batches }) => sum + batches.reduce((bytes, { batch }) => bytes + batch.length, 0), 0);
}
