/**
 * Routes: which Kafka topic an MQTT message goes to, under which key, with which headers and promises. The first route
 * whose filter matches takes the message; what no route takes goes to the topic `mqtt`, keyed by its MQTT topic, so
 * nothing is dropped for want of a route.
 *
 *   match sensors/{site}/{device}/temp  ▶  topic readings.{site}  key {site}/{device}  headers unit: celsius
 *
 * A topic template must give a name that Kafka allows: 1 to 249 of `A-Z a-z 0-9 . _ -`, not `.` or `..`. What devices
 * put into it is made to fit: every other character becomes `_`, what is too long is cut, and an empty name becomes `_`.
 * Two MQTT topics may so meet in one Kafka topic; the header `mqtt.topic` tells them apart.
 */
import type { Acks, Durability } from "../../shared/record.ts";
import type { CatchUp } from "../uplink/lane.ts";
import type { OverflowPolicy } from "./overflow.ts";
import type { Template } from "./template.ts";
import { canRender, hasPlaces, parseTemplate, renderTemplate } from "./template.ts";
import type { Captures, TopicFilter } from "../../shared/topic-filter.ts";
import { matchTopic, parseTopicFilter } from "../../shared/topic-filter.ts";

/** Where messages go that no route takes. */
export const UNROUTED_TOPIC = "mqtt";
export const DEFAULT_PARTITION_COUNT = 4;
export const PARTITION_COUNT_MAX = 256;
const TOPIC_NAME_LENGTH_MAX = 249;
/** Headers of every record, written by the agent. */
export const originHeaders = { topic: "mqtt.topic", qos: "mqtt.qos", retain: "mqtt.retain" } as const;
const ORIGIN_PREFIX = "mqtt.";

/** A route as the configuration gives it. */
export type RouteConfig = {
  /** Topic filter with captures. */
  readonly match: string;
  /** Template of the Kafka topic. */
  readonly topic: string;
  /** Template of the record's key; without one, records are spread over the partitions in turn. */
  readonly key?: string | undefined;
  /** Templates of header values. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly acks?: Acks | undefined;
  /** After an outage: in the order of the log, or what is new first. */
  readonly catchUp?: CatchUp | undefined;
  readonly durability?: Durability | undefined;
  readonly overflow?: OverflowPolicy | undefined;
  /** Larger is more important: topics of lower priority make room first. */
  readonly priority?: number | undefined;
  /** Of a topic that the route creates. */
  readonly partitions?: number | undefined;
};

/** What holds for a Kafka topic as a whole, whichever route led there. */
export type TopicPolicy = {
  readonly acks: Acks;
  readonly catchUp: CatchUp;
  readonly overflow: OverflowPolicy;
  readonly priority: number;
  readonly partitions: number;
};

export type Route = {
  /** Undefined for the one that takes what no other takes. */
  readonly filter: TopicFilter | undefined;
  readonly topic: Template;
  readonly key: Template | undefined;
  readonly headers: readonly { readonly name: string; readonly value: Template }[];
  readonly durability: Durability;
  readonly policy: TopicPolicy;
};

/** Where one MQTT topic goes. */
export type Destination = {
  readonly route: Route;
  readonly captures: Captures;
  readonly topic: string;
  /** Undefined: in turn. */
  readonly key: string | undefined;
  /** The route's own headers; the origin headers come on top. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
};

const defaultPolicy: TopicPolicy = {
  acks: "all",
  catchUp: "in-order",
  overflow: "drop-oldest",
  priority: 0,
  partitions: DEFAULT_PARTITION_COUNT,
};

export const unroutedRoute: Route = {
  filter: undefined,
  topic: { source: UNROUTED_TOPIC, parts: [{ type: "text", text: UNROUTED_TOPIC }] },
  key: { source: "{topic}", parts: [{ type: "place", name: "topic" }] },
  headers: [],
  durability: "fsync",
  policy: defaultPolicy,
};

/** The routes in their order, and everything that is wrong with them; use the routes only when nothing is. */
export function compileRoutes(configs: readonly RouteConfig[]): {
  readonly routes: readonly Route[];
  readonly problems: readonly string[];
} {
  const routes: Route[] = [];
  const problems: string[] = [];
  configs.forEach((config, index) => {
    const compiled = compileRoute(config);
    if ("problems" in compiled) problems.push(...compiled.problems.map((problem) => `routes[${index}]${problem}`));
    else routes.push(compiled);
  });
  if (problems.length === 0) problems.push(...policyConflicts(routes));
  return { routes, problems };
}

function compileRoute(config: RouteConfig): Route | { readonly problems: readonly string[] } {
  const problems: string[] = [];
  const checked = <Value extends object>(key: string, value: Value | { problems: readonly string[] }): Value => {
    if ("problems" in value) problems.push(...(value.problems as string[]).map((problem) => `.${key}: ${problem}`));
    return value as Value;
  };
  const filter = checked<TopicFilter>("match", parseTopicFilter(config.match));
  // Without a filter nothing can be said about the names in templates.
  if (problems.length > 0) return { problems };
  const template = (key: string, source: string): Template =>
    checked<Template>(key, parseTemplate(source, filter.captures));
  const topic = template("topic", config.topic);
  const key = config.key === undefined ? undefined : template("key", config.key);
  const headers = Object.entries(config.headers ?? {}).map(([name, source]) => {
    if (name.startsWith(ORIGIN_PREFIX))
      problems.push(`.headers.${name}: names that begin with ${ORIGIN_PREFIX} are taken`);
    return { name, value: template(`headers.${name}`, source) };
  });
  if (problems.length === 0) problems.push(...topicProblems(topic));
  const { partitions = defaultPolicy.partitions, priority = defaultPolicy.priority } = config;
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITION_COUNT_MAX) {
    problems.push(`.partitions: ${partitions} is not a whole number from 1 to ${PARTITION_COUNT_MAX}`);
  }
  if (!Number.isInteger(priority)) problems.push(`.priority: ${priority} is not a whole number`);
  if (problems.length > 0) return { problems };
  const { acks = defaultPolicy.acks, catchUp = defaultPolicy.catchUp } = config;
  const { overflow = defaultPolicy.overflow, durability = "fsync" } = config;
  return { filter, topic, key, headers, durability, policy: { acks, catchUp, overflow, priority, partitions } };
}

