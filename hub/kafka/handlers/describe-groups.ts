/** DescribeGroups: state, protocol and members. */
import type { ErrorCode } from "../../../shared/errors.ts";
import { distinct, handler, wireCode } from "../handler.ts";
import { GROUP_OPERATIONS } from "../operations.ts";
import { describeGroupsApi } from "../schemas/groups.ts";
import { OPERATIONS_NOT_REQUESTED } from "../schemas/cluster.ts";

/** KIP-1043: an unknown group is an error; before, it was described as dead. */
const NOT_FOUND_FROM_VERSION = 6;

export const describeGroups = handler(describeGroupsApi, (request, { groups, version }) => ({
  groups: distinct(request.groups, String).map((groupId) => {
    const described = groups.describe(groupId);
    const isUnknown = described.state === "Dead" && version >= NOT_FOUND_FROM_VERSION;
    const error: ErrorCode | null = isUnknown ? "GROUP_ID_NOT_FOUND" : null;
    return {
      errorCode: wireCode(error),
      errorMessage: isUnknown ? `group ${groupId} does not exist` : null,
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
      authorizedOperations: request.includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_REQUESTED,
    };
  }),
}));
