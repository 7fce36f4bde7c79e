/**
 * LeaveGroup: members go of their own accord (a static one is sent away by an administrator under its instance id).
 * Several leave with one request, and the group rebalances once for all of them.
 */
import { checkMember } from "./checks.ts";
import { memberOf, type Draft, type GroupEvent } from "./group-state.ts";
import type { LeaveResult, MemberIdentity } from "./groups.ts";
import { dropPendingMember, rebalance, removeMember } from "./rebalance.ts";

type LeftMember = LeaveResult["members"][number];

export function onLeave(draft: Draft, event: Extract<GroupEvent, { type: "leave" }>): void {
  if (draft.phase === "Dead") {
    const result: LeaveResult = { error: "COORDINATOR_NOT_AVAILABLE", members: [] };
    return void draft.effects.push({ type: "answer-leave", to: event.to, result });
  }
  const countBefore = draft.members.size;
  const members = event.members.map((who) => leave(draft, who));
  if (draft.members.size < countBefore) rebalance(draft);
  draft.effects.push({ type: "answer-leave", to: event.to, result: { error: null, members } });
}

function leave(draft: Draft, who: MemberIdentity): LeftMember {
  if (draft.pendingMembers.has(who.memberId)) {
    dropPendingMember(draft, who.memberId);
    return { ...who, error: null };
  }
  const holder = who.memberId === "" && who.instanceId !== null ? draft.staticMembers.get(who.instanceId) : undefined;
  const memberId = holder ?? who.memberId;
  const error = checkMember(draft, { memberId, instanceId: who.instanceId });
  if (error === null) removeMember(draft, memberOf(draft, memberId));
  return { ...who, error };
}
