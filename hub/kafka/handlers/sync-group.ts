/** SyncGroup: the leader brings the assignment, everyone takes theirs. */
import { handler, wireCode } from "../handler.ts";
import { syncGroupApi } from "../schemas/groups.ts";

export const syncGroup = handler(syncGroupApi, async (request, { groups }) => {
  const result = await groups.sync({
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
