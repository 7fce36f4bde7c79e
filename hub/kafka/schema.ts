/**
 * The notation of the message schemas: an object of fields in wire order, each a type with its version range. Requests
 * and responses get their TypeScript types from it, compile.ts their codecs.
 *
 *   int32                      in all versions            int64.from(5)        in version 5 and later
 *   boolean.between(8, 10)     in versions 8 to 10        string.until(7)      up to version 7
 *   string.nullable()          may be null                structs({…}).nullable(1)   may be null from version 1 on
 *   int32.or(-1)               the value where a version or a handler has none
 *   struct({…}).tagged(1)      in the tagged section (KIP-482), tag 1
 *
 * Strings, bytes and arrays are compact in an API's flexible versions, where every struct ends in a tagged section too.
 * Tagged fields of responses are all optional; those that are never sent are left out of the schemas.
 * Source: Kafka's message definitions (clients/src/main/resources/common/message).
 */

export type Kind =
  | "boolean"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "bigint64"
  | "string"
  | "bytes"
  | "records"
  | "uuid"
  | "array"
  | "struct";

/** A field as compile.ts sees it. */
export type FieldSpec = {
  readonly kind: Kind;
  /** First and last version that have the field. */
  readonly first: number;
  readonly last: number;
  /** First version in which it may be null; Infinity for never. */
  readonly nullableFrom: number;
  readonly tag: number | undefined;
  /** What it is where it is absent; undefined for the type's own zero. */
  readonly fallback: unknown;
  /** Of an array. */
  readonly element: FieldSpec | undefined;
  /** Of a struct. */
  readonly fields: StructSpec;
};

export type StructSpec = readonly (readonly [name: string, spec: FieldSpec])[];

type Presence = "required" | "optional";

/**
 * `Read` is what a reader gets, `Written` what a writer gives; they differ for record batches (one view in, a list
 * of stored batches out) and because fields with an `or` value may be left out when writing.
 */
export interface Field<Read, Written, P extends Presence = "required"> {
  readonly spec: FieldSpec;
  /** Never set: carries the types. */
  readonly types?: { readonly decoded: Read; readonly encoded: Written; readonly presence: P };
  from(first: number): Field<Read, Written, P>;
  until(last: number): Field<Read, Written, P>;
  between(first: number, last: number): Field<Read, Written, P>;
  nullable(first?: number): Field<Read | null, Written | null, P>;
  or(value: Read): Field<Read, Written, "optional">;
  tagged(tag: number): Field<Read, Written, "optional">;
}

export type Shape = Readonly<Record<string, Field<unknown, unknown, Presence>>>;

export type Decoded<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Field<infer D, unknown, Presence> ? D : never;
};

type EncodedField<F> = F extends Field<unknown, infer E, Presence> ? E : never;
type OptionalKey<S extends Shape> = {
  [K in keyof S]: S[K] extends Field<unknown, unknown, "optional"> ? K : never;
}[keyof S];

export type Encodable<S extends Shape> = {
  readonly [K in Exclude<keyof S, OptionalKey<S>>]: EncodedField<S[K]>;
} & { readonly [K in OptionalKey<S>]?: EncodedField<S[K]> };

function field<D, E, P extends Presence>(spec: FieldSpec): Field<D, E, P> {
  return {
    spec,
    from: (first) => field({ ...spec, first }),
    until: (last) => field({ ...spec, last }),
    between: (first, last) => field({ ...spec, first, last }),
    nullable: (first = 0) => field({ ...spec, nullableFrom: first }),
    or: (fallback) => field({ ...spec, fallback }),
    tagged: (tag) => field({ ...spec, tag }),
  };
}

function plain<D, E = D>(kind: Kind, inner: Partial<FieldSpec> = {}): Field<D, E> {
  return field({
    kind,
    first: 0,
    last: Number.POSITIVE_INFINITY,
    nullableFrom: Number.POSITIVE_INFINITY,
    tag: undefined,
    fallback: undefined,
    element: undefined,
    fields: [],
    ...inner,
  });
}

export const boolean = plain<boolean>("boolean");
export const int8 = plain<number>("int8");
export const int16 = plain<number>("int16");
export const int32 = plain<number>("int32");
/** Offsets and timestamps: exact up to 2^53. */
export const int64 = plain<number>("int64");
/** Producer ids: random 63-bit numbers. */
export const bigint64 = plain<bigint>("bigint64");
export const string = plain<string>("string");
export const bytes = plain<Buffer, Uint8Array>("bytes");
/** Record batches: read as one view into the request, written as the list of stored batches. */
export const records = plain<Buffer, readonly Buffer[]>("records");
export const uuid = plain<Buffer, Uint8Array>("uuid");

export function array<D, E>(element: Field<D, E>): Field<readonly D[], readonly E[]> {
  return plain("array", { element: element.spec });
}

export function struct<S extends Shape>(shape: S): Field<Decoded<S>, Encodable<S>> {
  return plain("struct", { fields: structSpec(shape) });
}

/** An array of structs. */
export function structs<S extends Shape>(shape: S): Field<readonly Decoded<S>[], readonly Encodable<S>[]> {
  return array(struct(shape));
}

export function structSpec(shape: Shape): StructSpec {
  return Object.entries(shape).map(([name, { spec }]) => [name, spec]);
}

export type ApiDescription = {
  readonly key: number;
  readonly name: string;
  /** First and last version served. */
  readonly first: number;
  readonly last: number;
  /** First version that ApiVersions lists; earlier than `first` only for Produce. */
  readonly advertisedFrom: number;
  /** First flexible version; Infinity for none. */
  readonly flexibleFrom: number;
  /** What a user should know: for docs/kafka-apis.md. */
  readonly note: string;
};

export type Api<Q extends Shape, S extends Shape> = ApiDescription & {
  readonly request: Q;
  readonly response: S;
};

type ApiInput<Q extends Shape, S extends Shape> = {
  readonly key: number;
  readonly name: string;
  readonly versions: readonly [first: number, last: number];
  readonly advertisedFrom?: number;
  readonly flexibleFrom: number;
  readonly note?: string;
  readonly request: Q;
  readonly response: S;
};

export function api<Q extends Shape, S extends Shape>(input: ApiInput<Q, S>): Api<Q, S> {
  const [first, last] = input.versions;
  const { key, name, advertisedFrom = first, flexibleFrom, note = "", request, response } = input;
  return { key, name, first, last, advertisedFrom, flexibleFrom, note, request, response };
}

export type RequestOf<A> = A extends Api<infer Q, Shape> ? Decoded<Q> : never;
export type ResponseOf<A> = A extends Api<Shape, infer S> ? Encodable<S> : never;
