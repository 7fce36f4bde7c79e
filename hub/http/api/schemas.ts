/** The shapes of the HTTP API, as JSON Schema: requests are checked against them, and the OpenAPI document is made of them. */
import { Type } from "typebox";
import type { TSchema } from "typebox";
import { valueEncodings, valueFormats } from "./value-format.ts";

/** Records of one answer. */
export const RECORDS_MAX = 1000;
const RECORDS_DEFAULT = 100;
/** Records of one request to produce that is read as a whole. */
export const PRODUCED_RECORDS_MAX = 10_000;
/** Kafka's own bounds. */
const TOPIC_NAME_LENGTH_MAX = 249;
const GROUP_NAME_LENGTH_MAX = 32_767;
const PARTITION_MAX = 99_999;

const offset = (description: string) => Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });
const count = (description: string) => Type.Integer({ minimum: 0, description });
const timestamp = (description: string) =>
  Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: `${description}, in milliseconds since 1970`,
  });

export const topicName = Type.String({
  minLength: 1,
  maxLength: TOPIC_NAME_LENGTH_MAX,
  pattern: "^[A-Za-z0-9._-]+$",
  description: "Name of a topic",
});
export const topicParams = Type.Object({ topic: topicName });
export const groupParams = Type.Object({
  group: Type.String({ minLength: 1, maxLength: GROUP_NAME_LENGTH_MAX, description: "Name of a consumer group" }),
});
export const agentParams = Type.Object({
  agent: Type.String({ minLength: 1, maxLength: 255, description: "Name or producer id of an agent" }),
});

const partitionOf = (description: string) => Type.Integer({ minimum: 0, maximum: PARTITION_MAX, description });
const partition = partitionOf("Number of a partition");
const topicConfig = Type.Record(Type.String({ maxLength: 255 }), Type.String({ maxLength: 1024 }), {
  description: "Topic configuration under Kafka's keys; what is not there is the hub's default",
});

const rates = Type.Object(
  {
    recordsPerSecond: Type.Number({ description: "Records stored per second" }),
    bytesPerSecond: Type.Number({ description: "Bytes of batches stored per second" }),
  },
  { description: "Over the last ten seconds" },
);

export const topicSummary = Type.Object({
  topic: topicName,
  partitionCount: count("Partitions"),
  records: count("Offsets between the first and the last one that can be read, of all partitions"),
  bytes: count("Bytes of the stored batches"),
  rates,
  config: topicConfig,
});
export const topicList = Type.Object({
  topics: Type.Array(topicSummary),
  next: Type.Union([topicName, Type.Null()], { description: "`after` of the next page; null after the last" }),
});
export const topicDetail = Type.Object({
  ...topicSummary.properties,
  partitions: Type.Array(
    Type.Object({
      partition,
      logStartOffset: offset("First offset that is kept"),
      highWatermark: offset("First offset that cannot be read yet"),
      logEndOffset: offset("Next offset to be written"),
      bytes: count("Bytes of the stored batches"),
      rates,
    }),
  ),
});
export const newTopic = Type.Object(
  {
    topic: topicName,
    partitionCount: Type.Optional(
      Type.Integer({ minimum: 1, maximum: PARTITION_MAX, description: "Left out: the hub's default" }),
    ),
    config: Type.Optional(topicConfig),
  },
  { additionalProperties: false },
);
export const listQuery = Type.Object(
  {
    prefix: Type.Optional(Type.String({ maxLength: TOPIC_NAME_LENGTH_MAX, description: "Only names that begin so" })),
    after: Type.Optional(
      Type.String({
        maxLength: GROUP_NAME_LENGTH_MAX,
        description: "Only names behind this one: `next` of the page before",
      }),
    ),
    limit: Type.Integer({ minimum: 1, maximum: RECORDS_MAX, default: RECORDS_MAX, description: "Entries at the most" }),
  },
  { additionalProperties: false },
);

const encoding = Type.Enum([...valueEncodings], { description: "How the value is written" });
const textEncoding = Type.Optional(Type.Enum(["text", "base64"], { description: "How it is written; left out: text" }));
const header = Type.Object({
  key: Type.String(),
  value: Type.Union([Type.String(), Type.Null()]),
  encoding: textEncoding,
});
export const record = Type.Object({
  topic: topicName,
  partition,
  offset: offset("The record's offset"),
  timestamp: Type.Integer({ description: "Milliseconds since 1970" }),
  key: Type.Union([Type.String(), Type.Null()]),
  keyEncoding: textEncoding,
  value: Type.Unknown({ description: "The value, written as `encoding` says" }),
  encoding,
  headers: Type.Array(header),
});
const unreadable = Type.Array(
  Type.Object({ topic: topicName, partition, offset: offset("First of them"), records: count("How many") }),
  { description: "Records that are stored but were written wrongly by their producer" },
);
export const recordPage = Type.Object({
  records: Type.Array(record),
  next: Type.String({ description: "`cursor` of the next page, in the same order" }),
  isEnd: Type.Boolean({ description: "There is nothing more in this direction now" }),
  unreadable,
});
const filters = {
  key: Type.Optional(Type.String({ maxLength: 4096, description: "Only records with this key" })),
  mqttTopic: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 4096,
      description: "Only records whose header `mqtt.topic` matches this MQTT topic filter (+ and #)",
    }),
  ),
  format: Type.Enum([...valueFormats], {
    default: "auto",
    description: "How values are written where they allow it; `auto`: JSON, else text, else base64",
  }),
};
const start = {
  partition: Type.Optional(partitionOf("Only this partition; left out: all of them, in the order of time")),
  offset: Type.Optional(offset("Where to begin; needs `partition`")),
  time: Type.Optional(timestamp("Where to begin")),
  cursor: Type.Optional(Type.String({ maxLength: 4096, description: "Where to begin: `next` of the page before" })),
};
export const recordsQuery = Type.Object(
  {
    ...start,
    order: Type.Enum(["asc", "desc"], { default: "asc", description: "`desc`: the newest first" }),
    limit: Type.Integer({
      minimum: 1,
      maximum: RECORDS_MAX,
      default: RECORDS_DEFAULT,
      description: "Records at the most",
    }),
    ...filters,
  },
  { additionalProperties: false },
);

