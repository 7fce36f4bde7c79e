/**
 * SyncGroup: the leader brings everybody's assignment, the others fetch theirs.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { checkGeneration } from "./checks.ts";
import {
  cancelTimer,
  memberOf,
  persistMembership,
  startSessionTimer,
  type Draft,
  type GroupEvent,
} from "./group-state.ts";
import type { SyncRequest, SyncResult } from "./groups.ts";
import { answerParkedSync, answerSync, failedSync, noBytes, parkSync } from "./parked-requests.ts";

export function onSync(draft: Draft, { request, to }: Extract<GroupEvent, { type: "sync" }>): void {
  const fault = checkSync(draft, request);
  if (fault !== null) return answerSync(draft, to, failedSync(fault));
  draft.pendingSync.delete(request.memberId);
  if (draft.phase === "CompletingRebalance") {
    parkSync(draft, request.memberId, to);
    if (request.memberId === draft.leaderId) assign(draft, request);
  } else {
    // A late follower, or one that has lost its answer.
    const member = memberOf(draft, request.memberId);
    startSessionTimer(draft, member);
    answerSync(draft, to, syncedMember(draft, member.assignment));
  }
  // From here on only sessions decide who stays.
  if (draft.pendingSync.size === 0) cancelTimer(draft, { kind: "sync" });
}

function checkSync(draft: Draft, request: SyncRequest): ErrorCode | null {
  if (draft.phase === "Dead") return "COORDINATOR_NOT_AVAILABLE";
  const fault = checkGeneration(draft, request);
  if (fault !== null) return fault;
  // Sent since v5, where null means an older client, which does not say.
  if (request.protocolType !== null && request.protocolType !== draft.protocolType)
    return "INCONSISTENT_GROUP_PROTOCOL";
  if (request.protocolName !== null && request.protocolName !== draft.protocolName)
    return "INCONSISTENT_GROUP_PROTOCOL";
  if (draft.phase === "PreparingRebalance") return "REBALANCE_IN_PROGRESS";
  const bytes = request.assignments.reduce((sum, { assignment }) => sum + assignment.byteLength, 0);
  return bytes > draft.limits.assignmentBytesMax ? "MESSAGE_TOO_LARGE" : null;
}

function syncedMember(draft: Draft, assignment: Buffer): SyncResult {
  return { error: null, protocolType: draft.protocolType, protocolName: draft.protocolName, assignment };
}

/** Members the leader does not mention own nothing; those it mentions and we do not know are gone meanwhile. */
function assign(draft: Draft, request: SyncRequest): void {
  const assignments = new Map(request.assignments.map(({ memberId, assignment }) => [memberId, assignment]));
  for (const member of draft.members.values()) {
    draft.members.set(member.memberId, { ...member, assignment: assignments.get(member.memberId) ?? noBytes });
  }
  draft.phase = "Stable";
  persistMembership(draft);
  for (const member of draft.members.values()) {
    answerParkedSync(draft, member, syncedMember(draft, member.assignment));
  }
}
