/**
 * Joins and syncs that wait inside a group, and their answers. A member has at most one parked join and one parked
 * sync. Whoever is answered gets a fresh session: while parked its timer may have run out without consequence
 * (rebalance.ts, onSessionTimer), so every path that answers must start it again, or a dead member would stay for ever.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import type { JoinedMember, JoinResult, SyncResult } from "./groups.ts";
import { memberOf, startSessionTimer } from "./group-state.ts";
import type { Draft, Member, RequestId } from "./group-state.ts";

export const noBytes: Buffer = Buffer.alloc(0);

export function failedJoin(error: ErrorCode, memberId: string): JoinResult {
  return {
    error,
    generation: -1,
    protocolType: null,
    protocolName: null,
    leader: "",
    memberId,
    skipAssignment: false,
    members: [],
  };
}

export function failedSync(error: ErrorCode): SyncResult {
  return { error, protocolType: null, protocolName: null, assignment: noBytes };
}

/** The present generation, as the member hears it: only the leader learns who the others are. */
export function joinedGeneration(draft: Draft, member: Member): JoinResult {
  return {
    error: null,
    generation: draft.generation,
    protocolType: draft.protocolType,
    protocolName: draft.protocolName,
    leader: draft.leaderId ?? "",
    memberId: member.memberId,
    skipAssignment: false,
    members: member.memberId === draft.leaderId ? joinedMembers(draft) : [],
  };
}

export function joinedMembers(draft: Draft): readonly JoinedMember[] {
  return [...draft.members.values()].map((member) => ({
    memberId: member.memberId,
    instanceId: member.instanceId,
    metadata: metadataFor(member, draft.protocolName),
  }));
}

/** What the member says about itself in one of its protocols. */
export function metadataFor(member: Member, protocolName: string | null): Buffer {
  return member.protocols.find(({ name }) => name === protocolName)?.metadata ?? noBytes;
}

export function answerJoin(draft: Draft, to: RequestId, result: JoinResult): void {
  draft.effects.push({ type: "answer-join", to, result });
}

export function answerSync(draft: Draft, to: RequestId, result: SyncResult): void {
  draft.effects.push({ type: "answer-sync", to, result });
}

/**
 * Parks a member's join. An earlier one of the same member is answered first: its client has given it up, or it comes
 * twice. It is told to rejoin rather than that it is unknown, because then it would keep its id.
 */
export function parkJoin(draft: Draft, memberId: string, to: RequestId): void {
  const member = memberOf(draft, memberId);
  if (member.joinWaiter !== null) answerJoin(draft, member.joinWaiter, failedJoin("REBALANCE_IN_PROGRESS", memberId));
  draft.members.set(memberId, { ...member, joinWaiter: to });
}

/** Gives a parked member the present generation; from now on it has to heartbeat, and to sync. */
export function answerParkedJoin(draft: Draft, member: Member): void {
  if (member.joinWaiter === null) return;
  answerJoin(draft, member.joinWaiter, joinedGeneration(draft, member));
  const joined: Member = { ...member, joinWaiter: null, isNew: false };
  draft.members.set(member.memberId, joined);
  startSessionTimer(draft, joined);
}

/** As parkJoin: an earlier parked sync of the member is answered first. */
export function parkSync(draft: Draft, memberId: string, to: RequestId): void {
  const member = memberOf(draft, memberId);
  if (member.syncWaiter !== null) answerSync(draft, member.syncWaiter, failedSync("REBALANCE_IN_PROGRESS"));
  draft.members.set(memberId, { ...member, syncWaiter: to });
}

export function answerParkedSync(draft: Draft, member: Member, result: SyncResult): void {
  if (member.syncWaiter === null) return;
  answerSync(draft, member.syncWaiter, result);
  const synced: Member = { ...member, syncWaiter: null };
  draft.members.set(member.memberId, synced);
  startSessionTimer(draft, synced);
}
