/** ConsumerGroupHeartbeat (KIP-848): joins, stays in and leaves a group of the newer protocol. */
import { fromLists } from "../../group/consumer/partitions.ts";
import type { AssignedTopic, ConsumerHeartbeatRequest } from "../../group/groups.ts";
import { mayGroup, mayTopic } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { RequestOf } from "../schema.ts";
import { consumerGroupHeartbeatApi } from "../schemas/groups.ts";

type HeartbeatRequest = RequestOf<typeof consumerGroupHeartbeatApi>;

/** From here on the client names itself, so that a join whose answer is lost does not leave a ghost behind. */
const NAMES_ITSELF_FROM_VERSION = 1;

export const consumerGroupHeartbeat = handler(consumerGroupHeartbeatApi, async (request, context) => {
  const { groupId, memberId, subscribedTopicNames } = request;
  if (!mayGroup(context, "read", groupId)) return refused("GROUP_AUTHORIZATION_FAILED", `group ${groupId}`);
  const hidden = subscribedTopicNames?.find((name) => !mayTopic(context, "describe", name));
  if (hidden !== undefined) return refused("TOPIC_AUTHORIZATION_FAILED", `topic ${hidden}`);
  if (memberId === "" && context.version >= NAMES_ITSELF_FROM_VERSION) {
    return refused("INVALID_REQUEST", "the member id is empty");
  }
  const result = await context.groups.consumerHeartbeat(toHeartbeat(request, context));
  return {
    errorCode: wireCode(result.error),
    errorMessage: result.message,
    memberId: result.memberId,
    memberEpoch: result.epoch,
    heartbeatIntervalMs: result.heartbeatIntervalMs,
    assignment: result.assignment === null ? null : { topicPartitions: result.assignment.map(toWire) },
  };
});

function toHeartbeat(request: HeartbeatRequest, context: RequestContext): ConsumerHeartbeatRequest {
  const owned = request.topicPartitions?.map(({ topicId, partitions }) => ({
    topicId: topicId.toString("hex"),
    partitions,
  }));
  return {
    group: request.groupId,
    memberId: request.memberId,
    epoch: request.memberEpoch,
    instanceId: request.instanceId,
    rackId: request.rackId,
    clientId: context.clientId,
    clientHost: context.peer.clientHost,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    subscribedNames: request.subscribedTopicNames,
    subscribedRegex: request.subscribedTopicRegex,
    assignor: request.serverAssignor,
    owned: owned === undefined ? null : fromLists(owned),
    mayDescribe: (topic) => mayTopic(context, "describe", topic),
  };
}

const toWire = ({ topicId, partitions }: AssignedTopic) => ({ topicId: Buffer.from(topicId, "hex"), partitions });

function refused(
  error: "GROUP_AUTHORIZATION_FAILED" | "TOPIC_AUTHORIZATION_FAILED" | "INVALID_REQUEST",
  errorMessage: string,
) {
  const nothing = { memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null };
  return { errorCode: wireCode(error), errorMessage, ...nothing };
}
