/** The bodies of requests to produce, as records: what does not fit the schema is refused with the place of the fault. */
import { Decoder } from "cbor-x";
import { Compile } from "typebox/compile";
import { StreamError } from "../../../shared/errors.ts";
import type { Timestamp } from "../../../shared/ids.ts";
import { checkPlainCbor } from "../../../shared/uplink/plain-cbor.ts";
import { parseExact } from "./exact-json.ts";
import type { PlacedRecord } from "./record-producer.ts";
import { readRecord } from "./record-json.ts";
import type { IncomingRecord } from "./record-json.ts";
import type { Line } from "./read-lines.ts";
import { newRecord, newRecords } from "./schemas.ts";
import { describeError } from "./validation.ts";
import type { SchemaError } from "./validation.ts";

const cbor = new Decoder({ mapsAsObjects: true, useRecords: false });
const recordCheck = Compile(newRecord);
const recordsCheck = Compile(newRecords);

type Checked = { readonly records: readonly IncomingRecord[] };

/** `body` fits the schema already. @throws StreamError INVALID_REQUEST, with the record's number. */
export function recordsOfJson({ records }: Checked, now: Timestamp): readonly PlacedRecord[] {
  return records.map((each, index) => placed(each, now, `record ${index}`));
}

/** @throws StreamError INVALID_REQUEST. */
export function recordsOfCbor(body: Buffer, now: Timestamp): readonly PlacedRecord[] {
  const decoded = decodeCbor(body);
  const plain = { ...(decoded as object), records: listOf(decoded).map(withoutBytes) };
  if (!recordsCheck.Check(plain)) throw malformed("the body", recordsCheck.Errors(plain));
  return recordsOfJson(plain, now);
}

/** @throws StreamError INVALID_REQUEST. */
export function recordOfLine({ number, text }: Line, now: Timestamp): PlacedRecord {
  const place = `line ${number}`;
  let value: unknown;
  try {
    value = parseExact(text);
  } catch (error) {
    throw new StreamError("INVALID_REQUEST", `${place} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!recordCheck.Check(value)) throw malformed(place, recordCheck.Errors(value));
  return placed(value, now, place);
}

function placed(incoming: IncomingRecord, now: Timestamp, place: string): PlacedRecord {
  try {
    return { ...readRecord(incoming, now), partition: incoming.partition };
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    throw new StreamError(error.code, `${place}: ${error.reason}`, { cause: error });
  }
}

function decodeCbor(body: Buffer): unknown {
  try {
    checkPlainCbor(body);
    return cbor.decode(body);
  } catch (error) {
    throw new StreamError("INVALID_REQUEST", "the body is not CBOR, or uses tags or indefinite lengths", {
      cause: error,
    });
  }
}

function listOf(decoded: unknown): readonly unknown[] {
  const { records } = (decoded ?? {}) as { readonly records?: unknown };
  return Array.isArray(records) ? records : [];
}

/** Byte strings as what JSON has for them, so that one schema is enough. */
function withoutBytes(record: unknown): unknown {
  if (typeof record !== "object" || record === null) return record;
  const { key, value, headers } = record as { key?: unknown; value?: unknown; headers?: unknown };
  return {
    ...record,
    ...(key instanceof Uint8Array ? { key: base64(key), keyEncoding: "base64" } : {}),
    ...(value instanceof Uint8Array ? { value: base64(value), encoding: "base64" } : {}),
    ...(Array.isArray(headers) ? { headers: headers.map(headerWithoutBytes) } : {}),
  };
}

function headerWithoutBytes(header: unknown): unknown {
  const { value } = (header ?? {}) as { readonly value?: unknown };
  return value instanceof Uint8Array ? { ...(header as object), value: base64(value), encoding: "base64" } : header;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function malformed(place: string, errors: readonly SchemaError[]): StreamError {
  return new StreamError("INVALID_REQUEST", describeError(place, errors));
}
