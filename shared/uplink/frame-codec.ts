/**
 * Frames to and from messages: CBOR, with cbor-x as plain definite-length maps (no tags, no record extension), and a seal.
 *
 * `produce` is put together by hand, because a batch should be copied once and not live in the encoder's own memory:
 *
 *   cbor-x encodes  A5 {t, id, topic, partition, acks}     then   A6 {… same bytes …} 65 "batch" 5A length batch
 *
 * On the way in every field is checked: type, range, size. Fields that are not known are ignored, so that a newer peer
 * may say more; a frame that is not known, or lacks something, is a PROTOCOL_VIOLATION. Byte strings are views of the
 * message they came in. A message whose seal is broken is FRAME_CORRUPT, and nothing of it is looked at.
 */
import { Decoder, Encoder } from "cbor-x";
import { StreamError } from "../errors.ts";
import type { ProducerId } from "../ids.ts";
import type { Acks } from "../record.ts";
import {
  lossReasons,
  PRODUCER_EPOCH_MAX,
  UPLINK_BATCH_BYTES_MAX,
  UPLINK_MESSAGE_BYTES_MAX,
  UPLINK_SIDE_PRODUCERS_MAX,
  UPLINK_STATUS_BYTES_MAX,
} from "./frames.ts";
import type {
  AgentFrame,
  Announce,
  Announced,
  Gap,
  Hello,
  HelloTopic,
  HubFrame,
  Nack,
  Produce,
  UplinkPosition,
  Welcome,
} from "./frames.ts";
import { PACK_MARK } from "./frame-pack.ts";
import type { FrameUnpacker } from "./frame-pack.ts";
import { seal, SEAL_BYTES, unseal } from "./frame-seal.ts";
import { checkPlainCbor } from "./plain-cbor.ts";

const TOPIC_NAME = /^[A-Za-z0-9._-]{1,249}$/;
const AGENT_NAME_LENGTH_MAX = 255;
const VERSION_LENGTH_MAX = 64;
const INSTANCE_LENGTH_MAX = 64;
const CODE_LENGTH_MAX = 64;
const NACK_MESSAGE_LENGTH_MAX = 1024;
const TOPICS_MAX = 10_000;
const POSITIONS_MAX = 20_000;
const PARTITIONS_MAX = 100_000;
const SEQUENCE_MAX = 2 ** 31 - 1;
const PRODUCER_ID_MAX = 2n ** 63n - 1n;
const acksValues: readonly Acks[] = ["none", "leader", "all"];

const cborOptions = { useRecords: false, mapsAsObjects: true, variableMapSize: true, tagUint8Array: false } as const;
const encoder = new Encoder(cborOptions);
const decoder = new Decoder(cborOptions);

/** The key "batch" and the head of a byte string with a four-byte length. */
const BATCH_KEY = Buffer.from([0x65, ...Buffer.from("batch"), 0x5a]);
const LENGTH_BYTES = 4;

/**
 * One message. The result is the caller's.
 *
 * @throws StreamError MESSAGE_TOO_LARGE above UPLINK_MESSAGE_BYTES_MAX.
 */
export function encodeFrame(frame: AgentFrame | HubFrame): Buffer {
  const message = frame.t === "produce" ? encodeProduce(frame) : encodePlain(frame);
  if (message.length > UPLINK_MESSAGE_BYTES_MAX) {
    throw new StreamError("MESSAGE_TOO_LARGE", `a ${frame.t} of ${message.length} bytes`);
  }
  seal(message);
  return message;
}

/** A frame for a pack, which has one seal for all. Its batch is of UPLINK_PACKED_BATCH_BYTES_MAX at most. */
export function encodePackedFrame(frame: Produce): Buffer {
  const message = encodeProduce(frame);
  return message.subarray(0, message.length - SEAL_BYTES);
}

/** With room for the seal, as below. */
function encodePlain(frame: Exclude<AgentFrame | HubFrame, Produce>): Buffer {
  const encoded = encoder.encode(frame);
  const message = Buffer.allocUnsafe(encoded.length + SEAL_BYTES);
  message.set(encoded, 0);
  return message;
}

