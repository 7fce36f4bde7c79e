/** DescribeConfigs: of topics, and what can be said of the hub as a broker. */
import path from "node:path";
import { StreamError } from "../../../shared/errors.ts";
import { checkCluster, checkTopic } from "../../access/authorize.ts";
import { distinct, handler, NO_ERROR, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { KafkaOptions } from "../options.ts";
import { NODE_ID } from "../options.ts";
import { resourceTypes } from "../resource-types.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { describeConfigsApi } from "../schemas/topics.ts";
import { configSources, configTypes, effectiveConfigs } from "../../topics/topic-configs.ts";
import type { ConfigEntry, ConfigType } from "../../topics/topic-configs.ts";

type DescribeRequest = RequestOf<typeof describeConfigsApi>;
type AskedResource = DescribeRequest["resources"][number];
type ResourceAnswer = ResponseOf<typeof describeConfigsApi>["results"][number];

export const describeConfigs = handler(describeConfigsApi, async (request, context) => {
  const asked = distinct(request.resources, ({ resourceType, resourceName }) => `${resourceType}/${resourceName}`);
  return { results: await Promise.all(asked.map((resource) => describe(resource, request, context))) };
});

async function describe(
  { resourceType, resourceName, configurationKeys }: AskedResource,
  { includeSynonyms, includeDocumentation }: DescribeRequest,
  context: RequestContext,
): Promise<ResourceAnswer> {
  const resource = { resourceType, resourceName };
  const entries = await settle(() => entriesOf(resourceType, resourceName, context));
  if (entries instanceof StreamError) {
    return { ...resource, errorCode: entries.wire, errorMessage: entries.reason, configs: [] };
  }
  const keys = configurationKeys === null ? undefined : new Set(configurationKeys);
  return {
    ...resource,
    errorCode: NO_ERROR,
    errorMessage: null,
    configs: entries
      .filter(({ name }) => keys?.has(name) ?? true)
      .map((entry) => ({
        name: entry.name,
        value: entry.value,
        readOnly: resourceType !== resourceTypes.topic,
        configSource: entry.source,
        isSensitive: false,
        synonyms: includeSynonyms ? entry.synonyms : [],
        configType: entry.type,
        documentation: includeDocumentation ? entry.documentation : null,
      })),
  };
}

function entriesOf(type: number, name: string, context: RequestContext): readonly ConfigEntry[] {
  const { engine, options } = context;
  if (type === resourceTypes.topic) {
    checkTopic(context, "describeConfigs", name);
    const topic = engine.topics.get(name);
    if (topic === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
    return effectiveConfigs(topic.config, options.topicDefaults);
  }
  if (type !== resourceTypes.broker) throw new StreamError("INVALID_REQUEST", `resource type ${type} is not served`);
  checkCluster(context, "describeConfigs");
  // "" asks for the dynamic defaults of all brokers, of which there are none.
  if (name === "") return [];
  if (name !== String(NODE_ID)) throw new StreamError("INVALID_REQUEST", `the only broker is ${NODE_ID}`);
  return brokerConfigs(options);
}

function brokerConfigs(options: KafkaOptions): readonly ConfigEntry[] {
  const entry = (name: string, type: ConfigType, value: string): ConfigEntry => ({
    name,
    value,
    source: configSources.broker,
    type: configTypes[type],
    documentation: "Set in the hub's configuration.",
    synonyms: [{ name, value, source: configSources.broker }],
  });
  return [
    entry("auto.create.topics.enable", "boolean", String(options.autoCreateTopics)),
    entry("broker.id", "int", String(NODE_ID)),
    entry("connections.max.idle.ms", "long", String(options.connectionIdleMs)),
    entry("default.replication.factor", "int", "1"),
    entry("delete.topic.enable", "boolean", "true"),
    entry("fetch.max.bytes", "int", String(options.fetchBytesMax)),
    // There are no other brokers; tools judge by it which APIs they may use.
    entry("log.dirs", "string", path.resolve(options.dataDirectory)),
    entry("max.connections", "int", String(options.connectionsMax)),
    entry("max.connections.per.ip", "int", String(options.connectionsPerAddressMax)),
    entry("max.incremental.fetch.session.cache.slots", "int", String(options.fetchSessionsMax)),
    entry("min.insync.replicas", "int", "1"),
    entry("num.partitions", "int", String(options.partitionCountDefault)),
    entry("socket.request.max.bytes", "int", String(options.requestBytesMax)),
  ];
}
