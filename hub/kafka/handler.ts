/** What an API handler is given and what it returns. */
import type { Clock } from "../../shared/clock.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { errorTable, StreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Authorizer } from "../access/authorizer.ts";
import type { Principal } from "../access/principal.ts";
import type { Engine } from "../engine/engine.ts";
import type { Groups } from "../group/groups.ts";
import { decodeRequest, encodeResponse } from "./compile.ts";
import type { FetchSessions } from "./fetch-sessions.ts";
import type { KafkaOptions } from "./options.ts";
import type { Purgatory } from "../engine/purgatory.ts";
import type { SaslSession } from "./sasl/sasl-session.ts";
import type { Api, ApiDescription, Decoded, Encodable, Shape } from "./schema.ts";
import type { TopicIds } from "./topic-ids.ts";
import type { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

/** What all handlers work with: one for the listener. */
export type Services = {
  readonly engine: Engine;
  readonly groups: Groups;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: KafkaOptions;
  readonly purgatory: Purgatory;
  readonly fetchSessions: FetchSessions;
  readonly topicIds: TopicIds;
  readonly authorizer: Authorizer;
};

/** The connection that a request came by. */
export type Peer = {
  /** As Kafka shows it: "/127.0.0.1". */
  readonly clientHost: string;
  /** Where this client reaches the hub. */
  readonly advertised: { readonly host: string; readonly port: number };
  /** The client has said what it is, with ApiVersions 3 or later; see plain-batches.ts. */
  isIdentified: boolean;
  /** Whom SASL has shown this connection to speak for. */
  principal: Principal;
  /** Undefined where nobody has to authenticate. */
  readonly sasl: SaslSession | undefined;
  /** Aborts when the connection is closed: nobody waits for the answer any more. */
  readonly closed: AbortSignal;
};

export type RequestContext = Services & {
  readonly version: number;
  readonly clientId: string;
  readonly peer: Peer;
};

/** Returned by a handler whose request must not be answered (Produce with acks=0). */
export const NO_RESPONSE = Symbol("no response");

type Result<T> = T | typeof NO_RESPONSE;
/** Writes the response's body; undefined when there is none to send. */
export type Reply = ((writer: WireWriter) => void) | undefined;

export type Handler = {
  readonly api: ApiDescription;
  /**
   * Decodes, handles, and returns what writes the answer. Work that must keep the order of the requests is done before
   * it returns, not only before it resolves.
   *
   * @throws StreamError INVALID_REQUEST when the request is malformed: the connection is closed.
   */
  readonly serve: (reader: WireReader, context: RequestContext) => Reply | Promise<Reply>;
};

export function handler<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  handle: (request: Decoded<Q>, context: RequestContext) => Result<Encodable<S>> | Promise<Result<Encodable<S>>>,
): Handler {
  const replyWith = (result: Result<Encodable<S>>, version: number): Reply =>
    result === NO_RESPONSE ? undefined : (writer) => encodeResponse(api, version, writer, result);
  return {
    api,
    serve: (reader, context) => {
      const result = handle(decodeRequest(api, context.version, reader), context);
      if (result instanceof Promise) return result.then((settled) => replyWith(settled, context.version));
      return replyWith(result, context.version);
    },
  };
}

export const NO_ERROR = 0;

/** Kafka's code for an error of the table; null is success. */
export const wireCode = (error: ErrorCode | null): number => (error === null ? NO_ERROR : errorTable[error].wire);

/** Runs `work`; an operating error becomes a value, because Kafka answers errors per topic, partition or resource. */
export async function settle<T>(work: () => T | Promise<T>): Promise<T | StreamError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StreamError) return error;
    throw error;
  }
}

/**
 * Does `work` for one item after another: a request that names very many must not start as many creations, or searches
 * of the disk, at once.
 */
export async function inTurn<T, R>(items: readonly T[], work: (item: T) => R | Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) {
    const result = work(item);
    results.push(result instanceof Promise ? await result : result);
  }
  return results;
}

/** Only the first of each key: a repetition would multiply the answer. */
export function distinct<T>(items: readonly T[], keyOf: (item: T) => string): readonly T[] {
  const seen = new Set<string>();
  return items.filter((item) => {
    const key = keyOf(item);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