function encodeProduce({ batch, ...fields }: Produce): Buffer {
  const head = encoder.encode(fields);
  const message = Buffer.allocUnsafe(head.length + BATCH_KEY.length + LENGTH_BYTES + batch.length + SEAL_BYTES);
  message.set(head, 0);
  // One entry more than the encoder knew of; a map of up to 23 has its count in the first byte.
  message[0] = (head[0] as number) + 1;
  message.set(BATCH_KEY, head.length);
  message.writeUInt32BE(batch.length, head.length + BATCH_KEY.length);
  message.set(batch, head.length + BATCH_KEY.length + LENGTH_BYTES);
  return message;
}

/**
 * One frame, or all of a pack where packs are spoken.
 *
 * @throws StreamError FRAME_CORRUPT, PROTOCOL_VIOLATION.
 */
export function decodeAgentFrames(message: Buffer, unpacker: FrameUnpacker | undefined): readonly AgentFrame[] {
  const body = open(message);
  if (body[0] !== PACK_MARK || unpacker === undefined) return [readAgentFrame(body)];
  return unpacker.unpack(body).map(readAgentFrame);
}

/** @throws StreamError FRAME_CORRUPT, PROTOCOL_VIOLATION. */
export function decodeAgentFrame(message: Buffer): AgentFrame {
  return readAgentFrame(open(message));
}

function readAgentFrame(frame: Buffer): AgentFrame {
  const map = decodeMap(frame);
  const t = map["t"];
  switch (t) {
    case "produce":
      return readProduce(map);
    case "hello":
      return readHello(map);
    case "announce":
      return { t, topics: readTopics(map) } satisfies Announce;
    case "gap":
      return readGap(map);
    case "status":
      if (frame.length > UPLINK_STATUS_BYTES_MAX) throw violation(`a status of ${frame.length} bytes`);
      return { t, status: asMap("status", map["status"]) };
    default:
      throw unknownFrame(t);
  }
}

