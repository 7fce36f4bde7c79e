/** LeaveGroup: one member up to version 2, a list from version 3 on, each with its own error. */
import { mayGroup } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import { leaveGroupApi } from "../schemas/groups.ts";

const LIST_FROM_VERSION = 3;

export const leaveGroup = handler(leaveGroupApi, async (request, context) => {
  const { groups, version } = context;
  if (!mayGroup(context, "read", request.groupId)) {
    return { errorCode: wireCode("GROUP_AUTHORIZATION_FAILED"), members: [] };
  }
  const isList = version >= LIST_FROM_VERSION;
  const leaving = isList
    ? request.members.map(({ memberId, groupInstanceId }) => ({ memberId, instanceId: groupInstanceId }))
    : [{ memberId: request.memberId, instanceId: null }];
  const { error, members } = await groups.leave(request.groupId, leaving);
  return {
    errorCode: wireCode(isList ? error : (error ?? members[0]?.error ?? null)),
    members: members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      errorCode: wireCode(member.error),
    })),
  };
});
