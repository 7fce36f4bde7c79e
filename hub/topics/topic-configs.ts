/**
 * The topic configuration keys of Kafka: all are accepted, stored and reported, so that tools that set them work; those
 * whose documentation does not begin with "Not used" change what the hub does.
 * Source: Kafka's TopicConfig and LogConfig.
 */
import { codecs } from "../../shared/batch/record-batch.ts";
import type { Codec } from "../../shared/batch/record-batch.ts";
import { StreamError } from "../../shared/errors.ts";
import { cleanupDefaults, cleanupSettings } from "../engine/cleanup-settings.ts";
import type { TopicConfig } from "../engine/engine.ts";

/** Kafka's codes of configuration types (DescribeConfigs v3 and later). */
export const configTypes = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const;
export type ConfigType = keyof typeof configTypes;

/** Kafka's codes for where a value comes from. */
export const configSources = { topic: 1, broker: 4, default: 5 } as const;

type ConfigRow = {
  readonly type: ConfigType;
  readonly fallback: string;
  readonly documentation: string;
  /** Of numbers. */
  readonly min?: number;
  readonly max?: number;
  /** Of strings and list elements. */
  readonly values?: readonly string[];
};

const INT_MAX = 2_147_483_647;
/** Kafka writes Long.MAX_VALUE for "no limit". */
const LONG_MAX_TEXT = "9223372036854775807";

const long = (fallback: string, min: number, documentation: string): ConfigRow => ({
  type: "long",
  fallback,
  min,
  documentation,
});
const int = (fallback: string, min: number, documentation: string): ConfigRow => ({
  type: "int",
  fallback,
  min,
  max: INT_MAX,
  documentation,
});
const flag = (fallback: string, documentation: string): ConfigRow => ({
  type: "boolean",
  fallback,
  values: ["true", "false"],
  documentation,
});

export const topicConfigs: ReadonlyMap<string, ConfigRow> = new Map<string, ConfigRow>([
  [
    "cleanup.policy",
    {
      type: "list",
      fallback: cleanupDefaults["cleanup.policy"],
      values: ["delete", "compact"],
      documentation:
        "What happens to old records: delete removes them by age and size, compact all but the newest of each key.",
    },
  ],
  [
    "retention.ms",
    long(
      "604800000",
      -1,
      "How long records are kept after the hub has stored them, whatever their own time; -1 for ever. Time while the hub is off does not count.",
    ),
  ],
  ["retention.bytes", long("-1", -1, "How many bytes a partition keeps; -1 for no limit.")],
  ["max.message.bytes", int("1048588", 0, "The largest record batch that is accepted.")],
  [
    "message.timestamp.type",
    {
      type: "string",
      fallback: "CreateTime",
      values: ["CreateTime", "LogAppendTime"],
      documentation: "Whether records keep the producer's time or get the hub's.",
    },
  ],
  ["message.timestamp.before.max.ms", long(LONG_MAX_TEXT, 0, "How old a batch's newest record may be.")],
  ["message.timestamp.after.max.ms", long(LONG_MAX_TEXT, 0, "How far ahead of the hub a record's time may be.")],
  [
    "compression.type",
    {
      type: "string",
      fallback: "producer",
      values: ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
      documentation:
        "The codec in which batches of Kafka producers are stored: their own, or this one. Agents' batches stay as they are.",
    },
  ],
  ["compression.gzip.level", { ...int("-1", -1, "Of compression.type gzip; -1 for gzip's own default."), max: 9 }],
  ["compression.lz4.level", { ...int("9", 1, "Not used: the hub's lz4 has one level."), max: 17 }],
  ["compression.zstd.level", { ...int("3", -131_072, "Of compression.type zstd."), max: 22 }],
  [
    "delete.retention.ms",
    long(
      cleanupDefaults["delete.retention.ms"],
      0,
      "How long a record without a value stays in a compacted topic, so that consumers hear that its key is gone.",
    ),
  ],
  ["file.delete.delay.ms", long("60000", 0, "Not used: there are no segment files.")],
  ["flush.messages", long(LONG_MAX_TEXT, 1, "Not used: every commit is flushed.")],
  ["flush.ms", long(LONG_MAX_TEXT, 0, "Not used: every commit is flushed.")],
  ["follower.replication.throttled.replicas", { type: "list", fallback: "", documentation: "Not used: one replica." }],
  ["leader.replication.throttled.replicas", { type: "list", fallback: "", documentation: "Not used: one replica." }],
  ["index.interval.bytes", int("4096", 0, "Not used: there are no index files.")],
  ["local.retention.bytes", long("-2", -2, "Not used: there is no remote storage.")],
  ["local.retention.ms", long("-2", -2, "Not used: there is no remote storage.")],
  [
    "max.compaction.lag.ms",
    long(
      cleanupDefaults["max.compaction.lag.ms"],
      1,
      "Records of this age are compacted, however small the dirty ratio; not those of the newest batch.",
    ),
  ],
  ["message.downconversion.enable", flag("true", "Not used: only format 2 is served.")],
  [
    "message.format.version",
    { type: "string", fallback: "3.0-IV1", documentation: "Not used: only format 2 is served." },
  ],
  ["message.timestamp.difference.max.ms", long(LONG_MAX_TEXT, 0, "Not used; see before.max and after.max.")],
  [
    "min.cleanable.dirty.ratio",
    {
      type: "double",
      fallback: cleanupDefaults["min.cleanable.dirty.ratio"],
      min: 0,
      max: 1,
      documentation: "A partition is compacted when more than this share of its bytes never was.",
    },
  ],
  [
    "min.compaction.lag.ms",
    long(cleanupDefaults["min.compaction.lag.ms"], 0, "Records younger than this are not compacted."),
  ],
  ["min.insync.replicas", int("1", 1, "Not used: one replica.")],
  ["preallocate", flag("false", "Not used: there are no segment files.")],
  ["remote.storage.enable", flag("false", "Not used: there is no remote storage.")],
  ["segment.bytes", int("1073741824", 14, "Not used: there are no segment files.")],
  ["segment.index.bytes", int("10485760", 4, "Not used: there are no segment files.")],
  ["segment.jitter.ms", long("0", 0, "Not used: there are no segment files.")],
  ["segment.ms", long("604800000", 1, "Not used: there are no segment files.")],
  ["unclean.leader.election.enable", flag("false", "Not used: one replica.")],
]);

