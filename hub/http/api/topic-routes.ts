/** Topics: which there are, what is in them; making and deleting them. */
import { StreamError } from "../../../shared/errors.ts";
import { checkTopic, mayCreateTopic, mayTopic, topicRefused } from "../../access/authorize.ts";
import type { TopicInfo } from "../../engine/engine.ts";
import { checkTopicName } from "../../engine/topic-name.ts";
import { checkTopicConfig } from "../../topics/topic-configs.ts";
import { sumOf } from "./rate-meter.ts";
import { answer, listQuery, newTopic, topicDetail, topicList, topicParams } from "./schemas.ts";
import { askingOf } from "./services.ts";
import type { ApiApp, ApiServices, TopicRules } from "./services.ts";

const tags = ["topics"];

export function topicRoutes(app: ApiApp, services: ApiServices): void {
  const { engine, groups, rules } = services;
  const list = { tags, operationId: "listTopics", summary: "Which topics there are", querystring: listQuery };
  app.get("/topics", { schema: { ...list, response: { 200: answer("By name", topicList) } } }, (request) => {
    const asking = askingOf(services, request);
    const names = [...engine.topics.keys()].filter((name) => mayTopic(asking, "describe", name));
    const page = pageOf(names, request.query);
    return { topics: page.names.map((name) => summary(services, topicOf(services, name))), next: page.next };
  });

  const make = { tags, operationId: "createTopic", summary: "Make a topic", body: newTopic };
  app.post(
    "/topics",
    { schema: { ...make, response: { 201: answer("It is on the disk", topicDetail) } } },
    async (request, reply) => {
      const { topic: name, partitionCount = rules.partitionCountDefault, config = {} } = request.body;
      const asking = askingOf(services, request);
      if (!mayCreateTopic(asking, name)) throw topicRefused(asking, "create", name);
      checkNewTopic({ name, partitionCount, config }, rules);
      const made = await engine.createTopic({ name, partitionCount, config });
      return reply.status(201).send(detail(services, made));
    },
  );

  const show = { tags, operationId: "describeTopic", summary: "One topic and its partitions", params: topicParams };
  app.get(
    "/topics/:topic",
    { schema: { ...show, response: { 200: answer("As it is now", topicDetail) } } },
    (request) => {
      checkTopic(askingOf(services, request), "describe", request.params.topic);
      return detail(services, topicOf(services, request.params.topic));
    },
  );

  const remove = {
    tags,
    operationId: "deleteTopic",
    summary: "Delete a topic, its records, and what groups have committed of it",
    params: topicParams,
  };
  app.delete(
    "/topics/:topic",
    { schema: { ...remove, response: { 204: { type: "null", description: "It is gone" } } } },
    async (request, reply) => {
      const { topic } = request.params;
      checkTopic(askingOf(services, request), "delete", topic);
      await engine.deleteTopic(topic);
      await groups.forgetTopic(topic);
      return reply.status(204).send(null);
    },
  );
}

/** @throws StreamError UNKNOWN_TOPIC_OR_PARTITION. */
export function topicOf({ engine }: Pick<ApiServices, "engine">, name: string): TopicInfo {
  const topic = engine.topics.get(name);
  if (topic !== undefined) return topic;
  throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `there is no topic ${name}`);
}

/** In the order of their code units, which the `after` of a page goes by. */
export function pageOf(
  names: readonly string[],
  { prefix = "", after = "", limit }: { readonly prefix?: string; readonly after?: string; readonly limit: number },
): { readonly names: readonly string[]; readonly next: string | null } {
  const sorted = names.filter((name) => name.startsWith(prefix) && name > after).toSorted((a, b) => (a < b ? -1 : 1));
  const page = sorted.slice(0, limit);
  return { names: page, next: sorted.length > limit ? (page.at(-1) ?? null) : null };
}

function checkNewTopic(
  { name, partitionCount, config }: Pick<TopicInfo, "name" | "partitionCount" | "config">,
  { partitionCountMax }: TopicRules,
): void {
  checkTopicName(name);
  if (partitionCount > partitionCountMax) {
    throw new StreamError("INVALID_PARTITIONS", `${partitionCount} is not between 1 and ${partitionCountMax}`);
  }
  for (const [key, value] of Object.entries(config)) checkTopicConfig(key, value);
}

function summary(services: ApiServices, { name, partitionCount, config }: TopicInfo) {
  let [records, bytes] = [0, 0];
  for (let partition = 0; partition < partitionCount; partition++) {
    const offsets = services.engine.offsets({ topic: name, partition });
    records += offsets.highWatermark - offsets.logStartOffset;
    bytes += offsets.bytes;
  }
  const rates = sumOf(services.rates.ofPartitions(name));
  return { topic: name, partitionCount, records, bytes, rates, config: { ...config } };
}

function detail(services: ApiServices, topic: TopicInfo) {
  const partitions = services.rates.ofPartitions(topic.name).map((rates, partition) => ({
    partition,
    ...services.engine.offsets({ topic: topic.name, partition }),
    rates,
  }));
  return { ...summary(services, topic), partitions };
}
