/** ConsumerGroupDescribe (KIP-848): epochs, members, what they own and what they shall own. */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { AssignedTopic, DescribedConsumerGroup } from "../../group/groups.ts";
import { mayGroup, mayTopic } from "../../access/authorize.ts";
import { distinct, handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { authorizedOperations } from "../operations.ts";
import type { ResponseOf } from "../schema.ts";
import { OPERATIONS_NOT_REQUESTED } from "../schemas/cluster.ts";
import { consumerGroupDescribeApi } from "../schemas/groups.ts";

type GroupAnswer = ResponseOf<typeof consumerGroupDescribeApi>["groups"][number];

/** KIP-1099: the member speaks the newer protocol itself; there are no others in such a group here. */
const MEMBER_TYPE_CONSUMER = 1;

export const consumerGroupDescribe = handler(consumerGroupDescribeApi, (request, context) => {
  const topicById = context.topicIds.forRequest();
  const toWire = ({ topicId, partitions }: AssignedTopic) => {
    const id = Buffer.from(topicId, "hex");
    const topic = topicById(id);
    // A topic that is gone has no name any more.
    return topic === undefined ? [] : [{ topicId: id, topicName: topic.name, partitions }];
  };
  return {
    groups: distinct(request.groupIds, String).map((groupId) => {
      if (!mayGroup(context, "describe", groupId)) return failed(groupId, "GROUP_AUTHORIZATION_FAILED", null);
      const group = context.groups.describeConsumer(groupId);
      if (group === undefined) {
        return failed(groupId, "GROUP_ID_NOT_FOUND", `there is no consumer group ${groupId}`);
      }
      const hidden = hiddenTopic(group, context, (topicId) => topicById(Buffer.from(topicId, "hex"))?.name);
      if (hidden) return failed(groupId, "TOPIC_AUTHORIZATION_FAILED", "it reads topics that you may not see");
      const authorized = request.includeAuthorizedOperations
        ? authorizedOperations(context, { kind: "group", name: groupId })
        : OPERATIONS_NOT_REQUESTED;
      return { ...describe(group, (topics) => topics.flatMap(toWire)), authorizedOperations: authorized };
    }),
  };
});

type ToWire = (topics: readonly AssignedTopic[]) => readonly {
  readonly topicId: Buffer;
  readonly topicName: string;
  readonly partitions: readonly number[];
}[];

function describe(group: DescribedConsumerGroup, toWire: ToWire): GroupAnswer {
  return {
    errorCode: NO_ERROR,
    errorMessage: null,
    groupId: group.group,
    groupState: group.state,
    groupEpoch: group.epoch,
    assignmentEpoch: group.assignmentEpoch,
    assignorName: group.assignor,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.subscribedNames,
      subscribedTopicRegex: member.subscribedRegex,
      assignment: { topicPartitions: toWire(member.assignment) },
      targetAssignment: { topicPartitions: toWire(member.target) },
      memberType: MEMBER_TYPE_CONSUMER,
    })),
  };
}

/** As Kafka does: who may not see all of the group's topics does not see the group. */
function hiddenTopic(
  { members }: DescribedConsumerGroup,
  context: RequestContext,
  nameOf: (topicId: string) => string | undefined,
): boolean {
  const names = new Set<string>();
  for (const { subscribedNames, assignment, target } of members) {
    for (const name of subscribedNames) names.add(name);
    for (const { topicId } of [...assignment, ...target]) names.add(nameOf(topicId) ?? "");
  }
  names.delete("");
  return [...names].some((name) => !mayTopic(context, "describe", name));
}

function failed(groupId: string, error: ErrorCode, errorMessage: string | null): GroupAnswer {
  const nothing = { groupState: "", groupEpoch: 0, assignmentEpoch: 0, assignorName: "", members: [] };
  return { errorCode: wireCode(error), errorMessage, groupId, ...nothing };
}
