/**
 * JoinGroup: how a client becomes a member, comes back as one, or takes over the place of its own former process.
 *
 *   no id, dynamic         gets an id and MEMBER_ID_REQUIRED, comes again with it (KIP-394); old clients are added at once
 *   no id, new instance    is added
 *   no id, known instance  takes the place and the partitions of the member it was before; that one is fenced (KIP-345)
 *   pending id             is added
 *   member                 rejoins: starts a rebalance if something changed, else hears its generation again
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { checkGroupId, checkMember } from "./checks.ts";
import {
  cancelTimer,
  memberOf,
  persist,
  persistMembership,
  startSessionTimer,
  startTimer,
  type Draft,
  type GroupEvent,
  type GroupLimits,
  type Member,
} from "./group-state.ts";
import type { GroupProtocol, JoinRequest } from "./groups.ts";
import {
  answerJoin,
  answerSync,
  failedJoin,
  failedSync,
  joinedGeneration,
  joinedMembers,
  noBytes,
  parkJoin,
} from "./parked-requests.ts";
import { addMember, chooseProtocol, commonProtocols, dropPendingMember, rebalance } from "./rebalance.ts";

type JoinEvent = Extract<GroupEvent, { type: "join" }>;

/** What is wrong with a join whatever the group looks like; asked before a group is created for it. */
export function checkJoinRequest(request: JoinRequest, limits: GroupLimits): ErrorCode | null {
  const fault = checkGroupId(request.group);
  if (fault !== null) return fault;
  const { sessionTimeoutMs } = request;
  if (!(sessionTimeoutMs >= limits.sessionTimeoutMinMs && sessionTimeoutMs <= limits.sessionTimeoutMaxMs)) {
    return "INVALID_SESSION_TIMEOUT";
  }
  let bytes = Buffer.byteLength(request.clientId) + Buffer.byteLength(request.instanceId ?? "");
  for (const { name, metadata } of request.protocols) bytes += Buffer.byteLength(name) + metadata.byteLength;
  const isTooLarge = bytes > limits.memberBytesMax || request.protocols.length > limits.protocolsMax;
  return isTooLarge ? "MESSAGE_TOO_LARGE" : null;
}

export function onJoin(draft: Draft, event: JoinEvent): void {
  const { request, to } = event;
  if (draft.phase === "Dead") return answerJoin(draft, to, failedJoin("COORDINATOR_NOT_AVAILABLE", ""));
  const formerId = formerMemberId(draft, request);
  const isPending = request.instanceId === null && draft.pendingMembers.has(request.memberId);
  const isNewcomer = formerId === undefined && (request.memberId === "" || isPending);
  if (isNewcomer && draft.members.size >= draft.limits.membersMax) {
    if (isPending) dropPendingMember(draft, request.memberId);
    return answerJoin(draft, to, failedJoin("GROUP_MAX_SIZE_REACHED", ""));
  }
  if (!isCompatible(draft, request, formerId ?? request.memberId)) {
    return answerJoin(draft, to, failedJoin("INCONSISTENT_GROUP_PROTOCOL", request.memberId));
  }
  if (isPending) {
    // Its timer goes on as the newcomer's session timer: left alone, it would expel the healthy member one session later.
    draft.pendingMembers.delete(request.memberId);
    return admit(draft, event, request.memberId);
  }
  if (formerId !== undefined) return onReturnOfStaticMember(draft, event, memberOf(draft, formerId));
  if (request.memberId !== "") return onRejoin(draft, event);
  if (request.instanceId === null && request.requireKnownMemberId) return givePendingId(draft, event);
  admit(draft, event, event.newMemberId);
}

/** Defined when a static member comes without its id: its process was started again. */
function formerMemberId(draft: Draft, request: JoinRequest): string | undefined {
  if (request.memberId !== "" || request.instanceId === null) return undefined;
  return draft.staticMembers.get(request.instanceId);
}

/** The member itself does not count among those it must agree with: it may come back with other protocols. */
function isCompatible(draft: Draft, request: JoinRequest, ownId: string): boolean {
  if (request.protocolType === "" || request.protocols.length === 0) return false;
  if (draft.members.size === 0) return true;
  if (request.protocolType !== draft.protocolType) return false;
  const others = [...draft.members.values()].filter(({ memberId }) => memberId !== ownId);
  return commonProtocols([...others, request]).size > 0;
}

function givePendingId(draft: Draft, { to, request, newMemberId }: JoinEvent): void {
  const [oldest] = draft.pendingMembers;
  // A client uses its id within milliseconds, so the oldest of so many was most likely given up. If not, it hears
  // UNKNOWN_MEMBER_ID and starts again, where a refusal of the new one would be fatal to it.
  if (oldest !== undefined && draft.pendingMembers.size >= draft.limits.membersMax) dropPendingMember(draft, oldest);
  draft.pendingMembers.add(newMemberId);
  startTimer(draft, { kind: "session", memberId: newMemberId }, request.sessionTimeoutMs);
  answerJoin(draft, to, failedJoin("MEMBER_ID_REQUIRED", newMemberId));
}

