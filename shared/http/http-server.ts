/**
 * The HTTP server under the agent's admin pages and the hub's: Fastify with limits on everything a peer can make it wait
 * for or keep, errors as problem details, security headers on every answer, and a close that ends.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { StreamError } from "../errors.ts";
import { invariant } from "../invariant.ts";
import type { Logger } from "../logger.ts";
import { PROBLEM_CONTENT_TYPE, problemOf, toProblem } from "./problem.ts";

/** Defaults; what they guard against is in the words of their names. */
export const httpLimits = {
  connectionsMax: 1000,
  /** A request's headers must be there by then (slow-loris). */
  headersTimeoutMs: 10_000,
  /** A whole request must be there by then. */
  requestTimeoutMs: 30_000,
  /** How often Node looks for requests over these times; its default would be longer than the first of them. */
  timeoutCheckMs: 2_000,
  headerBytesMax: 8 * 1024,
  bodyBytesMax: 1024 * 1024,
  keepAliveMs: 5_000,
  requestsPerConnectionMax: 1000,
  /** What still runs then is cut off when the server closes. */
  closeMsMax: 3_000,
} as const;

export type HttpLimits = { readonly [Key in keyof typeof httpLimits]: number };

/** Takes over the connection of a WebSocket handshake. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export type HttpServerOptions = {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** In error messages: "the hub's HTTP listener". */
  readonly name: string;
  readonly logger: Logger;
  readonly limits?: Partial<HttpLimits>;
  /** By path; every other upgrade is refused. */
  readonly upgrades?: ReadonlyMap<string, UpgradeHandler>;
};

/** Pages of ours load nothing from elsewhere, run no inline script and appear in no frame. */
const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
} as const;

export class HttpServer {
  /** For routes, before `start`. */
  readonly app: FastifyInstance;
  readonly #options: HttpServerOptions;
  readonly #limits: HttpLimits;
  /** All connections, also those that became WebSockets, which Node's own server forgets. */
  readonly #sockets = new Set<Socket>();

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const limits = { ...httpLimits, ...options.limits };
    this.#limits = limits;
    this.app = fastify({
      http: {
        headersTimeout: limits.headersTimeoutMs,
        connectionsCheckingInterval: limits.timeoutCheckMs,
        maxHeaderSize: limits.headerBytesMax,
        // Other upgrades, such as the h2c that Java's client offers with every request, are ordinary requests.
        shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket",
      },
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      maxRequestsPerSocket: limits.requestsPerConnectionMax,
      bodyLimit: limits.bodyBytesMax,
      forceCloseConnections: "idle",
      clientErrorHandler: answerUnreadable,
      frameworkErrors: (error, request, reply) => this.#answer(error, request, reply),
    });
    this.app.server.maxConnections = limits.connectionsMax;
    this.app.server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
    this.app.addHook("onRequest", (_request, reply, done) => {
      reply.headers(securityHeaders);
      done();
    });
    this.app.setErrorHandler((error, request, reply) => this.#answer(error, request, reply));
    this.app.setNotFoundHandler((request, reply) =>
      this.#answer(
        new StreamError("NOT_FOUND", `there is no ${request.method} ${pathOf(request.url)}`),
        request,
        reply,
      ),
    );
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /**
   * Resolves with the address that is really bound.
   *
   * @throws StreamError PORT_IN_USE; CONFIG_INVALID when the address cannot be bound for another reason.
   */
  async start(): Promise<{ host: string; port: number }> {
    const { host, port, name, logger } = this.#options;
    try {
      await this.app.listen({ host, port });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "EADDRINUSE") {
        throw new StreamError("PORT_IN_USE", `${name} cannot have ${host}:${port}`, { cause: error });
      }
      throw new StreamError("CONFIG_INVALID", `${name} cannot bind ${host}:${port}: ${message}`, { cause: error });
    }
    // Such as running out of file descriptors: the connection is lost, the server goes on.
    this.app.server.on("error", (error) => logger.error({ err: error }, "http listener failed"));
    const bound = this.app.server.address();
    invariant(bound !== null && typeof bound === "object", "a TCP server has an address");
    return { host: bound.address, port: bound.port };
  }

  /** Stops accepting, lets running requests end, and cuts off what is left after `closeMsMax`. */
  async close(): Promise<void> {
    const deadline = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, this.#limits.closeMsMax);
    await this.app.close();
    clearTimeout(deadline);
  }

  #answer(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const problem = problemOf(error);
    if (problem.status >= 500) {
      this.#options.logger.error({ err: error, method: request.method, path: pathOf(request.url) }, "request failed");
    }
    void reply.headers(securityHeaders).status(problem.status).type(PROBLEM_CONTENT_TYPE).send(problem);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until the handler has its own: a peer that resets the connection must not end the program.
    socket.on("error", () => socket.destroy());
    const handler = this.#options.upgrades?.get(pathOf(request.url ?? ""));
    if (handler !== undefined) return handler(request, socket, head);
    const problem = toProblem(new StreamError("NOT_FOUND", "no WebSocket is served at this address"));
    socket.end(rawAnswer("404 Not Found", JSON.stringify(problem)));
  }
}

/** Bytes that are no HTTP request, headers that are too long or too late: answered without the framework. */
function answerUnreadable(error: { code?: string; message: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, reason] = unreadableStatus(error.code);
  const problem = toProblem(new StreamError("INVALID_REQUEST", reason), status);
  socket.end(rawAnswer(`${status} ${reason}`, JSON.stringify(problem)));
}

function unreadableStatus(code: string | undefined): readonly [number, string] {
  if (code === "HPE_HEADER_OVERFLOW") return [431, "Request Header Fields Too Large"];
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return [408, "Request Timeout"];
  return [400, "Bad Request"];
}

function rawAnswer(status: string, body: string): string {
  const headers = [
    `content-type: ${PROBLEM_CONTENT_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  return `HTTP/1.1 ${status}\r\n${headers.join("\r\n")}\r\n\r\n${body}`;
}

/** Without the query, which may hold what nobody should log. */
function pathOf(url: string): string {
  return url.split("?", 1)[0] ?? "";
}
