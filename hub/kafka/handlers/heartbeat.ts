/** Heartbeat: keeps a member's session alive and tells it of rebalances. */
import { handler, wireCode } from "../handler.ts";
import { heartbeatApi } from "../schemas/groups.ts";

export const heartbeat = handler(heartbeatApi, (request, { groups }) => ({
  errorCode: wireCode(
    groups.heartbeat({
      group: request.groupId,
      generation: request.generationId,
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
    }),
  ),
}));