/** @throws StreamError FRAME_CORRUPT, PROTOCOL_VIOLATION. */
export function decodeHubFrame(message: Buffer): HubFrame {
  const map = decodeMap(open(message));
  const t = map["t"];
  switch (t) {
    case "ack":
      return { t, id: integer(map, "id", 1), baseOffset: integer(map, "baseOffset", 0) };
    case "nack":
      return readNack(map);
    case "credit":
      return { t, bytes: integer(map, "bytes", 0) };
    case "welcome":
      return readWelcome(map);
    case "announced":
      return { t, positions: readPositions(map), topics: readTopics(map) } satisfies Announced;
    default:
      throw unknownFrame(t);
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** What is under the seal. */
function open(message: Buffer): Buffer {
  if (message.length > UPLINK_MESSAGE_BYTES_MAX) throw violation(`a message of ${message.length} bytes`);
  return unseal(message);
}

function decodeMap(frame: Buffer): Fields {
  checkPlainCbor(frame);
  let decoded: unknown;
  try {
    decoded = decoder.decode(frame);
  } catch (error) {
    throw new StreamError("PROTOCOL_VIOLATION", "a message that is no CBOR", { cause: error });
  }
  return asMap("the message", decoded);
}

function readHello(map: Fields): Hello {
  return {
    t: "hello",
    agent: text(map, "agent", AGENT_NAME_LENGTH_MAX),
    producer: readProducer(map["producer"]),
    ...readSideProducers(map),
    instance: text(map, "instance", INSTANCE_LENGTH_MAX),
    version: text(map, "version", VERSION_LENGTH_MAX),
    topics: readTopics(map),
  };
}

function readProduce(map: Fields): Produce {
  const batch = map["batch"];
  if (!(batch instanceof Uint8Array)) throw violation("batch is not bytes");
  if (batch.length > UPLINK_BATCH_BYTES_MAX) throw violation(`a batch of ${batch.length} bytes`);
  return {
    t: "produce",
    id: integer(map, "id", 1),
    topic: topicName(map["topic"]),
    partition: integer(map, "partition", 0, PARTITIONS_MAX),
    acks: oneOf(map, "acks", acksValues),
    batch,
  };
}

function readGap(map: Fields): Gap {
  const from = integer(map, "from", 0);
  return {
    t: "gap",
    id: integer(map, "id", 1),
    topic: topicName(map["topic"]),
    partition: integer(map, "partition", 0, PARTITIONS_MAX),
    epoch: integer(map, "epoch", 0, PRODUCER_EPOCH_MAX),
    from,
    to: integer(map, "to", from - 1),
    entry: integer(map, "entry", 0),
    records: integer(map, "records", 1),
    reason: oneOf(map, "reason", lossReasons),
    since: integer(map, "since", 0),
    until: integer(map, "until", 0),
  };
}

function readWelcome(map: Fields): Welcome {
  return {
    t: "welcome",
    positions: readPositions(map),
    topics: readTopics(map),
    credit: integer(map, "credit", 1),
    time: integer(map, "time", 0),
  };
}

function readNack(map: Fields): Nack {
  const retriable = map["retriable"];
  if (typeof retriable !== "boolean") throw violation("retriable is not true or false");
  return {
    t: "nack",
    id: integer(map, "id", 1),
    code: text(map, "code", CODE_LENGTH_MAX),
    message: text(map, "message", NACK_MESSAGE_LENGTH_MAX),
    retriable,
  };
}

function readTopics(map: Fields): HelloTopic[] {
  const seen = new Set<string>();
  return list(map, "topics", TOPICS_MAX).map((each) => {
    const fields = asMap("a topic", each);
    const name = topicName(fields["name"]);
    if (seen.has(name)) throw violation(`topic ${name} twice`);
    seen.add(name);
    return { name, partitions: integer(fields, "partitions", 1, PARTITIONS_MAX) };
  });
}

function readPositions(map: Fields): UplinkPosition[] {
  return list(map, "positions", POSITIONS_MAX).map((each) => {
    const fields = asMap("a position", each);
    return {
      topic: topicName(fields["topic"]),
      partition: integer(fields, "partition", 0, PARTITIONS_MAX),
      ...(fields["sideProducer"] === undefined ? {} : { sideProducer: readProducer(fields["sideProducer"]) }),
      epoch: integer(fields, "epoch", 0, PRODUCER_EPOCH_MAX),
      lastSequence: integer(fields, "lastSequence", 0, SEQUENCE_MAX),
      records: integer(fields, "records", 0),
      lost: integer(fields, "lost", 0),
    };
  });
}

function readSideProducers(map: Fields): { sideProducers?: readonly ProducerId[] } {
  if (map["sideProducers"] === undefined) return {};
  const sideProducers = list(map, "sideProducers", UPLINK_SIDE_PRODUCERS_MAX).map(readProducer);
  const all = new Set([readProducer(map["producer"]), ...sideProducers]);
  if (all.size !== sideProducers.length + 1) throw violation("a producer twice");
  return { sideProducers };
}

/** CBOR has one kind of whole number; the decoder gives small ones as numbers. */
function readProducer(value: unknown): ProducerId {
  const isWhole = typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
  if (!isWhole || value < 0 || value > PRODUCER_ID_MAX) throw violation("producer is not a 63-bit number");
  return BigInt(value);
}

function topicName(value: unknown): string {
  if (typeof value !== "string" || !TOPIC_NAME.test(value) || value === "." || value === "..") {
    throw violation("not a topic name");
  }
  return value;
}

/** `max` is inclusive. */
function integer(map: Fields, field: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = map[field];
  // A 64-bit CBOR integer may hold a small value.
  const number = typeof value === "bigint" && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < min || number > max) {
    throw violation(`${field} is not a whole number from ${min} to ${max}`);
  }
  return number;
}

function text(map: Fields, field: string, lengthMax: number): string {
  const value = map[field];
  if (typeof value !== "string" || value.length > lengthMax) {
    throw violation(`${field} is not a text of up to ${lengthMax} characters`);
  }
  return value;
}

function list(map: Fields, field: string, countMax: number): readonly unknown[] {
  const value = map[field];
  if (!Array.isArray(value) || value.length > countMax) throw violation(`${field} is not a list of up to ${countMax}`);
  return value;
}

function oneOf<Value extends string>(map: Fields, field: string, values: readonly Value[]): Value {
  const value = values.find((each) => each === map[field]);
  if (value === undefined) throw violation(`${field} is none of ${values.join(", ")}`);
  return value;
}

function asMap(what: string, value: unknown): Fields {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
  if (!isMap) throw violation(`${what} is not a map`);
  return value as Fields;
}

function unknownFrame(t: unknown): StreamError {
  return violation(typeof t === "string" ? `unknown frame ${JSON.stringify(t.slice(0, 32))}` : "a message without t");
}

function violation(reason: string): StreamError {
  return new StreamError("PROTOCOL_VIOLATION", reason);
}
