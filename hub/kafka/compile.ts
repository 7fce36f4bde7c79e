/**
 * Turns a schema and a version into a decoder and an encoder: closures, made when a version is first used and kept.
 *
 * A decoded object has every field of its schema, those that the version lacks with their `or` value; so handlers see
 * one shape whatever the version. An encoder passes over what the version lacks.
 */
import { StreamError } from "../../shared/errors.ts";
import { invariant, unreachable } from "../../shared/invariant.ts";
import type { Api, ApiDescription, Decoded, Encodable, FieldSpec, Shape, StructSpec } from "./schema.ts";
import { structSpec } from "./schema.ts";
import type { WireReader } from "./wire-reader.ts";
import { UUID_BYTES } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

type Decode = (reader: WireReader) => unknown;
type Encode = (writer: WireWriter, value: unknown) => void;
type Codec = { readonly decode: Decode; readonly encode: Encode };

export const isFlexible = (api: ApiDescription, version: number): boolean => version >= api.flexibleFrom;

const zeroUuid = Buffer.alloc(UUID_BYTES);
/** The value of a type where nothing else is said. */
const zeroes = {
  boolean: false,
  int8: 0,
  int16: 0,
  int32: 0,
  int64: 0,
  bigint64: 0n,
  string: "",
  bytes: Buffer.alloc(0),
  records: Buffer.alloc(0),
  uuid: zeroUuid,
  array: [],
} as const;

const codecs = new WeakMap<Shape, (Codec | undefined)[]>();

function codecOf(shape: Shape, api: ApiDescription, version: number): Codec {
  invariant(version >= api.first && version <= api.last, `${api.name} has no version ${version}`);
  let versions = codecs.get(shape);
  if (versions === undefined) {
    versions = [];
    codecs.set(shape, versions);
  }
  const known = versions[version];
  if (known !== undefined) return known;
  const codec = compileStruct(structSpec(shape), version, isFlexible(api, version));
  versions[version] = codec;
  return codec;
}

/** Bytes after the request are tolerated: some clients send a few. @throws StreamError INVALID_REQUEST. */
export function decodeRequest<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  version: number,
  reader: WireReader,
): Decoded<Q> {
  return codecOf(api.request, api, version).decode(reader) as Decoded<Q>;
}

export function encodeResponse<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  version: number,
  writer: WireWriter,
  response: Encodable<S>,
): void {
  codecOf(api.response, api, version).encode(writer, response);
}

/** The other direction, for clients: tests and tools. */
export function encodeRequest<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  version: number,
  writer: WireWriter,
  request: Encodable<Q>,
): void {
  codecOf(api.request, api, version).encode(writer, request);
}

export function decodeResponse<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  version: number,
  reader: WireReader,
): Decoded<S> {
  return codecOf(api.response, api, version).decode(reader) as Decoded<S>;
}

const isPresent = (spec: FieldSpec, version: number): boolean => version >= spec.first && version <= spec.last;

function fallbackOf(spec: FieldSpec): unknown {
  if (spec.fallback !== undefined) return spec.fallback;
  if (spec.kind !== "struct") return zeroes[spec.kind];
  return Object.fromEntries(spec.fields.map(([name, inner]) => [name, fallbackOf(inner)]));
}

/** The least that a value takes on the wire: what bounds an array's claimed count. */
function bytesMin(spec: FieldSpec, version: number, flexible: boolean): number {
  switch (spec.kind) {
    case "boolean":
    case "int8":
      return 1;
    case "int16":
      return 2;
    case "int32":
      return 4;
    case "int64":
    case "bigint64":
      return 8;
    case "string":
      return flexible ? 1 : 2;
    case "bytes":
    case "records":
    case "array":
      return flexible ? 1 : 4;
    case "uuid":
      return UUID_BYTES;
    case "struct": {
      if (version >= spec.nullableFrom) return 1;
      let bytes = flexible ? 1 : 0;
      for (const [, inner] of spec.fields) {
        if (isPresent(inner, version) && inner.tag === undefined) bytes += bytesMin(inner, version, flexible);
      }
      return Math.max(1, bytes);
    }
    default:
      return unreachable(spec.kind);
  }
}

/** Only what may be null is null: the rest of the program need not ask again. */
function notNull<T>(value: T | null): T {
  if (value === null) throw new StreamError("INVALID_REQUEST", "null where the version of the request allows none");
  return value;
}

/**
 * A null that the version cannot express is written as the type's zero: JoinGroup below version 7, for one, has ""
 * where later versions have null.
 */
function compileField(spec: FieldSpec, version: number, flexible: boolean): Codec {
  const nullable = version >= spec.nullableFrom;
  const decoded = nullable ? <T>(value: T | null): T | null => value : notNull;
  const encoded = <T>(value: unknown, zero: T): T | null =>
    value === null || value === undefined ? (nullable && value === null ? null : zero) : (value as T);
  switch (spec.kind) {
    case "boolean":
    case "int8":
    case "int16":
    case "int32":
    case "int64":
    case "bigint64":
    case "uuid":
      return fixedSize(spec.kind);
    case "string":
      return {
        decode: (reader) => decoded(reader.string(flexible)),
        encode: (writer, value) => writer.string(encoded(value, ""), flexible),
      };
    case "bytes":
      return {
        decode: (reader) => decoded(reader.bytes(flexible)),
        encode: (writer, value) => writer.bytes(encoded<Uint8Array>(value, zeroes.bytes), flexible),
      };
    case "records":
      return {
        decode: (reader) => decoded(reader.records(flexible)),
        encode: (writer, value) => writer.records(encoded<readonly Buffer[]>(value, []), flexible),
      };
    case "array": {
      invariant(spec.element !== undefined, "an array has elements");
      const array = compileArray(spec.element, version, flexible);
      return {
        decode: (reader) => decoded(array.decode(reader) as readonly unknown[] | null),
        encode: (writer, value) => array.encode(writer, encoded<readonly unknown[]>(value, [])),
      };
    }
    case "struct": {
      const plain = compileStruct(spec.fields, version, flexible);
      return nullable ? nullableStruct(plain) : plain;
    }
    default:
      return unreachable(spec.kind);
  }
}

