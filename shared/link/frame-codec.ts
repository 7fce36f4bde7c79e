/**
 * Uplink frames to bytes and back. What comes from the wire is checked field by field: the codec is the edge, and what
 * lies behind it trusts the types. Unknown fields are ignored, so that a newer peer may send more.
 */
import { Encoder } from "cbor-x";
import { StreamError } from "../errors.ts";
import type { AgentFrame, HelloTopic, HubFrame, UplinkPosition } from "./frames.ts";
import { UPLINK_MESSAGE_BYTES_MAX, lossReasons } from "./frames.ts";

/** Plain maps and byte strings, as any CBOR library reads them. */
const cbor = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true });

const NAME_LENGTH_MAX = 249;
const TEXT_LENGTH_MAX = 4096;
const TOPICS_MAX = 10_000;
const PARTITIONS_MAX = 10_000;
const POSITIONS_MAX = 100_000;
const EPOCH_MAX = 32_767;
const SEQUENCE_MAX = 2 ** 31 - 1;
const PRODUCER_ID_MAX = 2n ** 63n - 1n;

const acksOf = ["none", "leader", "all"] as const;

type Fields = Readonly<Record<string, unknown>>;

/** @throws StreamError MESSAGE_TOO_LARGE when the frame is larger than a message of the uplink may be. */
export function encodeFrame(frame: AgentFrame | HubFrame): Buffer {
  const bytes = cbor.encode(frame);
  if (bytes.length > UPLINK_MESSAGE_BYTES_MAX) {
    throw new StreamError("MESSAGE_TOO_LARGE", `a ${frame.t} frame of ${bytes.length} bytes`);
  }
  return bytes;
}

/** @throws StreamError PROTOCOL_VIOLATION when the bytes are no frame that an agent sends. */
export function decodeAgentFrame(bytes: Uint8Array): AgentFrame {
  const fields = decodeMap(bytes);
  switch (fields["t"]) {
    case "hello": {
      const token = fields["token"];
      return {
        t: "hello",
        agent: text(fields, "agent", NAME_LENGTH_MAX),
        producer: producerId(fields),
        version: text(fields, "version", TEXT_LENGTH_MAX),
        ...(token === undefined ? {} : { token: text(fields, "token", TEXT_LENGTH_MAX) }),
        topics: list(fields, "topics", TOPICS_MAX).map(helloTopic),
      };
    }
    case "produce":
      return {
        t: "produce",
        id: count(fields, "id"),
        topic: text(fields, "topic", NAME_LENGTH_MAX),
        partition: integer(fields, "partition", PARTITIONS_MAX),
        acks: oneOf(fields, "acks", acksOf),
        batch: byteString(fields, "batch"),
      };
    case "gap":
      return {
        t: "gap",
        id: count(fields, "id"),
        topic: text(fields, "topic", NAME_LENGTH_MAX),
        partition: integer(fields, "partition", PARTITIONS_MAX),
        epoch: integer(fields, "epoch", EPOCH_MAX),
        from: count(fields, "from"),
        to: count(fields, "to"),
        reason: oneOf(fields, "reason", lossReasons),
      };
    case "status":
      return { t: "status", status: map(fields["status"], "status") };
    default:
      throw violation(`no frame of an agent: ${String(fields["t"]).slice(0, 40)}`);
  }
}

/** @throws StreamError PROTOCOL_VIOLATION when the bytes are no frame that a hub sends. */
export function decodeHubFrame(bytes: Uint8Array): HubFrame {
  const fields = decodeMap(bytes);
  switch (fields["t"]) {
    case "welcome":
      return {
        t: "welcome",
        positions: list(fields, "positions", POSITIONS_MAX).map(position),
        topics: list(fields, "topics", TOPICS_MAX).map(helloTopic),
        credit: count(fields, "credit"),
        time: count(fields, "time"),
      };
    case "ack":
      return {
        t: "ack",
        id: count(fields, "id"),
        baseOffset: integer(fields, "baseOffset", Number.MAX_SAFE_INTEGER, -1),
      };
    case "nack":
      return {
        t: "nack",
        id: count(fields, "id"),
        code: text(fields, "code", TEXT_LENGTH_MAX),
        message: text(fields, "message", TEXT_LENGTH_MAX),
        retriable: fields["retriable"] === true,
      };
    case "credit":
      return { t: "credit", bytes: count(fields, "bytes") };
    default:
      throw violation(`no frame of a hub: ${String(fields["t"]).slice(0, 40)}`);
  }
}

function decodeMap(bytes: Uint8Array): Fields {
  let value: unknown;
  try {
    value = cbor.decode(bytes);
  } catch (error) {
    throw new StreamError("PROTOCOL_VIOLATION", "a message is no CBOR", { cause: error });
  }
  return map(value, "a message");
}

function map(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw violation(`${what} is no map`);
  }
  return value as Fields;
}

function helloTopic(value: unknown): HelloTopic {
  const fields = map(value, "a topic");
  return {
    name: text(fields, "name", NAME_LENGTH_MAX),
    partitions: integer(fields, "partitions", PARTITIONS_MAX, 1),
  };
}

function position(value: unknown): UplinkPosition {
  const fields = map(value, "a position");
  return {
    topic: text(fields, "topic", NAME_LENGTH_MAX),
    partition: integer(fields, "partition", PARTITIONS_MAX),
    epoch: integer(fields, "epoch", EPOCH_MAX),
    lastSequence: integer(fields, "lastSequence", SEQUENCE_MAX),
  };
}

/** CBOR has one kind of integer: what fits a number may come as one. */
function producerId(fields: Fields): bigint {
  const value = fields["producer"];
  if (typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value))) {
    const id = BigInt(value);
    if (id >= 0n && id <= PRODUCER_ID_MAX) return id;
  }
  throw violation("producer is no id of 63 bits");
}

const count = (fields: Fields, name: string): number => integer(fields, name, Number.MAX_SAFE_INTEGER);

function integer(fields: Fields, name: string, max: number, min = 0): number {
  const found = fields[name];
  const value = typeof found === "bigint" ? Number(found) : found;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw violation(`${name} is no whole number from ${min} to ${max}`);
  }
  return value;
}

function text(fields: Fields, name: string, lengthMax: number): string {
  const value = fields[name];
  if (typeof value !== "string" || value.length === 0 || value.length > lengthMax) {
    throw violation(`${name} is no text of 1 to ${lengthMax} characters`);
  }
  return value;
}

function byteString(fields: Fields, name: string): Uint8Array {
  const value = fields[name];
  if (!(value instanceof Uint8Array)) throw violation(`${name} is no byte string`);
  return value;
}

function list(fields: Fields, name: string, lengthMax: number): readonly unknown[] {
  const value = fields[name];
  if (!Array.isArray(value) || value.length > lengthMax) throw violation(`${name} is no list of at most ${lengthMax}`);
  return value;
}

function oneOf<Value extends string>(fields: Fields, name: string, allowed: readonly Value[]): Value {
  const found = allowed.find((value) => value === fields[name]);
  if (found === undefined) throw violation(`${name} is none of ${allowed.join(", ")}`);
  return found;
}

function violation(message: string): StreamError {
  return new StreamError("PROTOCOL_VIOLATION", message);
}
