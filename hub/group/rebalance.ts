/**
 * How a group gets from one generation to the next: who is waited for, for how long, and who is expelled.
 *
 *   a member is added, removed or changed
 *     prepareRebalance: parked syncs hear REBALANCE_IN_PROGRESS; members learn of it by their heartbeats and join again
 *       every member has a parked join, or the join timer fires
 *         completeJoin: absent dynamic members are expelled, generation + 1, a leader and a protocol are chosen,
 *                       parked joins are answered
 *           the leader's sync (sync.ts), or the sync timer fires: who did not sync is expelled, and it begins again
 *
 * The first rebalance of an empty group only waits a short while for other newcomers, not for anybody in particular.
 * Source: Kafka's GroupMetadataManager (classic groups) and ClassicGroup; KIP-62 (rebalance timeout), KIP-134 (initial
 * delay), KIP-345 (static members), KIP-394 (pending members).
 */
import { invariant } from "../../shared/invariant.ts";
import { cancelTimer, persistMembership, rebalanceTimeoutMs, startSessionTimer, startTimer } from "./group-state.ts";
import type { Draft, Member, RequestId } from "./group-state.ts";
import {
  answerJoin,
  answerParkedJoin,
  answerParkedSync,
  answerSync,
  failedJoin,
  failedSync,
  noBytes,
  parkJoin,
} from "./parked-requests.ts";

/** Takes a newcomer in and parks its join. */
export function addMember(draft: Draft, member: Member, to: RequestId): void {
  invariant(!draft.members.has(member.memberId), "a newcomer is not a member yet");
  if (draft.initialRebalance !== null) draft.initialRebalance = { ...draft.initialRebalance, isMemberAdded: true };
  draft.leaderId ??= member.memberId;
  draft.members.set(member.memberId, member);
  if (member.instanceId !== null) draft.staticMembers.set(member.instanceId, member.memberId);
  startSessionTimer(draft, member);
  parkJoin(draft, member.memberId, to);
  rebalance(draft);
}

/** Starts a rebalance, or gets on with the one that runs: for everything after which the generation no longer holds. */
export function rebalance(draft: Draft): void {
  if (draft.phase === "PreparingRebalance") maybeCompleteJoin(draft);
  else prepareRebalance(draft);
}

/**
 * Takes a member out; what it has parked hears UNKNOWN_MEMBER_ID. The caller rebalances, once for all it removes.
 */
export function removeMember(draft: Draft, member: Member): void {
  if (member.joinWaiter !== null) answerJoin(draft, member.joinWaiter, failedJoin("UNKNOWN_MEMBER_ID", ""));
  if (member.syncWaiter !== null) answerSync(draft, member.syncWaiter, failedSync("UNKNOWN_MEMBER_ID"));
  draft.members.delete(member.memberId);
  if (member.instanceId !== null) draft.staticMembers.delete(member.instanceId);
  cancelTimer(draft, { kind: "session", memberId: member.memberId });
  if (draft.leaderId !== member.memberId) return;
  const [next] = draft.members.keys();
  draft.leaderId = next ?? null;
}

/** Forgets an id that was given out and not used; a rebalance may have waited for it alone. */
export function dropPendingMember(draft: Draft, memberId: string): void {
  draft.pendingMembers.delete(memberId);
  cancelTimer(draft, { kind: "session", memberId });
  if (draft.phase === "PreparingRebalance") maybeCompleteJoin(draft);
}

function prepareRebalance(draft: Draft): void {
  const isInitial = draft.phase === "Empty";
  if (draft.phase === "CompletingRebalance") takeAssignmentsBack(draft);
  cancelTimer(draft, { kind: "sync" });
  draft.pendingSync.clear();
  draft.phase = "PreparingRebalance";
  if (isInitial) {
    const delayMs = draft.limits.initialRebalanceDelayMs;
    draft.initialRebalance = { remainingMs: Math.max(rebalanceTimeoutMs(draft) - delayMs, 0), isMemberAdded: false };
    startTimer(draft, { kind: "join" }, delayMs);
  } else if (hasEverybodyJoined(draft)) {
    completeJoin(draft);
  } else {
    startTimer(draft, { kind: "join" }, rebalanceTimeoutMs(draft));
  }
}

function takeAssignmentsBack(draft: Draft): void {
  for (const member of draft.members.values()) {
    const unassigned: Member = { ...member, assignment: noBytes };
    draft.members.set(member.memberId, unassigned);
    answerParkedSync(draft, unassigned, failedSync("REBALANCE_IN_PROGRESS"));
  }
}

