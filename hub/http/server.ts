/**
 * The hub's HTTP listener: pages for people, supervisors and Prometheus, and the way in for the agents' uplink, which is
 * a WebSocket on the same port.
 *
 *   /  /status  /losses  /metrics  /healthz        answered here
 *   /api/v1/…  /openapi.json                       the HTTP API: api/api.ts
 *   /api/v1/live  (upgrade: websocket)             records as they come: live/live-socket.ts
 *   /uplink  (upgrade: websocket)                  handed to the uplink, connection and all
 */
import { HttpServer } from "../../shared/http/http-server.ts";
import type { HttpLimits, UpgradeHandler } from "../../shared/http/http-server.ts";
import type { Logger } from "../../shared/logger.ts";
import { renderMetrics } from "../../shared/metrics-text.ts";
import { registerApi } from "./api/api.ts";
import type { HttpApiParts } from "./api/api.ts";
import { RateMeter } from "./api/rate-meter.ts";
import { LIVE_PATH } from "./live/live-socket.ts";
import { hubMetrics } from "./metrics.ts";
import { renderPage } from "./page.ts";
import { StatusCollector } from "./status.ts";
import type { StatusSources } from "./status.ts";

const UPLINK_PATH = "/uplink";
/** Entries of the loss ledger that one answer holds, the newest. */
const LOSSES_MAX = 1000;

export type HubHttpParts = StatusSources & {
  /** Left out: pages only. */
  readonly api?: Pick<HttpApiParts, "engine" | "groups" | "authorizer" | "logins" | "rules">;
  readonly logger: Logger;
  readonly onUplink: UpgradeHandler;
  readonly options: {
    readonly host: string;
    /** 0 takes any free one. */
    readonly port: number;
    readonly limits?: Partial<HttpLimits>;
  };
};

export class HubHttpServer {
  readonly #server: HttpServer;
  readonly #rates: RateMeter | undefined;

  constructor({ logger, onUplink, options, api, ...sources }: HubHttpParts) {
    const status = new StatusCollector(sources);
    const upgrades = new Map<string, UpgradeHandler>([[UPLINK_PATH, onUplink]]);
    this.#server = new HttpServer({
      ...options,
      logger,
      name: "the HTTP listener",
      upgrades,
    });
    const { app } = this.#server;
    if (api !== undefined) {
      this.#rates = new RateMeter(api.engine, sources.clock);
      const onUnheard = (error: unknown, topic: string): void =>
        logger.warn({ err: error, topic }, "records that were produced with acks=none are not stored");
      const live = registerApi(app, {
        ...api,
        ...{ status, rates: this.#rates, clock: sources.clock, version: sources.version, onUnheard },
      });
      upgrades.set(LIVE_PATH, (request, socket, head) => live.handleUpgrade(request, socket, head));
    }
    app.get("/", async (_request, reply) =>
      reply.type("text/html; charset=utf-8").send(renderPage(await status.collect())),
    );
    app.get("/healthz", (_request, reply) => {
      const failure = status.failure();
      if (failure === undefined) return reply.send({ status: "ok" });
      return reply.status(503).send({ status: "failed", ...failure });
    });
    app.get("/status", () => status.collect());
    app.get("/losses", () => status.losses(LOSSES_MAX));
    app.get("/metrics", async (_request, reply) => {
      const { contentType, text } = await renderMetrics(hubMetrics, await status.collect());
      return reply.type(contentType).send(text);
    });
  }

  /** Connections at this moment, WebSockets among them. */
  get connectionCount(): number {
    return this.#server.connectionCount;
  }

  /**
   * Resolves with the address that is really bound.
   *
   * @throws StreamError PORT_IN_USE, CONFIG_INVALID.
   */
  start(): Promise<{ host: string; port: number }> {
    return this.#server.start();
  }

  /** Stops accepting and ends within `closeMsMax`, whatever the connections do. */
  close(): Promise<void> {
    this.#rates?.close();
    return this.#server.close();
  }
}
