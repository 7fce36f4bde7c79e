/**
 * Questions to a group that do not change it: may this member heartbeat, commit, delete? A heartbeat is one look-up and
 * no copy; the runner starts the session timer of `alive` itself.
 * Source: Kafka's ClassicGroup.validateMember, validateOffsetCommit, validateDeleteGroup, validateOffsetDelete.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { parseSubscription } from "./consumer-protocol.ts";
import type { GroupState, Member } from "./group-state.ts";
import type { CommitRequest, HeartbeatRequest, MemberIdentity } from "./groups.ts";

export const GROUP_ID_LENGTH_MAX = 249;

/** `alive` is the member that has just shown that it lives, whatever the answer. */
export type SignOfLife = { readonly error: ErrorCode | null; readonly alive: Member | null };

export function checkGroupId(group: string): ErrorCode | null {
  return group.length === 0 || group.length > GROUP_ID_LENGTH_MAX ? "INVALID_GROUP_ID" : null;
}

/** A member that calls itself by an instance id has to be the one that holds it now (KIP-345). */
export function checkMember(
  state: Pick<GroupState, "members" | "staticMembers">,
  who: MemberIdentity,
): ErrorCode | null {
  if (who.instanceId !== null) {
    const holder = state.staticMembers.get(who.instanceId);
    if (holder === undefined) return "UNKNOWN_MEMBER_ID";
    return holder === who.memberId ? null : "FENCED_INSTANCE_ID";
  }
  return state.members.has(who.memberId) ? null : "UNKNOWN_MEMBER_ID";
}

export function checkGeneration(
  state: Pick<GroupState, "members" | "staticMembers" | "generation">,
  who: MemberIdentity & Pick<HeartbeatRequest, "generation">,
): ErrorCode | null {
  return checkMember(state, who) ?? (who.generation === state.generation ? null : "ILLEGAL_GENERATION");
}

function refused(error: ErrorCode): SignOfLife {
  return { error, alive: null };
}

export function checkHeartbeat(state: GroupState, request: HeartbeatRequest): SignOfLife {
  if (state.phase === "Dead") return refused("COORDINATOR_NOT_AVAILABLE");
  const fault = checkGeneration(state, request);
  if (fault !== null) return refused(fault);
  const alive = state.members.get(request.memberId) ?? null;
  // This is how a member learns of a rebalance. It lives, so its session goes on.
  return { error: state.phase === "PreparingRebalance" ? "REBALANCE_IN_PROGRESS" : null, alive };
}

export function isSimpleCommit(request: CommitRequest): boolean {
  return request.generation < 0 && request.memberId === "" && request.instanceId === null;
}

/** Whether the group takes commits from this sender now; each offset has its own checks (offsets.ts). */
export function checkCommit(state: GroupState, request: CommitRequest): SignOfLife {
  if (state.phase === "Dead") return refused("COORDINATOR_NOT_AVAILABLE");
  if (isSimpleCommit(request)) {
    // Somebody outside the group must not move the offsets of partitions that members own.
    return state.phase === "Empty" ? { error: null, alive: null } : refused("UNKNOWN_MEMBER_ID");
  }
  const fault = checkGeneration(state, request);
  if (fault !== null) return refused(fault);
  // The member has joined this generation but does not know yet what it owns, so it cannot have consumed anything in it.
  if (state.phase === "CompletingRebalance") return refused("REBALANCE_IN_PROGRESS");
  return { error: null, alive: state.members.get(request.memberId) ?? null };
}

/**
 * The topics whose offsets may not be deleted, because a member reads them; "all" when a member's subscription cannot
 * be read. Groups of other protocols (Kafka Connect) say nothing about topics: they have to be empty.
 */
export function checkOffsetDelete(state: GroupState): ErrorCode | { readonly inUse: ReadonlySet<string> | "all" } {
  if (state.phase === "Dead") return "GROUP_ID_NOT_FOUND";
  if (state.members.size === 0) return { inUse: new Set() };
  if (state.protocolType !== "consumer") return "NON_EMPTY_GROUP";
  const inUse = new Set<string>();
  for (const member of state.members.values()) {
    for (const protocol of member.protocols) {
      const subscription = parseSubscription(protocol.metadata);
      if (subscription === undefined) return { inUse: "all" };
      for (const topic of subscription.topics) inUse.add(topic);
    }
  }
  return { inUse };
}
