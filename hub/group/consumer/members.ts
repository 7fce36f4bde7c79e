/**
 * Who a heartbeat is from: a newcomer, a member, a static member that comes back, or somebody who is not what he says.
 *
 *   epoch  0   joins; a known member that was fenced joins again under its id, and keeps its place
 *   epoch  n   must be the member's own, or the one before it when the answer with the new one may have been lost
 *   epoch -1   leaves            epoch -2   a static member leaves for a moment
 *
 * Source: KIP-848; Kafka's GroupMetadataManager.
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { ConsumerHeartbeatRequest, ConsumerHeartbeatResult } from "../groups.ts";
import { JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, putMember } from "./consumer-state.ts";
import type { ConsumerDraft, ConsumerMember } from "./consumer-state.ts";
import { isSubset, nothingOwned } from "./partitions.ts";
import { dropUnsubscribedTopics } from "./subscriptions.ts";

export type Refusal = { readonly error: ErrorCode; readonly message: string };

export function refusal(error: ErrorCode, message: string): Refusal {
  return { error, message };
}

export function failedHeartbeat({ error, message }: Refusal): ConsumerHeartbeatResult {
  return { error, message, memberId: null, epoch: 0, heartbeatIntervalMs: 0, assignment: null };
}

export function isRefusal(outcome: object): outcome is Refusal {
  return "error" in outcome && !("epoch" in outcome);
}

/** What is asked for, with the id that the member has from now on. */
type Request = ConsumerHeartbeatRequest;

/** The member as it was before this heartbeat; a newcomer has nothing yet. */
export function findOrAdmit(draft: ConsumerDraft, request: Request): ConsumerMember | Refusal {
  return request.instanceId === null ? findDynamic(draft, request) : findStatic(draft, request, request.instanceId);
}

function findDynamic(draft: ConsumerDraft, request: Request): ConsumerMember | Refusal {
  const member = draft.members.get(request.memberId);
  if (member === undefined) {
    return request.epoch === JOIN_EPOCH ? admit(draft, request) : unknown(request);
  }
  return checkEpoch(member, request) ?? member;
}

function findStatic(draft: ConsumerDraft, request: Request, instanceId: string): ConsumerMember | Refusal {
  const holderId = draft.staticMembers.get(instanceId);
  const holder = holderId === undefined ? undefined : draft.members.get(holderId);
  if (request.epoch !== JOIN_EPOCH) {
    const member = checkInstance(holder, request);
    return isRefusal(member) ? member : (checkEpoch(member, request) ?? member);
  }
  // The id is in use for somebody else.
  const namesake = draft.members.get(request.memberId);
  if (namesake !== undefined && namesake.instanceId !== instanceId) return unknown(request);
  if (holder === undefined) return admit(draft, request);
  if (holder.memberId === request.memberId) return holder;
  if (holder.epoch !== LEAVE_STATIC_EPOCH) {
    return refusal("UNRELEASED_INSTANCE_ID", `instance ${instanceId} is in use by member ${holder.memberId}`);
  }
  return replace(draft, holder, request.memberId);
}

function unknown({ group, memberId }: Request): Refusal {
  return refusal("UNKNOWN_MEMBER_ID", `group ${group} has no member ${memberId}`);
}

function checkInstance(holder: ConsumerMember | undefined, request: Request): ConsumerMember | Refusal {
  if (holder === undefined) {
    return refusal("UNKNOWN_MEMBER_ID", `group ${request.group} has no instance ${request.instanceId}`);
  }
  if (holder.memberId === request.memberId) return holder;
  return refusal("FENCED_INSTANCE_ID", `instance ${request.instanceId} is now member ${holder.memberId}`);
}

function checkEpoch(member: ConsumerMember, { epoch, owned }: Request): Refusal | undefined {
  if (epoch === JOIN_EPOCH || epoch === member.epoch) return undefined;
  const mayHaveLostAnswer = epoch === member.previousEpoch && epoch < member.epoch;
  if (mayHaveLostAnswer && owned !== null && isSubset(owned, member.assigned)) return undefined;
  return refusal(
    "FENCED_MEMBER_EPOCH",
    `member ${member.memberId} is in epoch ${member.epoch}, not ${epoch}; it has to give up its partitions and join again`,
  );
}

function admit(draft: ConsumerDraft, request: Request): ConsumerMember | Refusal {
  const { membersMax } = draft.limits;
  if (draft.members.size >= membersMax) {
    return refusal("GROUP_MAX_SIZE_REACHED", `the group has its maximum of ${membersMax} members`);
  }
  return {
    memberId: request.memberId,
    instanceId: request.instanceId,
    rackId: null,
    clientId: "",
    clientHost: "",
    rebalanceTimeoutMs: 0,
    subscribedNames: [],
    subscribedRegex: "",
    assignor: null,
    epoch: JOIN_EPOCH,
    previousEpoch: JOIN_EPOCH,
    phase: "stable",
    assigned: nothingOwned,
    revoking: nothingOwned,
  };
}

/** The new process of a static member takes the place and the partitions of the old one. */
function replace(draft: ConsumerDraft, former: ConsumerMember, memberId: string): ConsumerMember {
  const target = draft.target.get(former.memberId);
  draft.members.delete(former.memberId);
  draft.target.delete(former.memberId);
  if (target !== undefined) draft.target.set(memberId, target);
  draft.effects.push({ type: "cancel-timer", timer: { kind: "session", memberId: former.memberId } });
  const member: ConsumerMember = { ...former, memberId, epoch: JOIN_EPOCH, previousEpoch: JOIN_EPOCH };
  putMember(draft, member);
  return member;
}

/** @returns what is wrong, or undefined when it has left. */
export function leave(draft: ConsumerDraft, request: Request): Refusal | undefined {
  const holderId = request.instanceId === null ? request.memberId : draft.staticMembers.get(request.instanceId);
  const found = holderId === undefined ? undefined : draft.members.get(holderId);
  const member = request.instanceId === null ? (found ?? unknown(request)) : checkInstance(found, request);
  if (isRefusal(member)) return member;
  if (request.epoch === LEAVE_EPOCH) {
    remove(draft, [member]);
  } else {
    cancelRevocation(draft, member.memberId);
    // It has stopped reading, so what it had to give up is free.
    putMember(draft, { ...member, epoch: LEAVE_STATIC_EPOCH, phase: "stable", revoking: nothingOwned });
  }
  return undefined;
}

/** Takes members out; what they owned is free at once, and the epoch grows once for all of them. */
export function remove(draft: ConsumerDraft, members: readonly ConsumerMember[]): void {
  if (members.length === 0) return;
  for (const { memberId, instanceId } of members) {
    draft.members.delete(memberId);
    draft.target.delete(memberId);
    if (instanceId !== null) draft.staticMembers.delete(instanceId);
    draft.effects.push({ type: "cancel-timer", timer: { kind: "session", memberId } });
    cancelRevocation(draft, memberId);
  }
  dropUnsubscribedTopics(draft);
  draft.epoch += 1;
  draft.isChanged = true;
}

export function cancelRevocation(draft: ConsumerDraft, memberId: string): void {
  draft.effects.push({ type: "cancel-timer", timer: { kind: "revocation", memberId } });
}
