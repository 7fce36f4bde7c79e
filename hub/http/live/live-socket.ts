/**
 * The live WebSocket, `/api/v1/live`: who is let in, and what the first message makes of the connection.
 *
 *   upgrade ▶ of our own pages or of no page? ▶ who is it? ▶ subscribe ▶ free reader, or member of a group
 */
import { STATUS_CODES } from "node:http";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { StreamError } from "../../../shared/errors.ts";
import { PROBLEM_CONTENT_TYPE, problemOf } from "../../../shared/http/problem.ts";
import { checkTopic, mayGroup } from "../../access/authorize.ts";
import type { Asking } from "../../access/authorize.ts";
import type { HttpLogins } from "../../access/http-logins.ts";
import { systemTimers } from "../../group/deadline-timers.ts";
import { recordFilter } from "../api/record-filter.ts";
import { writeCursor, writeRecord } from "../api/record-json.ts";
import type { ApiServices } from "../api/services.ts";
import { topicOf } from "../api/topic-routes.ts";
import { GroupSession } from "./group-session.ts";
import { LiveConnection } from "./live-connection.ts";
import { MESSAGE_BYTES_MAX, parseReaderMessage } from "./live-messages.ts";
import type { FreeSubscription, GroupSubscription, ReaderMessage } from "./live-messages.ts";
import { LiveReader } from "./live-reader.ts";
import type { LiveEvent } from "./live-reader.ts";
import { liveStarts } from "./live-starts.ts";
import type { LiveParts } from "./sse-routes.ts";

export const LIVE_PATH = "/api/v1/live";
/** Within this the first message has to come. */
const SUBSCRIBE_MS_MAX = 10_000;

type Visitor = { readonly asking: Asking; readonly address: string };

export class LiveSocket {
  readonly #services: ApiServices;
  readonly #logins: HttpLogins;
  readonly #parts: LiveParts;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false });

  constructor(services: ApiServices, logins: HttpLogins, parts: LiveParts) {
    this.#services = services;
    this.#logins = logins;
    this.#parts = parts;
  }

  /** For `HttpServer`. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#admit(request).then(
      (visitor) => {
        this.#server.handleUpgrade(request, socket, head, (webSocket) => void this.#serve(webSocket, visitor));
      },
      (error: unknown) => refuse(socket, error),
    );
  }

  /** @throws StreamError UNAUTHORIZED, CLUSTER_AUTHORIZATION_FAILED for pages of others, OVERLOADED. */
  async #admit({ headers, socket }: IncomingMessage): Promise<Visitor> {
    const { origin, host } = headers;
    // A browser sends names and passwords that it knows with requests of any page.
    if (origin !== undefined && URL.parse(origin)?.host !== host) {
      throw new StreamError("CLUSTER_AUTHORIZATION_FAILED", "the WebSocket is not for pages of other servers");
    }
    const address = socket.remoteAddress ?? "";
    const principal = await this.#logins.principalOf(headers.authorization, address);
    return { asking: { authorizer: this.#services.authorizer, peer: { principal } }, address };
  }

  async #serve(webSocket: WebSocket, visitor: Visitor): Promise<void> {
    const first = Promise.withResolvers<ReaderMessage>();
    let isSubscribed = false;
    let session: GroupSession | undefined;
    const connection = new LiveConnection(webSocket, (text) => {
      try {
        const message = parseReaderMessage(text);
        if (message.type === "subscribe") {
          if (isSubscribed) throw new StreamError("INVALID_REQUEST", "a connection is subscribed once");
          isSubscribed = true;
          return first.resolve(message);
        }
        if (session === undefined)
          throw new StreamError("INVALID_REQUEST", "only members of a group acknowledge records");
        session.ack(message);
      } catch (error) {
        connection.fail(error);
      }
    });
    const timer = setTimeout(() => {
      connection.fail(new StreamError("TIMEOUT", `nothing was subscribed within ${SUBSCRIBE_MS_MAX} ms`));
    }, SUBSCRIBE_MS_MAX);
    connection.closed.addEventListener("abort", () => first.reject(new StreamError("CLOSING", "the reader is gone")));
    try {
      const subscription = await first.promise;
      clearTimeout(timer);
      const stream = this.#parts.streams.begin();
      stream.closed.addEventListener("abort", () => connection.close(), { once: true });
      try {
        if ("group" in subscription) {
          session = this.#groupSession(connection, visitor, subscription);
          await session.run();
        } else await this.#follow(connection, visitor, subscription as FreeSubscription);
      } catch (error) {
        // Before the stream is over: that ends the connection without a word.
        connection.fail(error);
      } finally {
        stream.end();
      }
    } catch (error) {
      connection.fail(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #groupSession(
    connection: LiveConnection,
    { asking, address }: Visitor,
    subscription: GroupSubscription,
  ): GroupSession {
    const { group, topics } = subscription;
    if (!mayGroup(asking, "read", group)) {
      const user = asking.peer.principal.name;
      throw new StreamError("GROUP_AUTHORIZATION_FAILED", `User:${user} has no permission "read" for group ${group}`);
    }
    for (const topic of topics) {
      checkTopic(asking, "read", topic);
      topicOf(this.#services, topic);
    }
    const { closed } = connection;
    const reader = new LiveReader({ ...this.#parts, engine: this.#services.engine, filter: undefined, closed });
    const parts = { services: this.#services, asking, connection, reader, timers: systemTimers, address };
    return new GroupSession(parts, subscription);
  }

  async #follow(connection: LiveConnection, { asking }: Visitor, subscription: FreeSubscription): Promise<void> {
    const { topic: name, format = "auto", from = "latest" } = subscription;
    checkTopic(asking, "read", name);
    const topic = topicOf(this.#services, name);
    const starts = await liveStarts(this.#services, topic, { ...subscription, from });
    const { closed } = connection;
    const filter = recordFilter(subscription);
    const reader = new LiveReader({ ...this.#parts, engine: this.#services.engine, filter, closed });
    reader.add(starts.map((start) => ({ topic: name, ...start })));
    const places = new Map(starts.map(({ partition, offset }) => [partition, offset]));
    const cursor = (): string => writeCursor([...places].map(([partition, offset]) => ({ partition, offset })));
    await connection.send({ type: "subscribed", cursor: cursor() });
    for await (const event of reader.events()) {
      if (event.type === "records") places.set(event.at.partition, event.next);
      if (event.type === "gap") places.set(event.at.partition, event.to);
      if (event.type === "idle") for (const { partition, offset } of event.places) places.set(partition, offset);
      for (const message of messagesOf(event, cursor(), format)) await connection.send(message);
    }
  }
}

function messagesOf(
  event: LiveEvent,
  cursor: string,
  format: NonNullable<FreeSubscription["format"]>,
): (string | object)[] {
  if (event.type === "idle") return [{ type: "idle", cursor }];
  if (event.type === "gap") return [{ type: "gap", ...event.at, from: event.from, to: event.to, cursor }];
  const records = event.records.map((record) => writeRecord({ ...record, ...event.at }, format)).join(",");
  const unreadable = event.unreadable.map((range) => ({ type: "unreadable", ...range }));
  return [...unreadable, `{"type":"records","records":[${records}],"cursor":"${cursor}"}`];
}

function refuse(socket: Duplex, error: unknown): void {
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}`,
    `content-type: ${PROBLEM_CONTENT_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...(problem.status === 401 ? ['www-authenticate: Basic realm="tributary", charset="UTF-8"'] : []),
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