function admit(draft: Draft, { request, to }: JoinEvent, memberId: string): void {
  if (draft.members.size === 0) draft.protocolType = request.protocolType;
  const { instanceId } = request;
  if (instanceId !== null) persistNewId(draft, instanceId, memberId);
  const fresh = { memberId, instanceId, assignment: noBytes, joinWaiter: null, syncWaiter: null, isNew: true };
  addMember(draft, { ...fresh, ...statementsOf(request, draft.limits) }, to);
}

/** What a member says about itself anew with each join. */
function statementsOf(request: JoinRequest, limits: GroupLimits) {
  const { clientId, clientHost, sessionTimeoutMs, protocols } = request;
  // JoinGroup v0 has no rebalance timeout (-1): the session timeout was used for both (KIP-62).
  const wishMs = request.rebalanceTimeoutMs < 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs;
  const rebalanceTimeoutMs = Math.min(wishMs, limits.rebalanceTimeoutMaxMs);
  return { clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols };
}

function onRejoin(draft: Draft, { request, to }: JoinEvent): void {
  const fault = checkMember(draft, request);
  if (fault !== null) return answerJoin(draft, to, failedJoin(fault, request.memberId));
  const member = memberOf(draft, request.memberId);
  const isChanged = !isSameProtocols(member.protocols, request.protocols);
  const isLeader = draft.leaderId === member.memberId;
  // The answer of the first join was lost; it is given again. A leader that rejoins a stable group on the other hand
  // asks for a rebalance: this is how it reacts to new topics or partitions.
  const isRetry =
    draft.phase === "CompletingRebalance" ? !isChanged : draft.phase === "Stable" && !isChanged && !isLeader;
  if (isRetry) {
    startSessionTimer(draft, member);
    return answerJoin(draft, to, joinedGeneration(draft, member));
  }
  draft.members.set(member.memberId, { ...member, ...statementsOf(request, draft.limits) });
  parkJoin(draft, member.memberId, to);
  rebalance(draft);
}

/** The order counts too: it is the member's preference. Assignors are the clients' affair; bytes are compared here. */
function isSameProtocols(left: readonly GroupProtocol[], right: readonly GroupProtocol[]): boolean {
  if (left.length !== right.length) return false;
  return left.every(({ name, metadata }, index) => {
    const other = right[index];
    return other !== undefined && other.name === name && other.metadata.equals(metadata);
  });
}

function onReturnOfStaticMember(draft: Draft, { request, to, newMemberId }: JoinEvent, former: Member): void {
  const formerLeaderId = draft.leaderId;
  replaceMember(draft, former, { ...former, ...statementsOf(request, draft.limits), memberId: newMemberId });
  const isProtocolKept = draft.phase === "Stable" && chooseProtocol([...draft.members.values()]) === draft.protocolName;
  if (!isProtocolKept) {
    if (former.instanceId !== null) persistNewId(draft, former.instanceId, newMemberId);
    parkJoin(draft, newMemberId, to);
    return rebalance(draft);
  }
  persistMembership(draft);
  const member = memberOf(draft, newMemberId);
  const isLeader = draft.leaderId === newMemberId;
  const result = joinedGeneration(draft, member);
  if (request.supportsSkippingAssignment) {
    // KIP-814: it leads, and it may see who is there, but the assignment stands.
    const members = isLeader ? joinedMembers(draft) : [];
    return answerJoin(draft, to, { ...result, skipAssignment: isLeader, members });
  }
  // Before v9 a leader always assigns. Named after its former id, the leader takes itself for a follower.
  answerJoin(draft, to, { ...result, leader: formerLeaderId ?? "", members: [] });
}

/** Puts `member` in the place of `former`: same position, partitions, leadership. Whoever waits as `former` is fenced. */
function replaceMember(draft: Draft, former: Member, member: Member): void {
  if (former.joinWaiter !== null)
    answerJoin(draft, former.joinWaiter, failedJoin("FENCED_INSTANCE_ID", former.memberId));
  if (former.syncWaiter !== null) answerSync(draft, former.syncWaiter, failedSync("FENCED_INSTANCE_ID"));
  const members = [...draft.members.values()];
  const unparked: Member = { ...member, joinWaiter: null, syncWaiter: null };
  draft.members.clear();
  for (const each of members) {
    const next = each.memberId === former.memberId ? unparked : each;
    draft.members.set(next.memberId, next);
  }
  if (member.instanceId !== null) draft.staticMembers.set(member.instanceId, member.memberId);
  if (draft.pendingSync.delete(former.memberId)) draft.pendingSync.add(member.memberId);
  if (draft.leaderId === former.memberId) draft.leaderId = member.memberId;
  cancelTimer(draft, { kind: "session", memberId: former.memberId });
  startSessionTimer(draft, unparked);
}

/**
 * Writes a static member's new id into the last stable generation on disk. Otherwise a hub that dies during this
 * rebalance would come back knowing the instance under its old id only, and would fence the living process: fatal to a
 * client. The old member may be gone from memory already; the disk hears of it with the next stable generation.
 */
function persistNewId(draft: Draft, instanceId: string, memberId: string): void {
  const { saved } = draft;
  const former = saved?.members.find((member) => member.instanceId === instanceId);
  if (saved === null || former === undefined) return;
  persist(draft, {
    ...saved,
    leaderId: saved.leaderId === former.memberId ? memberId : saved.leaderId,
    members: saved.members.map((member) => (member === former ? { ...member, memberId } : member)),
  });
}
