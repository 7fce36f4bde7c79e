/**
 * The HTTP API under /api/v1, and the OpenAPI document that describes it.
 *
 *   request ▶ who is it? (access/http-logins.ts) ▶ does it fit the schema? ▶ may they? ▶ route ▶ answer, or a problem (RFC 9457)
 */
import { isUtf8 } from "node:buffer";
import swagger from "@fastify/swagger";
import type { FastifyInstance, FastifySchema } from "fastify";
import { StreamError } from "../../../shared/errors.ts";
import type { HttpLogins } from "../../access/http-logins.ts";
import { Purgatory } from "../../engine/purgatory.ts";
import { LiveSocket } from "../live/live-socket.ts";
import { LiveStreams } from "../live/live-streams.ts";
import { sseRoutes } from "../live/sse-routes.ts";
import { agentRoutes } from "./agent-routes.ts";
import { parseExact } from "./exact-json.ts";
import { groupRoutes } from "./group-routes.ts";
import { produceRoutes } from "./produce-routes.ts";
import { recordRoutes } from "./record-routes.ts";
import { problem } from "./schemas.ts";
import type { ApiServices, TypeBoxTypeProvider } from "./services.ts";
import { topicRoutes } from "./topic-routes.ts";
import { schemaErrorFormatter, validatorCompiler } from "./validation.ts";

const API_PREFIX = "/api/v1";

export type HttpApiParts = ApiServices & { readonly logins: HttpLogins; readonly version: string };

/** To be called before the server starts. Returns what serves the live WebSocket. */
export function registerApi(app: FastifyInstance, { logins, version, ...services }: HttpApiParts): LiveSocket {
  const live = { purgatory: new Purgatory(services.engine), streams: new LiveStreams() };
  app.addHook("preClose", async () => {
    live.streams.close();
    live.purgatory.close();
  });
  app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Tributary hub",
        version,
        description: "Topics, records, consumer groups and agents of a Tributary hub.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      components: { securitySchemes: { basic: { type: "http", scheme: "basic" } } },
      // Without users nobody has to say who they are.
      security: [{ basic: [] }, {}],
    },
    hideUntagged: true,
    transform: ({ schema, url }) => ({ schema: withOptionalDefaults(schema), url }),
  });
  app.register(
    (scope, _options, done) => {
      const api = scope.withTypeProvider<TypeBoxTypeProvider>();
      api.setValidatorCompiler(validatorCompiler);
      api.setSchemaErrorFormatter(schemaErrorFormatter);
      // Fastify takes text too.
      api.removeAllContentTypeParsers();
      api.addContentTypeParser("application/json", { parseAs: "buffer" }, parseJson);
      api.decorateRequest("principal", null);
      api.addHook("onRequest", async (request, reply) => {
        try {
          request.principal = await logins.principalOf(request.headers.authorization, request.ip);
        } catch (error) {
          if (error instanceof StreamError && error.code === "UNAUTHORIZED") {
            reply.header("www-authenticate", 'Basic realm="tributary", charset="UTF-8"');
          }
          throw error;
        }
      });
      api.addHook("onRoute", (route) => {
        const { response, ...rest } = (route.schema ?? {}) as { readonly response?: object };
        const failed = { description: "What went wrong", content: { "application/problem+json": { schema: problem } } };
        route.schema = { ...rest, response: { ...response, default: failed } };
      });
      for (const routes of [topicRoutes, recordRoutes, produceRoutes, groupRoutes, agentRoutes]) routes(api, services);
      sseRoutes(api, services, live);
      done();
    },
    { prefix: API_PREFIX },
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
  return new LiveSocket(services, logins, live);
}

function parseJson(_request: unknown, body: Buffer, done: (error: Error | null, value?: unknown) => void): void {
  if (!isUtf8(body)) return done(new StreamError("INVALID_REQUEST", "the body is not UTF-8"));
  try {
    done(null, parseExact(body.toString("utf8")));
  } catch (error) {
    done(new StreamError("INVALID_REQUEST", `the body is not JSON: ${(error as Error).message}`, { cause: error }));
  }
}

/** What has a default is there when a route is called, and may be left out by who calls it. */
function withOptionalDefaults(schema: FastifySchema): FastifySchema {
  const { querystring } = schema as { readonly querystring?: QuerySchema };
  if (querystring?.required === undefined) return schema;
  const required = querystring.required.filter((name) => querystring.properties[name]?.default === undefined);
  return { ...schema, querystring: { ...querystring, required } };
}

type QuerySchema = {
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, { readonly default?: unknown }>>;
};
