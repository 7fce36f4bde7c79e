/**
 * A record as the consume command prints it; pure.
 *
 *   text    partition/offset TAB key TAB value       one line a record whatever it contains: what a terminal could take
 *                                                    for a command, and line breaks, are escaped
 *   value   the bytes of the value and a line break, as they are: for pipes
 *   json    one object a line; bytes that are not UTF-8 as {"base64": "…"}
 */
import { isUtf8 } from "node:buffer";
import type { Offset, Partition, Timestamp } from "../../shared/ids.ts";

export type ConsumedRecord = {
  readonly topic: string;
  readonly partition: Partition;
  readonly offset: Offset;
  readonly timestamp: Timestamp;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
};

export const recordFormats = ["text", "value", "json"] as const;
export type RecordFormat = (typeof recordFormats)[number];

const LINE_BREAK = Buffer.from("\n");
/** How much of a binary value the text format shows. */
const HEX_BYTES_MAX = 32;

export function formatRecord(record: ConsumedRecord, format: RecordFormat): Buffer {
  switch (format) {
    case "value":
      return Buffer.concat([record.value ?? Buffer.alloc(0), LINE_BREAK]);
    case "text":
      return Buffer.from(
        `${record.partition}/${record.offset}\t${textOf(record.key)}\t${textOf(record.value)}\n`,
        "utf8",
      );
    case "json":
      return Buffer.from(`${JSON.stringify(jsonOf(record))}\n`, "utf8");
  }
}

function jsonOf(record: ConsumedRecord): object {
  const { topic, partition, offset, timestamp, key, value, headers } = record;
  return {
    topic,
    partition,
    offset,
    timestamp,
    key: jsonBytes(key),
    value: jsonBytes(value),
    // A list, because a record may carry the same header twice.
    headers: headers.map((header) => [header.key, jsonBytes(header.value)]),
  };
}

function jsonBytes(bytes: Buffer | null): string | null | { base64: string } {
  if (bytes === null) return null;
  return isUtf8(bytes) ? bytes.toString("utf8") : { base64: bytes.toString("base64") };
}

function textOf(bytes: Buffer | null): string {
  if (bytes === null) return "-";
  if (isUtf8(bytes)) return escapeControls(bytes.toString("utf8"));
  const shown = bytes.subarray(0, HEX_BYTES_MAX).toString("hex");
  return `<${bytes.length} bytes: ${shown}${bytes.length > HEX_BYTES_MAX ? "…" : ""}>`;
}

const namedEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Control characters (C0, DEL, C1) as escapes: whoever may publish must not be able to write to the terminal. */
export function escapeControls(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return namedEscapes[character] ?? `\\x${code.toString(16).padStart(2, "0")}`;
  });
}
