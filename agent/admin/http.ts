/**
 * The agent's admin pages, on loopback unless configured otherwise: `/healthz` for supervisors, `/status` for people and
 * scripts, `/metrics` for Prometheus. They only read.
 */
import { HttpServer } from "../../shared/http/http-server.ts";
import type { Logger } from "../../shared/logger.ts";
import { renderMetrics } from "../../shared/metrics-text.ts";
import { agentMetrics } from "./metrics.ts";
import type { StatusCollector } from "./status.ts";

/** Nobody but a supervisor, a scraper and a few people asks here. */
const CONNECTIONS_MAX = 50;
const BODY_BYTES_MAX = 1024;

export type AdminHttpOptions = {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly logger: Logger;
  readonly status: StatusCollector;
};

export class AdminHttpServer {
  readonly #server: HttpServer;

  constructor({ host, port, logger, status }: AdminHttpOptions) {
    this.#server = new HttpServer({
      host,
      port,
      logger,
      name: "the admin listener",
      limits: { connectionsMax: CONNECTIONS_MAX, bodyBytesMax: BODY_BYTES_MAX },
    });
    const { app } = this.#server;
    app.get("/", () => ({ program: "agent", links: ["/healthz", "/status", "/metrics"] }));
    app.get("/healthz", (_request, reply) => {
      const failure = status.failure();
      if (failure === undefined) return reply.send({ status: "ok" });
      return reply.status(503).send({ status: "failed", ...failure });
    });
    app.get("/status", () => status.collect());
    app.get("/metrics", async (_request, reply) => {
      const { contentType, text } = await renderMetrics(agentMetrics, await status.collect());
      return reply.type(contentType).send(text);
    });
  }

  /**
   * Resolves with the address that is really bound.
   *
   * @throws StreamError PORT_IN_USE, CONFIG_INVALID.
   */
  start(): Promise<{ host: string; port: number }> {
    return this.#server.start();
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