export const liveQuery = Type.Object(
  {
    ...start,
    from: Type.Enum(["earliest", "latest"], {
      default: "latest",
      description: "Where to begin if nothing else says it",
    }),
    ...filters,
  },
  { additionalProperties: false },
);

export const newRecord = Type.Object(
  {
    key: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    keyEncoding: textEncoding,
    value: Type.Optional(
      Type.Unknown({ description: "JSON, unless `encoding` says otherwise; null or left out: no value" }),
    ),
    encoding: Type.Optional(encoding),
    headers: Type.Optional(Type.Array(header, { maxItems: 1000 })),
    timestamp: Type.Optional(timestamp("When it happened; left out: when the hub takes it")),
    partition: Type.Optional(partition),
  },
  { additionalProperties: false },
);
export const newRecords = Type.Object(
  { records: Type.Array(newRecord, { minItems: 1, maxItems: PRODUCED_RECORDS_MAX }) },
  { additionalProperties: false },
);
export const produceQuery = Type.Object(
  {
    acks: Type.Enum(["none", "leader", "all"], {
      default: "all",
      description: "When the answer comes: at once, when it is committed, or when it is flushed to the disk",
    }),
  },
  { additionalProperties: false },
);
export const produced = Type.Object({
  records: count("Records that were stored"),
  offsets: Type.Array(
    Type.Object({ partition, offset: offset("Of its first record"), records: count("How many, in a row") }),
    {
      description: "Where; empty with `acks=none`",
    },
  ),
});

const groupSummary = Type.Object({
  group: Type.String(),
  type: Type.String({ description: "`classic` or `consumer` (KIP-848)" }),
  state: Type.String(),
  members: count("Members"),
  lag: count("Records behind the ends of their partitions"),
});
export const groupList = Type.Object({
  groups: Type.Array(groupSummary),
  next: Type.Union([Type.String(), Type.Null()], { description: "`after` of the next page; null after the last" }),
});
export const groupDetail = Type.Object({
  ...groupSummary.properties,
  memberList: Type.Array(
    Type.Object({
      memberId: Type.String(),
      instanceId: Type.Union([Type.String(), Type.Null()]),
      clientId: Type.String(),
      host: Type.String(),
      partitions: Type.Array(Type.Object({ topic: Type.String(), partition })),
    }),
  ),
  offsets: Type.Array(
    Type.Object({
      topic: Type.String(),
      partition,
      offset: offset("Committed: the next one to be read"),
      logStartOffset: offset("First offset that is kept"),
      highWatermark: offset("First offset that cannot be read yet"),
      lag: count("Records still to be read"),
      metadata: Type.String(),
      committedAt: Type.Integer({ description: "Milliseconds since 1970" }),
    }),
  ),
});
export const offsetReset = Type.Object(
  {
    topic: topicName,
    partition: Type.Optional(partitionOf("Left out: all partitions")),
    to: Type.Union(
      [
        Type.Enum(["earliest", "latest"]),
        offset("An offset"),
        Type.Object({ time: timestamp("The first record at or after it") }),
      ],
      {
        description: "Where the group goes on",
      },
    ),
    dryRun: Type.Optional(Type.Boolean({ description: "Only tell what would be" })),
  },
  { additionalProperties: false },
);
export const offsetsReset = Type.Object({
  offsets: Type.Array(
    Type.Object({
      topic: Type.String(),
      partition,
      before: Type.Union([Type.Integer(), Type.Null()]),
      offset: offset("From now on"),
    }),
  ),
});

const facts = (description: string) => Type.Object({}, { additionalProperties: true, description });
export const agentList = Type.Object({ agents: Type.Array(facts("An agent: see GET /status")) });
export const agentDetail = Type.Object({
  agent: facts("An agent: see GET /status"),
  losses: Type.Array(facts("An entry of its loss ledger"), { description: "The newest" }),
});

export const lossList = Type.Object({ losses: Type.Array(facts("An entry of the loss ledger")) });

export const problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: "See docs/errors.md" }),
    hint: Type.String({ description: "What to do" }),
    retriable: Type.Boolean({ description: "The same request may succeed later" }),
  },
  { description: "What went wrong (RFC 9457)", additionalProperties: true },
);

/** As an answer in JSON, in the OpenAPI document. */
export const answer = (description: string, schema: TSchema) => ({
  description,
  content: { "application/json": { schema } },
});
