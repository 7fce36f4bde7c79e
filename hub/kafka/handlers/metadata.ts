/** Metadata: topics, their partitions and where they are; creates topics that a producer is about to write to. */
import type { ErrorCode } from "../../../shared/errors.ts";
import { StreamError } from "../../../shared/errors.ts";
import type { TopicInfo } from "../../engine/engine.ts";
import { mayCreateTopic, mayTopic, topicRefused } from "../../access/authorize.ts";
import { distinct, handler, inTurn, NO_ERROR, settle, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { authorizedClusterOperations, authorizedOperations } from "../operations.ts";
import { LEADER_EPOCH, NODE_ID } from "../options.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { OPERATIONS_NOT_REQUESTED } from "../schemas/cluster.ts";
import { metadataApi } from "../schemas/topics.ts";
import { isZeroId, zeroId } from "../topic-ids.ts";

type MetadataRequest = RequestOf<typeof metadataApi>;
type AskedTopic = NonNullable<MetadataRequest["topics"]>[number];
type TopicAnswer = ResponseOf<typeof metadataApi>["topics"][number];
type OperationsFor = (topic: TopicInfo) => number;

/** An empty list means "none" from version 1 on, where null means "all". */
const NULL_FROM_VERSION = 1;
const REPLICAS = [NODE_ID];

export const metadata = handler(metadataApi, async (request, context) => {
  const { engine, peer } = context;
  const operationsFor: OperationsFor = (topic) =>
    request.includeTopicAuthorizedOperations
      ? authorizedOperations(context, { kind: "topic", name: topic.name })
      : OPERATIONS_NOT_REQUESTED;
  const topics = asksForAll(request, context.version)
    ? describeAll(context, operationsFor)
    : await describeAsked(request, context, operationsFor);
  return {
    brokers: [{ nodeId: NODE_ID, ...peer.advertised }],
    clusterId: engine.clusterId,
    controllerId: NODE_ID,
    topics,
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? authorizedClusterOperations(context)
      : OPERATIONS_NOT_REQUESTED,
  };
});

function asksForAll({ topics }: MetadataRequest, version: number): boolean {
  return topics === null || (topics.length === 0 && version < NULL_FROM_VERSION);
}

/** Topics that the client may not describe do not exist for it. */
function describeAll(context: RequestContext, operationsFor: OperationsFor): readonly TopicAnswer[] {
  const all = Array.from(context.engine.topics.values());
  const shown = context.authorizer.isEnabled ? all.filter(({ name }) => mayTopic(context, "describe", name)) : all;
  return shown.map((topic) => describe(topic, operationsFor));
}

async function describeAsked(
  request: MetadataRequest,
  context: RequestContext,
  operationsFor: OperationsFor,
): Promise<readonly TopicAnswer[]> {
  const topicById = context.topicIds.forRequest();
  const asked = distinct(request.topics ?? [], ({ name, topicId }) => name ?? topicId.toString("hex"));
  return inTurn(asked, async ({ name, topicId }: AskedTopic) => {
    // By id where there is one: Sarama sends the zero id together with a name.
    if (name === null || !isZeroId(topicId)) {
      const topic = topicById(topicId);
      if (topic === undefined) return unknown(null, topicId, "UNKNOWN_TOPIC_ID");
      // An id is no secret, as in Kafka; the name behind it is.
      if (!mayTopic(context, "describe", topic.name)) return unknown(null, topicId, "TOPIC_AUTHORIZATION_FAILED");
      return describe(topic, operationsFor);
    }
    const topic = await findOrCreate(name, request.allowAutoTopicCreation, context);
    return topic instanceof StreamError ? unknown(name, zeroId, topic.code) : describe(topic, operationsFor);
  });
}

async function findOrCreate(name: string, allowed: boolean, context: RequestContext): Promise<TopicInfo | StreamError> {
  const { engine, options } = context;
  if (!mayTopic(context, "describe", name)) return topicRefused(context, "describe", name);
  const known = engine.topics.get(name);
  if (known !== undefined) return known;
  if (!allowed || !options.autoCreateTopics) {
    return new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
  }
  if (!mayCreateTopic(context, name)) return topicRefused(context, "create", name);
  const created = await settle(() => engine.createTopic({ name, partitionCount: options.partitionCountDefault }));
  if (!(created instanceof StreamError) || created.code !== "TOPIC_ALREADY_EXISTS") return created;
  // Another client was faster.
  return engine.topics.get(name) ?? created;
}

function describe(topic: TopicInfo, operationsFor: OperationsFor): TopicAnswer {
  return {
    errorCode: NO_ERROR,
    name: topic.name,
    topicId: topic.id,
    partitions: Array.from({ length: topic.partitionCount }, (_, partitionIndex) => ({
      errorCode: NO_ERROR,
      partitionIndex,
      leaderId: NODE_ID,
      leaderEpoch: LEADER_EPOCH,
      replicaNodes: REPLICAS,
      isrNodes: REPLICAS,
    })),
    topicAuthorizedOperations: operationsFor(topic),
  };
}

function unknown(name: string | null, topicId: Buffer, error: ErrorCode): TopicAnswer {
  return { errorCode: wireCode(error), name, topicId, partitions: [] };
}
