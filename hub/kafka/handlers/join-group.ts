/** JoinGroup: enters a group, or stays in it with new metadata; answered when the rebalance is complete. */
import { mayGroup } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import { joinGroupApi } from "../schemas/groups.ts";

/** Version 0 knows only the session timeout. */
const REBALANCE_TIMEOUT_FROM_VERSION = 1;
/** KIP-394 */
const MEMBER_ID_REQUIRED_FROM_VERSION = 4;
/** KIP-814 */
const SKIP_ASSIGNMENT_FROM_VERSION = 9;

export const joinGroup = handler(joinGroupApi, async (request, context) => {
  const { groups, version, clientId, peer } = context;
  if (!mayGroup(context, "read", request.groupId)) return refused(request.memberId);
  const { sessionTimeoutMs, rebalanceTimeoutMs } = request;
  const result = await groups.join({
    group: request.groupId,
    memberId: request.memberId,
    instanceId: request.groupInstanceId,
    clientId,
    clientHost: peer.clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs: version < REBALANCE_TIMEOUT_FROM_VERSION ? sessionTimeoutMs : rebalanceTimeoutMs,
    protocolType: request.protocolType,
    protocols: request.protocols,
    requireKnownMemberId: version >= MEMBER_ID_REQUIRED_FROM_VERSION,
    supportsSkippingAssignment: version >= SKIP_ASSIGNMENT_FROM_VERSION,
  });
  return {
    errorCode: wireCode(result.error),
    generationId: result.generation,
    protocolType: result.protocolType,
    protocolName: result.protocolName,
    leader: result.leader,
    skipAssignment: result.skipAssignment,
    memberId: result.memberId,
    members: result.members.map(({ memberId, instanceId, metadata }) => ({
      memberId,
      groupInstanceId: instanceId,
      metadata,
    })),
  };
});

function refused(memberId: string) {
  const nothing = { generationId: -1, protocolType: null, protocolName: null, leader: "", skipAssignment: false };
  return { errorCode: wireCode("GROUP_AUTHORIZATION_FAILED"), ...nothing, memberId, members: [] };
}