/** With no member left there is nobody to wait for: a pending id is only a promise to come. */
function hasEverybodyJoined(draft: Draft): boolean {
  if (draft.members.size === 0) return true;
  return draft.pendingMembers.size === 0 && [...draft.members.values()].every(isParked);
}

function isParked(member: Member): boolean {
  return member.joinWaiter !== null;
}

function maybeCompleteJoin(draft: Draft): void {
  // In an initial rebalance the delay decides, not the members: more of them may be on their way.
  if (draft.initialRebalance === null && hasEverybodyJoined(draft)) completeJoin(draft);
}

export function onJoinTimer(draft: Draft): void {
  if (draft.phase !== "PreparingRebalance") return;
  const initial = draft.initialRebalance;
  if (initial === null || !initial.isMemberAdded || initial.remainingMs === 0) return completeJoin(draft);
  // Somebody joined during the delay, so more may follow; wait once more, in all no longer than a rebalance may take.
  const delayMs = Math.min(draft.limits.initialRebalanceDelayMs, initial.remainingMs);
  draft.initialRebalance = { remainingMs: initial.remainingMs - delayMs, isMemberAdded: false };
  startTimer(draft, { kind: "join" }, delayMs);
}

function completeJoin(draft: Draft): void {
  cancelTimer(draft, { kind: "join" });
  for (const member of draft.members.values()) {
    // A static member may be away for its session timeout without losing its partitions (KIP-345).
    if (!isParked(member) && member.instanceId === null) removeMember(draft, member);
  }
  const parked = [...draft.members.values()].filter(isParked);
  const [firstParked] = parked;
  if (firstParked === undefined) {
    if (draft.members.size === 0) return becomeEmpty(draft);
    // Only absent static members: nobody could lead. Their sessions end, or one of them comes back.
    return startTimer(draft, { kind: "join" }, rebalanceTimeoutMs(draft));
  }
  draft.generation += 1;
  draft.phase = "CompletingRebalance";
  draft.initialRebalance = null;
  if (!parked.some(({ memberId }) => memberId === draft.leaderId)) draft.leaderId = firstParked.memberId;
  draft.protocolName = chooseProtocol([...draft.members.values()]);
  for (const member of parked) {
    answerParkedJoin(draft, member);
    draft.pendingSync.add(member.memberId);
  }
  startTimer(draft, { kind: "sync" }, rebalanceTimeoutMs(draft));
}

function becomeEmpty(draft: Draft): void {
  draft.generation += 1;
  draft.phase = "Empty";
  draft.initialRebalance = null;
  draft.protocolName = null;
  persistMembership(draft);
}

/**
 * Each member votes for the protocol it likes best among those that every member supports; most votes win, and of two
 * with as many the one that was voted for first.
 */
export function chooseProtocol(members: readonly Member[]): string {
  const votes = new Map<string, number>();
  const candidates = commonProtocols(members);
  for (const member of members) {
    const vote = member.protocols.find(({ name }) => candidates.has(name));
    invariant(vote !== undefined, "no member joins without a protocol that all others support");
    votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
  }
  const [winner] = [...votes].reduce((best, next) => (next[1] > best[1] ? next : best), ["", 0]);
  return winner;
}

/** The names that all of them support, in the first one's order. */
export function commonProtocols(members: readonly Pick<Member, "protocols">[]): ReadonlySet<string> {
  const [first, ...others] = members.map(({ protocols }) => new Set(protocols.map(({ name }) => name)));
  return new Set([...(first ?? [])].filter((name) => others.every((names) => names.has(name))));
}

export function onSyncTimer(draft: Draft): void {
  if (draft.pendingSync.size === 0) return;
  for (const memberId of draft.pendingSync) {
    const member = draft.members.get(memberId);
    if (member !== undefined) removeMember(draft, member);
  }
  rebalance(draft);
}

export function onSessionTimer(draft: Draft, memberId: string): void {
  if (draft.pendingMembers.has(memberId)) return dropPendingMember(draft, memberId);
  const member = draft.members.get(memberId);
  if (member === undefined) return;
  // A parked request is a sign of life: its client cannot heartbeat meanwhile. Not so a newcomer's, which has waited
  // for newMemberJoinTimeoutMs: its client may never have learnt its id and have come back under another one.
  if (!member.isNew && (isParked(member) || member.syncWaiter !== null)) return;
  removeMember(draft, member);
  rebalance(draft);
}
