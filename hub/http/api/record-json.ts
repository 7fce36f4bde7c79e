/**
 * A record as the HTTP API writes and takes it.
 *
 *   {"topic":"plant","partition":0,"offset":41,"timestamp":1790000000000,"key":"s1","value":{"c":21.5},"encoding":"json",
 *    "headers":[{"key":"mqtt.topic","value":"plant/s1"}]}
 *
 * Keys and the values of headers are text, or base64 with `"encoding": "base64"` beside them (`keyEncoding` for the key).
 * One record is one line.
 */
import { isUtf8 } from "node:buffer";
import { StreamError } from "../../../shared/errors.ts";
import type { Offset, Partition, Timestamp } from "../../../shared/ids.ts";
import type { NewRecord, RecordHeader, StoredRecord } from "../../../shared/record.ts";
import { fromBase64, readValue, writeValue } from "./value-format.ts";
import type { ValueEncoding, ValueFormat } from "./value-format.ts";

export type FoundRecord = StoredRecord & { readonly topic: string; readonly partition: Partition };

/** As JSON text. */
export function writeRecord(record: FoundRecord, format: ValueFormat): string {
  const { topic, partition, offset, timestamp, key, value, headers } = record;
  const { json, encoding } = writeValue(value, format);
  const written = headers.length === 0 ? "[]" : `[${headers.map(writeHeader).join(",")}]`;
  return (
    `{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":${offset},"timestamp":${timestamp},` +
    `"key":${writeText(key, "keyEncoding")},"value":${json},"encoding":"${encoding}","headers":${written}}`
  );
}

function writeHeader({ key, value }: RecordHeader): string {
  return `{"key":${JSON.stringify(key)},"value":${writeText(value, "encoding")}}`;
}

/** With a member of its own for the encoding where it is not text. */
function writeText(bytes: Buffer | null, encodingName: string): string {
  if (bytes === null) return "null";
  if (isUtf8(bytes)) return JSON.stringify(bytes.toString("utf8"));
  return `"${bytes.toString("base64")}","${encodingName}":"base64"`;
}

/** A record that is to be produced, as its schema lets it through. */
export type IncomingRecord = {
  readonly key?: string | null;
  readonly keyEncoding?: "text" | "base64";
  readonly value?: unknown;
  readonly encoding?: ValueEncoding;
  readonly headers?: readonly {
    readonly key: string;
    readonly value: string | null;
    readonly encoding?: "text" | "base64";
  }[];
  /** Milliseconds since 1970; left out: when the hub takes it. */
  readonly timestamp?: Timestamp;
  /** Left out: by the key, as every Kafka client does it. */
  readonly partition?: Partition;
};

/** @throws StreamError INVALID_REQUEST. */
export function readRecord(incoming: IncomingRecord, now: Timestamp): NewRecord {
  const { key, keyEncoding, value, encoding, headers = [], timestamp = now } = incoming;
  return {
    timestamp,
    key: key === undefined ? null : readText(key, keyEncoding),
    value: readValue(value, encoding),
    headers: headers.map((each) => ({ key: each.key, value: readText(each.value, each.encoding) })),
  };
}

function readText(text: string | null, encoding: "text" | "base64" = "text"): Uint8Array | null {
  if (text === null) return null;
  return encoding === "base64" ? fromBase64(text) : Buffer.from(text, "utf8");
}

export type PartitionCursor = { readonly partition: Partition; readonly offset: Offset };

const CURSOR = /^\d{1,5}:\d{1,16}(?:,\d{1,5}:\d{1,16})*$/;

/** Where to go on in each partition: `0:41,1:7`. */
export function writeCursor(places: readonly PartitionCursor[]): string {
  return places.map(({ partition, offset }) => `${partition}:${offset}`).join(",");
}

/** @throws StreamError INVALID_REQUEST. */
export function readCursor(text: string): readonly PartitionCursor[] {
  if (!CURSOR.test(text)) {
    throw new StreamError("INVALID_REQUEST", "a cursor is PARTITION:OFFSET, more of them separated by commas");
  }
  const places = text.split(",").map((place) => {
    const [partition, offset] = place.split(":");
    return { partition: Number(partition), offset: Number(offset) };
  });
  if (new Set(places.map(({ partition }) => partition)).size === places.length) return places;
  throw new StreamError("INVALID_REQUEST", "a cursor names a partition twice");
}