/** One byte before it: -1 for null, 1 for a struct that follows. */
function nullableStruct(plain: Codec): Codec {
  return {
    decode: (reader) => (reader.int8() < 0 ? null : plain.decode(reader)),
    encode: (writer, value) => {
      writer.int8(value === null ? -1 : 1);
      if (value !== null) plain.encode(writer, value);
    },
  };
}

type FixedKind = "boolean" | "int8" | "int16" | "int32" | "int64" | "bigint64" | "uuid";

function fixedSize(kind: FixedKind): Codec {
  switch (kind) {
    case "boolean":
      return { decode: (reader) => reader.boolean(), encode: (writer, value) => writer.boolean(value as boolean) };
    case "int8":
      return { decode: (reader) => reader.int8(), encode: (writer, value) => writer.int8(value as number) };
    case "int16":
      return { decode: (reader) => reader.int16(), encode: (writer, value) => writer.int16(value as number) };
    case "int32":
      return { decode: (reader) => reader.int32(), encode: (writer, value) => writer.int32(value as number) };
    case "int64":
      return { decode: (reader) => reader.int64(), encode: (writer, value) => writer.int64(value as number) };
    case "bigint64":
      return { decode: (reader) => reader.bigint64(), encode: (writer, value) => writer.bigint64(value as bigint) };
    case "uuid":
      return { decode: (reader) => reader.uuid(), encode: (writer, value) => writer.raw(value as Uint8Array) };
    default:
      return unreachable(kind);
  }
}

function compileArray(element: FieldSpec, version: number, flexible: boolean): Codec {
  const { decode, encode } = compileField(element, version, flexible);
  const elementBytesMin = bytesMin(element, version, flexible);
  return {
    decode: (reader) => {
      const count = reader.count(flexible, elementBytesMin);
      if (count === -1) return null;
      const result: unknown[] = [];
      for (let i = 0; i < count; i++) result.push(decode(reader));
      return result;
    },
    encode: (writer, value) => {
      const elements = value as readonly unknown[] | null;
      writer.count(elements === null ? null : elements.length, flexible);
      if (elements !== null) for (const each of elements) encode(writer, each);
    },
  };
}

type StructField = { readonly name: string; readonly codec: Codec; readonly fallback: unknown };
type TaggedField = StructField & { readonly tag: number };

function compileStruct(spec: StructSpec, version: number, flexible: boolean): Codec {
  const inline: StructField[] = [];
  const tagged: TaggedField[] = [];
  /** In schema order, so that the objects of all versions share one shape. */
  const steps: { readonly name: string; readonly decode: Decode }[] = [];
  for (const [name, inner] of spec) {
    const fallback = fallbackOf(inner);
    const constant: Decode = () => fallback;
    if (!isPresent(inner, version) || (inner.tag !== undefined && !flexible)) {
      steps.push({ name, decode: constant });
      continue;
    }
    const codec = compileField(inner, version, flexible);
    steps.push({ name, decode: inner.tag === undefined ? codec.decode : constant });
    if (inner.tag === undefined) inline.push({ name, codec, fallback });
    else tagged.push({ name, codec, fallback, tag: inner.tag });
  }
  tagged.sort((a, b) => a.tag - b.tag);
  return {
    decode: (reader) => {
      const result: Record<string, unknown> = {};
      for (const { name, decode } of steps) result[name] = decode(reader);
      if (flexible) decodeTags(reader, tagged, result);
      return result;
    },
    encode: (writer, value) => {
      const source = value as Readonly<Record<string, unknown>>;
      for (const { name, codec, fallback } of inline) {
        const given = source[name];
        codec.encode(writer, given === undefined ? fallback : given);
      }
      if (flexible) encodeTags(writer, tagged, source);
    },
  };
}

function decodeTags(reader: WireReader, tagged: readonly TaggedField[], result: Record<string, unknown>): void {
  if (tagged.length === 0) return reader.tags();
  reader.tags((tag, value) => {
    const known = tagged.find((each) => each.tag === tag);
    if (known !== undefined) result[known.name] = known.codec.decode(value);
  });
}

/** Ascending by tag; a field that has its default, or is not given, is left out. */
function encodeTags(
  writer: WireWriter,
  tagged: readonly TaggedField[],
  source: Readonly<Record<string, unknown>>,
): void {
  const given = tagged.filter(({ name, fallback }) => source[name] !== undefined && source[name] !== fallback);
  writer.uvarint(given.length);
  for (const { name, codec, tag } of given) {
    const value = new WireWriter();
    codec.encode(value, source[name]);
    const body = value.takeBody();
    writer.uvarint(tag);
    writer.uvarint(body.length);
    writer.raw(body);
  }
}
