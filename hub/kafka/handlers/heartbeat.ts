/** Heartbeat: keeps a member's session alive and tells it of rebalances. */
import { mayGroup } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import { heartbeatApi } from "../schemas/groups.ts";

export const heartbeat = handler(heartbeatApi, (request, context) => ({
  errorCode: wireCode(
    mayGroup(context, "read", request.groupId)
      ? context.groups.heartbeat({
          group: request.groupId,
          generation: request.generationId,
          memberId: request.memberId,
          instanceId: request.groupInstanceId,
        })
      : "GROUP_AUTHORIZATION_FAILED",
  ),
}));
