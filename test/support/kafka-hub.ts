/** A Kafka listener on the memory engine, and the way to ask its handlers without a socket. */
import type { Clock } from "../../shared/clock.ts";
import { systemClock } from "../../shared/clock.ts";
import { invariant } from "../../shared/invariant.ts";
import { silentLogger } from "../../shared/logger.ts";
import type { Logger } from "../../shared/logger.ts";
import { allowAll } from "../../hub/access/authorizer.ts";
import { anonymous } from "../../hub/access/principal.ts";
import type { Groups } from "../../hub/group/groups.ts";
import { decodeResponse, encodeRequest, isFlexible } from "../../hub/kafka/compile.ts";
import { dispatch } from "../../hub/kafka/dispatch.ts";
import { FetchSessions } from "../../hub/kafka/fetch-sessions.ts";
import type { Peer, Services } from "../../hub/kafka/handler.ts";
import { KafkaListener } from "../../hub/kafka/listener.ts";
import type { KafkaListenerParts } from "../../hub/kafka/listener.ts";
import { kafkaDefaults } from "../../hub/kafka/options.ts";
import type { KafkaOptions } from "../../hub/kafka/options.ts";
import { Purgatory } from "../../hub/engine/purgatory.ts";
import type { Api, Decoded, Encodable, Shape } from "../../hub/kafka/schema.ts";
import { TopicIds } from "../../hub/kafka/topic-ids.ts";
import { WireReader } from "../../hub/kafka/wire-reader.ts";
import { WireWriter } from "../../hub/kafka/wire-writer.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { MemoryEngine } from "./memory-engine.ts";
import { noGroups } from "./no-groups.ts";

export type TestHubOptions = {
  readonly options?: Partial<KafkaOptions>;
  readonly groups?: Partial<Groups>;
  readonly clock?: Clock;
  readonly purgatory?: (engine: MemoryEngine) => Purgatory;
  /** Of the listener: who has to log in, and whether it speaks TLS. */
  readonly access?: Pick<KafkaListenerParts, "users" | "authorizer" | "certificate">;
  readonly logger?: Logger;
};

/** Everything behind the sockets. */
export function kafkaServices(hub: TestHubOptions = {}): Omit<Services, "engine"> & { readonly engine: MemoryEngine } {
  const engine = new MemoryEngine();
  const clock = hub.clock ?? systemClock;
  const options = { ...kafkaDefaults, ...hub.options };
  return {
    engine,
    groups: noGroups(hub.groups),
    clock,
    logger: silentLogger(),
    options,
    fetchSessions: new FetchSessions(clock, options),
    purgatory: hub.purgatory?.(engine) ?? new Purgatory(engine),
    topicIds: new TopicIds(engine),
    authorizer: allowAll,
  };
}

export function testPeer(closed: AbortSignal = new AbortController().signal): Peer {
  return {
    clientHost: "/127.0.0.1",
    isIdentified: false,
    principal: anonymous,
    sasl: undefined,
    advertised: { host: "hub.example", port: 9092 },
    closed,
  };
}

const CORRELATION_ID = 7;

export function requestFrame<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  version: number,
  request: Encodable<Q>,
): Buffer {
  const writer = new WireWriter();
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(CORRELATION_ID);
  writer.string("test", false);
  if (isFlexible(api, version)) writer.uvarint(0);
  encodeRequest(api, version, writer, request);
  return writer.takeBody();
}

/** Reads a response frame without its length. */
export function readResponse<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  version: number,
  frame: Buffer,
): Decoded<S> {
  const reader = new WireReader(frame);
  invariant(reader.int32() === CORRELATION_ID, "the response belongs to the request");
  if (api.key !== 18 && isFlexible(api, version)) reader.tags();
  return decodeResponse(api, version, reader);
}

type Question<Q extends Shape, S extends Shape> = {
  readonly api: Api<Q, S>;
  readonly version: number;
  readonly request: Encodable<Q>;
};

/** Asks a handler through both codecs; undefined when it does not answer. */
export async function ask<Q extends Shape, S extends Shape>(
  services: Services,
  { api, version, request }: Question<Q, S>,
  peer: Peer = testPeer(),
): Promise<Decoded<S> | undefined> {
  const response = await dispatch(requestFrame(api, version, request), services, peer).response;
  if (response === undefined) return undefined;
  return readResponse(api, version, Buffer.concat(response.chunks).subarray(4));
}

/** As `ask`, for requests that must be answered. */
export async function answer<Q extends Shape, S extends Shape>(
  services: Services,
  question: Question<Q, S>,
): Promise<Decoded<S>> {
  const response = await ask(services, question);
  invariant(response !== undefined, `${question.api.name} is answered`);
  return response;
}

export async function startKafka(t: After, hub: TestHubOptions = {}) {
  const engine = new MemoryEngine();
  const listener = new KafkaListener({
    engine,
    groups: noGroups(hub.groups),
    clock: hub.clock ?? systemClock,
    logger: hub.logger ?? silentLogger(),
    options: { port: 0, ...hub.options },
    ...hub.access,
  });
  onCleanUp(t, () => listener.close());
  const { host, port } = await listener.start();
  return { engine, listener, host, port, address: `${host}:${port}` };
}