/** What the template itself says must be allowed; only what is filled in is made to fit. */
function topicProblems(topic: Template): string[] {
  if (topic.parts.length === 0) return [".topic: must not be empty"];
  const own = topic.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  const problems: string[] = [];
  const foreign = [...new Set(own.replace(/[A-Za-z0-9._-]/g, ""))];
  if (foreign.length > 0)
    problems.push(`.topic: "${topic.source}": ${foreign.join(" ")} is not allowed in a topic name`);
  if (own.length > TOPIC_NAME_LENGTH_MAX) problems.push(`.topic: is longer than ${TOPIC_NAME_LENGTH_MAX} characters`);
  if (!hasPlaces(topic) && (own === "." || own === "..")) problems.push(`.topic: must not be "${own}"`);
  return problems;
}

/** A topic has one policy: two routes to the same one must agree on it. */
function policyConflicts(routes: readonly Route[]): string[] {
  const problems: string[] = [];
  routes.forEach((route, index) => {
    const first = routes.findIndex((other) => other.topic.source === route.topic.source);
    const other = routes[first];
    if (other === undefined || first === index) return;
    const keys = ["acks", "catchUp", "overflow", "priority", "partitions"] as const;
    const different = keys.filter((key) => route.policy[key] !== other.policy[key]);
    if (different.length === 0) return;
    problems.push(
      `routes[${index}] and routes[${first}] both go to "${route.topic.source}" but differ in ${different.join(", ")}`,
    );
  });
  return problems;
}

/** Where messages of an MQTT topic go. */
export function resolveRoute(routes: readonly Route[], mqttTopic: string): Destination {
  for (const route of routes) {
    const captures = route.filter === undefined ? undefined : matchTopic(route.filter, mqttTopic);
    if (captures !== undefined) return destination(route, mqttTopic, captures);
  }
  return destination(unroutedRoute, mqttTopic, new Map());
}

function destination(route: Route, mqttTopic: string, captures: Captures): Destination {
  return {
    route,
    captures,
    topic: topicName(renderTemplate(route.topic, mqttTopic, captures, replaceForeign)),
    key: route.key === undefined ? undefined : renderTemplate(route.key, mqttTopic, captures),
    headers: route.headers.map(({ name, value }) => ({ name, value: renderTemplate(value, mqttTopic, captures) })),
  };
}

/** Counted in code points, so that a character outside the basic plane becomes one `_`. */
function replaceForeign(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]/gu, "_");
}

function topicName(rendered: string): string {
  if (rendered === "" || rendered === "." || rendered === "..") return rendered.replaceAll(".", "_") || "_";
  return rendered.slice(0, TOPIC_NAME_LENGTH_MAX);
}

/**
 * The policy of a Kafka topic, also of one that an earlier configuration made: that of the route that names it, else of
 * the first route whose template could have given the name, else the default.
 */
export function policyOf(routes: readonly Route[], topic: string): TopicPolicy {
  const named = routes.find((route) => !hasPlaces(route.topic) && canRender(route.topic, topic));
  const route = named ?? routes.find((each) => canRender(each.topic, topic));
  return (route ?? unroutedRoute).policy;
}
