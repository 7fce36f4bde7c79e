/**
 * What is wrong with a heartbeat whatever the group looks like; asked before a group is looked for or created.
 * Source: Kafka's GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid.
 */
import { checkGroupId } from "../checks.ts";
import type { ConsumerHeartbeatRequest } from "../groups.ts";
import { assignors } from "./assignor.ts";
import { JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, type ConsumerGroupLimits } from "./consumer-state.ts";
import { refusal, type Refusal } from "./members.ts";

export function checkConsumerHeartbeat(
  request: ConsumerHeartbeatRequest,
  limits: Pick<ConsumerGroupLimits, "memberBytesMax">,
): Refusal | undefined {
  const fault = checkGroupId(request.group);
  if (fault !== null) return refusal(fault, "the group id is empty or too long");
  const gap = missing(request);
  if (gap !== undefined) return refusal("INVALID_REQUEST", gap);
  if (request.assignor !== null && !assignors.has(request.assignor)) {
    const known = [...assignors.keys()].join(", ");
    return refusal("UNSUPPORTED_ASSIGNOR", `assignor ${request.assignor} is not known; these are: ${known}`);
  }
  const bytes = bytesOf(request);
  if (bytes <= limits.memberBytesMax) return undefined;
  return refusal(
    "MESSAGE_TOO_LARGE",
    `a member may have ${limits.memberBytesMax} bytes of ids and topics, not ${bytes}`,
  );
}

/** What the request lacks, or has too much of. */
function missing(request: ConsumerHeartbeatRequest): string | undefined {
  const { epoch, memberId, instanceId, rackId } = request;
  if (epoch < LEAVE_STATIC_EPOCH) return `there is no member epoch ${epoch}`;
  if (memberId === "" && epoch !== JOIN_EPOCH) return "the member id is empty";
  if (instanceId === "") return "the instance id is empty";
  if (rackId === "") return "the rack id is empty";
  if (epoch === LEAVE_STATIC_EPOCH && instanceId === null) return "only a static member leaves with epoch -2";
  if (epoch === LEAVE_EPOCH || epoch !== JOIN_EPOCH) return undefined;
  if (request.rebalanceTimeoutMs < 0) return "the rebalance timeout is needed to join";
  if (request.owned === null || request.owned.size > 0) return "a member that joins owns no partitions";
  if (request.subscribedNames === null && request.subscribedRegex === null) return "a subscription is needed to join";
  return undefined;
}

function bytesOf(request: ConsumerHeartbeatRequest): number {
  const { memberId, instanceId, rackId, clientId, clientHost, subscribedRegex, subscribedNames } = request;
  let bytes = 0;
  for (const text of [
    memberId,
    instanceId,
    rackId,
    clientId,
    clientHost,
    subscribedRegex,
    ...(subscribedNames ?? []),
  ]) {
    bytes += Buffer.byteLength(text ?? "");
  }
  return bytes;
}
