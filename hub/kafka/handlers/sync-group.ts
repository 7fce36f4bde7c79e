/** SyncGroup: the leader brings the assignment, everyone takes theirs. */
import { mayGroup } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import { syncGroupApi } from "../schemas/groups.ts";

const NO_ASSIGNMENT = Buffer.alloc(0);

export const syncGroup = handler(syncGroupApi, async (request, context) => {
  if (!mayGroup(context, "read", request.groupId)) {
    const errorCode = wireCode("GROUP_AUTHORIZATION_FAILED");
    return { errorCode, protocolType: null, protocolName: null, assignment: NO_ASSIGNMENT };
  }
  const result = await context.groups.sync({
    group: request.groupId,
    generation: request.generationId,
    memberId: request.memberId,
    instanceId: request.groupInstanceId,
    protocolType: request.protocolType,
    protocolName: request.protocolName,
    assignments: request.assignments,
  });
  return {
    errorCode: wireCode(result.error),
    protocolType: result.protocolType,
    protocolName: result.protocolName,
    assignment: result.assignment,
  };
});