const INTEGER = /^-?\d{1,19}$/;
const DECIMAL = /^-?\d{1,10}(\.\d{1,10})?$/;

/** @throws StreamError INVALID_CONFIG when the key is unknown or the value is not of its type or range. */
export function checkTopicConfig(key: string, value: string): void {
  const row = topicConfigs.get(key);
  if (row === undefined) throw new StreamError("INVALID_CONFIG", `${key} is not a topic configuration key`);
  if (!isAllowed(row, value)) {
    throw new StreamError("INVALID_CONFIG", `${JSON.stringify(value)} is not allowed for ${key}`);
  }
}

function isAllowed(row: ConfigRow, value: string): boolean {
  switch (row.type) {
    case "boolean":
    case "string":
      return row.values === undefined || row.values.includes(value);
    case "list":
      return row.values === undefined || listOf(value).every((each) => row.values?.includes(each));
    case "int":
    case "long":
      return INTEGER.test(value) && isWithin(row, Number(value));
    case "double":
      return DECIMAL.test(value) && isWithin(row, Number(value));
  }
}

const isWithin = ({ min = -Infinity, max = Infinity }: ConfigRow, value: number): boolean =>
  value >= min && value <= max;

export const listOf = (value: string): readonly string[] =>
  value
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");

export type ConfigEntry = {
  readonly name: string;
  readonly value: string;
  readonly source: number;
  readonly type: number;
  readonly documentation: string;
  /** Every level that has a value, the effective one first. */
  readonly synonyms: readonly { readonly name: string; readonly value: string; readonly source: number }[];
};

/** Every key with its value for one topic: its own, else the hub's default, else Kafka's. */
export function effectiveConfigs(overrides: TopicConfig, hubDefaults: TopicConfig): readonly ConfigEntry[] {
  return Array.from(topicConfigs, ([name, { type, fallback, documentation }]) => {
    const synonyms = [{ name, value: fallback, source: configSources.default as number }];
    const hubDefault = hubDefaults[name];
    if (hubDefault !== undefined) synonyms.unshift({ name, value: hubDefault, source: configSources.broker });
    const override = overrides[name];
    if (override !== undefined) synonyms.unshift({ name, value: override, source: configSources.topic });
    const [{ value, source }] = synonyms as [(typeof synonyms)[number]];
    return { name, value, source, type: configTypes[type], documentation, synonyms };
  });
}

/** What Produce asks of a topic, parsed once for each configuration. */
export type ProduceSettings = {
  readonly batchBytesMax: number;
  readonly isLogAppendTime: boolean;
  /** In which batches are stored; undefined for whatever the producer took. */
  readonly codec: Codec | undefined;
  readonly compressionLevel: number | undefined;
  /** Every record needs a key. */
  readonly isCompacted: boolean;
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
};

/** A topic's configuration object is replaced when it changes, so it identifies its parsed form. */
const parsed = new WeakMap<TopicConfig, ProduceSettings>();

export function produceSettings(overrides: TopicConfig, hubDefaults: TopicConfig): ProduceSettings {
  const known = parsed.get(overrides);
  if (known !== undefined) return known;
  const valueOf = (key: string): string => overrides[key] ?? hubDefaults[key] ?? topicConfigs.get(key)?.fallback ?? "";
  const settings = {
    batchBytesMax: Number(valueOf("max.message.bytes")),
    isLogAppendTime: valueOf("message.timestamp.type") === "LogAppendTime",
    ...compressionOf(valueOf),
    isCompacted: cleanupSettings(overrides).compacts,
    timestampBeforeMaxMs: Number(valueOf("message.timestamp.before.max.ms")),
    timestampAfterMaxMs: Number(valueOf("message.timestamp.after.max.ms")),
  };
  parsed.set(overrides, settings);
  return settings;
}

function compressionOf(valueOf: (key: string) => string): Pick<ProduceSettings, "codec" | "compressionLevel"> {
  const type = valueOf("compression.type");
  if (type === "uncompressed") return { codec: "none", compressionLevel: undefined };
  const codec = codecs.find((each) => each === type);
  const level = codec === "gzip" || codec === "zstd" ? Number(valueOf(`compression.${codec}.level`)) : undefined;
  // zlib's own word for its default level is -1 too.
  return { codec, compressionLevel: level };
}
