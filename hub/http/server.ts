/**
 * The hub's HTTP listener: pages for people, supervisors and Prometheus, and the way in for the agents' uplink, which is
 * a WebSocket on the same port.
 *
 *   /  /status  /losses  /metrics  /healthz        answered here
 *   /uplink  (upgrade: websocket)                  handed to the uplink, connection and all
 */
import { HttpServer } from "../../shared/http/http-server.ts";
import type { HttpLimits, UpgradeHandler } from "../../shared/http/http-server.ts";
import type { Logger } from "../../shared/logger.ts";
import { renderMetrics } from "../../shared/metrics-text.ts";
import { hubMetrics } from "./metrics.ts";
import { renderPage } from "./page.ts";
import { StatusCollector } from "./status.ts";
import type { StatusSources } from "./status.ts";

const UPLINK_PATH = "/uplink";
/** Entries of the loss ledger that one answer holds, the newest. */
const LOSSES_MAX = 1000;

export type HubHttpParts = StatusSources & {
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

  constructor({ logger, onUplink, options, ...sources }: HubHttpParts) {
    const status = new StatusCollector(sources);
    this.#server = new HttpServer({
      ...options,
      logger,
      name: "the HTTP listener",
      upgrades: new Map([[UPLINK_PATH, onUplink]]),
    });
    const { app } = this.#server;
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
    return this.#server.close();
  }
}
