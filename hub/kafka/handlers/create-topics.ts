/** CreateTopics: each topic of the request by itself; one that fails does not keep the others from being made. */
import { StreamError } from "../../../shared/errors.ts";
import type { TopicConfig, TopicInfo } from "../../engine/engine.ts";
import { checkTopicName } from "../../engine/topic-name.ts";
import { mayCreateTopic, mayTopic, topicRefused } from "../../access/authorize.ts";
import { distinct, handler, inTurn, NO_ERROR, settle, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { KafkaOptions } from "../options.ts";
import { NODE_ID } from "../options.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { createTopicsApi } from "../schemas/topics.ts";
import { checkTopicConfig, effectiveConfigs } from "../../topics/topic-configs.ts";
import { zeroId } from "../topic-ids.ts";

type AskedTopic = RequestOf<typeof createTopicsApi>["topics"][number];
type TopicAnswer = ResponseOf<typeof createTopicsApi>["topics"][number];
type NewTopic = { readonly name: string; readonly partitionCount: number; readonly config: TopicConfig };

/** As a count or factor: "the broker's default". */
const BROKER_DEFAULT = -1;
const REPLICATION_FACTOR = 1;

export const createTopics = handler(createTopicsApi, async (request, context) => {
  const asked = distinct(request.topics, ({ name }) => name);
  const counts = new Map<string, number>();
  for (const { name } of request.topics) counts.set(name, (counts.get(name) ?? 0) + 1);
  return {
    topics: await inTurn(asked, async (topic) => {
      const count = counts.get(topic.name) ?? 1;
      const answer = await settle(() => create(topic, { count, validateOnly: request.validateOnly }, context));
      return answer instanceof StreamError ? failed(topic.name, answer) : answer;
    }),
  };
});

async function create(
  asked: AskedTopic,
  { count, validateOnly }: { readonly count: number; readonly validateOnly: boolean },
  context: RequestContext,
): Promise<TopicAnswer> {
  const { engine, options } = context;
  if (count > 1) throw new StreamError("INVALID_REQUEST", `${asked.name} is in the request ${count} times`);
  if (!mayCreateTopic(context, asked.name)) throw topicRefused(context, "create", asked.name);
  const topic = check(asked, options);
  if (engine.topics.has(topic.name)) throw new StreamError("TOPIC_ALREADY_EXISTS", `topic ${topic.name} exists`);
  const info = validateOnly ? { ...topic, id: zeroId } : await engine.createTopic(topic);
  return mayTopic(context, "describeConfigs", topic.name) ? created(info, options) : createdUnseen(info);
}

function check(asked: AskedTopic, options: KafkaOptions): NewTopic {
  const { name, configs } = asked;
  checkTopicName(name);
  const partitionCount = partitionCountOf(asked, options);
  if (partitionCount < 1 || partitionCount > options.partitionCountMax) {
    throw new StreamError("INVALID_PARTITIONS", `${partitionCount} is not between 1 and ${options.partitionCountMax}`);
  }
  const config: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const { name: key, value } of configs) {
    if (value === null) throw new StreamError("INVALID_CONFIG", `${key} has no value`);
    checkTopicConfig(key, value);
    config[key] = value;
  }
  return { name, partitionCount, config: { ...config } };
}

function partitionCountOf(asked: AskedTopic, options: KafkaOptions): number {
  const { numPartitions, replicationFactor, assignments } = asked;
  if (assignments.length > 0) {
    if (numPartitions !== BROKER_DEFAULT || replicationFactor !== BROKER_DEFAULT) {
      throw new StreamError("INVALID_REQUEST", "a replica assignment leaves no choice of counts");
    }
    checkAssignments(assignments);
    return assignments.length;
  }
  const isOne = replicationFactor === REPLICATION_FACTOR || replicationFactor === BROKER_DEFAULT;
  if (!isOne && !options.acceptAnyReplicationFactor) {
    throw new StreamError(
      "INVALID_REPLICATION_FACTOR",
      `a replication factor of ${replicationFactor}; there is one broker`,
    );
  }
  return numPartitions === BROKER_DEFAULT ? options.partitionCountDefault : numPartitions;
}

/** The partitions 0, 1, 2, … each on the one broker. */
function checkAssignments(assignments: AskedTopic["assignments"]): void {
  const partitions = new Set(assignments.map(({ partitionIndex }) => partitionIndex));
  const isDense = assignments.every((_, index) => partitions.has(index));
  const isHere = assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === NODE_ID);
  if (isDense && isHere) return;
  throw new StreamError("INVALID_REPLICA_ASSIGNMENT", `every partition must have the one replica ${NODE_ID}`);
}

function created({ name, id, partitionCount, config }: TopicInfo, options: KafkaOptions): TopicAnswer {
  return {
    name,
    topicId: id,
    errorCode: NO_ERROR,
    errorMessage: null,
    numPartitions: partitionCount,
    replicationFactor: REPLICATION_FACTOR,
    configs: effectiveConfigs(config, options.topicDefaults).map((entry) => ({
      name: entry.name,
      value: entry.value,
      readOnly: false,
      configSource: entry.source,
      isSensitive: false,
    })),
  };
}

/** Who made the topic may not see what it is like (KIP-525). */
function createdUnseen({ name, id }: TopicInfo): TopicAnswer {
  const topicConfigErrorCode = wireCode("TOPIC_AUTHORIZATION_FAILED");
  return { name, topicId: id, errorCode: NO_ERROR, errorMessage: null, configs: [], topicConfigErrorCode };
}

function failed(name: string, error: StreamError): TopicAnswer {
  return { name, topicId: zeroId, errorCode: error.wire, errorMessage: error.reason, configs: null };
}
