/** What the routes of the HTTP API work with. */
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from "fastify";
import type { Static, TSchema } from "typebox";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../../shared/clock.ts";
import type { Asking } from "../../access/authorize.ts";
import type { Authorizer } from "../../access/authorizer.ts";
import { anonymous } from "../../access/principal.ts";
import type { Principal } from "../../access/principal.ts";
import type { Engine, TopicConfig } from "../../engine/engine.ts";
import type { Groups } from "../../group/groups.ts";
import type { StatusCollector } from "../status.ts";
import type { RateMeter } from "./rate-meter.ts";

/** What a route is given and may answer follows from its schema. */
export interface TypeBoxTypeProvider extends FastifyTypeProvider {
  readonly validator: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
  readonly serializer: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
}

export type ApiApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export type TopicRules = {
  /** Of a topic that is made without a count. */
  readonly partitionCountDefault: number;
  readonly partitionCountMax: number;
  /** The hub's own defaults for topic configuration. */
  readonly topicDefaults: TopicConfig;
};

export type ApiServices = {
  readonly engine: Engine;
  readonly groups: Groups;
  readonly clock: Clock;
  readonly authorizer: Authorizer;
  readonly status: StatusCollector;
  readonly rates: RateMeter;
  readonly rules: TopicRules;
  /** Of records that were taken with `acks=none` and could not be stored: nobody waits to hear it. */
  readonly onUnheard: (error: unknown, topic: string) => void;
};

declare module "fastify" {
  // oxlint-disable-next-line typescript/consistent-type-definitions -- only interfaces can be added to
  interface FastifyRequest {
    /** Whom the request speaks for. */
    principal: Principal | null;
  }
}

/** In the terms of `access/authorize.ts`. */
export function askingOf({ authorizer }: ApiServices, request: { readonly principal: Principal | null }): Asking {
  return { authorizer, peer: { principal: request.principal ?? anonymous } };
}
