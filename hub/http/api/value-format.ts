/**
 * Bytes of a record as text in JSON, and back. Every value says how it was written (`encoding`), so that what was read can
 * be produced again byte for byte; only JSON values that come in are written anew.
 *
 *   json     the value itself; it stands in the answer as it stands in the log, so that numbers keep all their digits
 *   text     its characters, where it is UTF-8
 *   base64   whatever it is
 *   cbor     what it means, as JSON (RFC 8949; byte strings as base64url, section 6.1)
 *   null     there is none: a tombstone in a compacted topic
 */
import { isUtf8 } from "node:buffer";
import { Decoder, encode } from "cbor-x";
import { StreamError } from "../../../shared/errors.ts";
import { checkPlainCbor } from "../../../shared/uplink/plain-cbor.ts";

export const valueEncodings = ["json", "text", "base64", "cbor", "null"] as const;
export type ValueEncoding = (typeof valueEncodings)[number];

/** `auto` takes the first of json, text and base64 that fits. */
export const valueFormats = ["auto", "json", "text", "base64", "cbor"] as const;
export type ValueFormat = (typeof valueFormats)[number];

/** `json` is JSON text that stands for the value. */
export type WrittenValue = { readonly encoding: ValueEncoding; readonly json: string };

const LINE_BREAKS = /[\r\n]+/g;
const nothing: WrittenValue = { encoding: "null", json: "null" };
/** Maps become objects with names, so that JSON can hold them; dates and the like have no tag to come from. */
const cbor = new Decoder({ mapsAsObjects: true, useRecords: false });

/** What does not fit the format is written in the next one that does: a reader sees every record. */
export function writeValue(bytes: Buffer | null, format: ValueFormat): WrittenValue {
  if (bytes === null) return nothing;
  if (format === "base64") return asBase64(bytes);
  const special = format === "cbor" ? asCbor(bytes) : format === "text" ? undefined : asJson(bytes);
  return special ?? asText(bytes) ?? asBase64(bytes);
}

function asJson(bytes: Buffer): WrittenValue | undefined {
  if (bytes.length === 0 || !isUtf8(bytes)) return undefined;
  const json = bytes.toString("utf8");
  try {
    JSON.parse(json);
    // Outside of strings, where JSON allows none: so a record is one line, whoever wrote it.
    return { encoding: "json", json: json.replaceAll(LINE_BREAKS, " ") };
  } catch {
    return undefined;
  }
}

function asText(bytes: Buffer): WrittenValue | undefined {
  return isUtf8(bytes) ? { encoding: "text", json: JSON.stringify(bytes.toString("utf8")) } : undefined;
}

function asBase64(bytes: Buffer): WrittenValue {
  return { encoding: "base64", json: `"${bytes.toString("base64")}"` };
}

function asCbor(bytes: Buffer): WrittenValue | undefined {
  try {
    checkPlainCbor(bytes);
    const json = JSON.stringify(cbor.decode(bytes), (_name, value: unknown) => plainOf(value)) as string | undefined;
    return json === undefined ? undefined : { encoding: "cbor", json };
  } catch {
    return undefined;
  }
}

/** What JSON.stringify cannot write, or would write otherwise. */
function plainOf(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  // Buffer's own toJSON has been called already.
  const { type, data } = (value ?? {}) as { readonly type?: unknown; readonly data?: unknown };
  if (type === "Buffer" && Array.isArray(data)) return Buffer.from(data as number[]).toString("base64url");
  return value;
}

/**
 * The bytes of a value that came in JSON. Without an encoding a null is no value at all, and everything else is JSON.
 *
 * @throws StreamError INVALID_REQUEST when the value is not what its encoding says.
 */
export function readValue(value: unknown, encoding: ValueEncoding | undefined): Buffer | null {
  if (value === undefined || encoding === "null" || (value === null && encoding === undefined)) {
    return noValue(value, encoding);
  }
  switch (encoding) {
    case undefined:
    case "json":
      return Buffer.from(JSON.stringify(value), "utf8");
    case "cbor":
      return encode(value);
    case "text":
      return Buffer.from(textOf(value, encoding), "utf8");
    case "base64":
      return fromBase64(textOf(value, encoding));
  }
}

function noValue(value: unknown, encoding: ValueEncoding | undefined): null {
  if (value === undefined || value === null) {
    if (encoding === undefined || encoding === "null") return null;
    throw new StreamError("INVALID_REQUEST", `a record of the encoding ${encoding} has no value`);
  }
  throw new StreamError("INVALID_REQUEST", 'a value of the encoding "null" must be null or left out');
}

function textOf(value: unknown, encoding: ValueEncoding): string {
  if (typeof value === "string") return value;
  throw new StreamError("INVALID_REQUEST", `a value of the encoding ${encoding} must be a string`);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Node's own decoder passes over what is no base64, and data would be lost without a word. */
export function fromBase64(text: string): Buffer {
  if (!BASE64.test(text)) throw new StreamError("INVALID_REQUEST", "a value of the encoding base64 is not base64");
  return Buffer.from(text, "base64");
}
