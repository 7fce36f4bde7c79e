/** DescribeGroups: state, protocol and members of classic groups; ConsumerGroupDescribe has the others. */
import type { ErrorCode } from "../../../shared/errors.ts";
import { mayGroup } from "../../access/authorize.ts";
import { distinct, handler, wireCode } from "../handler.ts";
import { authorizedOperations } from "../operations.ts";
import { describeGroupsApi } from "../schemas/groups.ts";
import { OPERATIONS_NOT_REQUESTED } from "../schemas/cluster.ts";

/** KIP-1043: an unknown group is an error; before, it was described as dead. */
const NOT_FOUND_FROM_VERSION = 6;

export const describeGroups = handler(describeGroupsApi, (request, context) => ({
  groups: distinct(request.groups, String).map((groupId) => {
    if (!mayGroup(context, "describe", groupId)) return refused(groupId);
    const described = context.groups.describe(groupId);
    const isUnknown = described.state === "Dead" && context.version >= NOT_FOUND_FROM_VERSION;
    const error: ErrorCode | null = isUnknown ? "GROUP_ID_NOT_FOUND" : null;
    return {
      errorCode: wireCode(error),
      errorMessage: isUnknown ? `there is no classic group ${groupId}` : null,
      groupId,
      groupState: described.state,
      protocolType: described.protocolType,
      protocolData: described.protocolName,
      members: described.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        memberMetadata: member.metadata,
        memberAssignment: member.assignment,
      })),
      authorizedOperations: request.includeAuthorizedOperations
        ? authorizedOperations(context, { kind: "group", name: groupId })
        : OPERATIONS_NOT_REQUESTED,
    };
  }),
}));

function refused(groupId: string) {
  const errorMessage = "no permission to describe the group";
  const nothing = { groupState: "", protocolType: "", protocolData: "", members: [] };
  return { errorCode: wireCode("GROUP_AUTHORIZATION_FAILED"), errorMessage, groupId, ...nothing };
}
