/**
 * A group of the newer protocol (KIP-848), as a pure function of (state, event): the hub deals the partitions out, and
 * members hear with their heartbeats what to give up and what to take.
 *
 *   heartbeat ─▶ who is it?        members.ts         newcomer, member, fenced
 *             ─▶ what does it want? subscriptions.ts   other topics or members: the group's epoch grows
 *             ─▶ who gets what?    assignor.ts        once for each epoch of the group
 *             ─▶ one step nearer   reconcile.ts       its own partitions only; the others take theirs when they are heard
 *
 * A heartbeat that changes nothing persists nothing. As in coordinator.ts, the runner makes the `persist` effect durable
 * before it takes the new state over and answers, so a member never hears of an epoch that a restart could take back.
 *
 * After a restart the regular expressions' topics are not known until the first heartbeat, which finds them out.
 */
import { unreachable } from "../../../shared/invariant.ts";
import type { ConsumerHeartbeatRequest, ConsumerHeartbeatResult } from "../groups.ts";
import {
  closeConsumerDraft,
  JOIN_EPOCH,
  LEAVE_EPOCH,
  LEAVE_STATIC_EPOCH,
  openConsumerDraft,
  putMember,
  startSession,
} from "./consumer-state.ts";
import type {
  ConsumerDraft,
  ConsumerGroupEvent,
  ConsumerGroupLimits,
  ConsumerGroupState,
  ConsumerMember,
  ConsumerTimer,
  ConsumerTransition,
  World,
} from "./consumer-state.ts";
import { cancelRevocation, failedHeartbeat, findOrAdmit, isRefusal, leave, refusal, remove } from "./members.ts";
import type { Refusal } from "./members.ts";
import { isSamePartitions, toLists } from "./partitions.ts";
import { isSameAssignment, reconcile } from "./reconcile.ts";
import { dealOut, refreshTopics } from "./subscriptions.ts";

type Heartbeat = Extract<ConsumerGroupEvent, { type: "consumer-heartbeat" }>;

export function consumerTransition(
  state: ConsumerGroupState,
  event: ConsumerGroupEvent,
  context: { readonly limits: ConsumerGroupLimits; readonly world: World },
): ConsumerTransition {
  const draft = openConsumerDraft(state, context);
  const isRefused = apply(draft, event);
  if (!isRefused) return closeConsumerDraft(draft);
  // What a refused request has changed on its way is forgotten.
  return { state, effects: draft.effects.filter(({ type }) => type.startsWith("answer-")) };
}

/** @returns whether the request is refused. */
function apply(draft: ConsumerDraft, event: ConsumerGroupEvent): boolean {
  switch (event.type) {
    case "consumer-heartbeat":
      return onHeartbeat(draft, event);
    case "consumer-removal":
      return onRemoval(draft, event);
    case "delete":
      return onDelete(draft, event);
    case "timer-expired":
      return onTimer(draft, event.timer);
    default:
      return unreachable(event);
  }
}

function onHeartbeat(draft: ConsumerDraft, { to, request, newMemberId }: Heartbeat): boolean {
  const named = request.memberId === "" ? { ...request, memberId: newMemberId } : request;
  const fault = draft.isDead ? refusal("COORDINATOR_NOT_AVAILABLE", "the group is being deleted") : undefined;
  const isLeaving = request.epoch === LEAVE_EPOCH || request.epoch === LEAVE_STATIC_EPOCH;
  const outcome = fault ?? (isLeaving ? goodbye(draft, request) : heartbeat(draft, named));
  const result = isRefusal(outcome) ? failedHeartbeat(outcome) : outcome;
  draft.effects.push({ type: "answer-heartbeat", to, result });
  return isRefusal(outcome);
}

function goodbye(draft: ConsumerDraft, request: ConsumerHeartbeatRequest): ConsumerHeartbeatResult | Refusal {
  const { memberId, epoch } = request;
  return (
    leave(draft, request) ?? { error: null, message: null, memberId, epoch, heartbeatIntervalMs: 0, assignment: null }
  );
}

function heartbeat(draft: ConsumerDraft, request: ConsumerHeartbeatRequest): ConsumerHeartbeatResult | Refusal {
  const before = findOrAdmit(draft, request);
  if (isRefusal(before)) return before;
  const told = { ...before, ...statementsOf(request, before, draft.limits.rebalanceTimeoutMaxMs) };
  const isNew = !draft.members.has(told.memberId);
  const isResubscribed = isNew || !isSameSubscription(before, told);
  if (isNew || !isSameStatements(before, told)) putMember(draft, told);
  const isVisible = (topic: string) => request.mayDescribe(topic);
  // Looked at only when it may have become something else: with every heartbeat would be once too often.
  const mayDiffer = isResubscribed || draft.catalog !== draft.world.catalog;
  const isOther = mayDiffer && refreshTopics(draft, isVisible);
  if (isOther || isResubscribed) {
    draft.epoch += 1;
    draft.isChanged = true;
  }
  if (draft.epoch > draft.assignmentEpoch) dealOut(draft);
  const after = reconcile(draft, told, request.owned, isResubscribed);
  if (!isSameAssignment(told, after)) putMember(draft, after);
  startSession(draft, after.memberId);
  watchRevocation(draft, before, after);
  const isFull = request.rebalanceTimeoutMs >= 0 && request.owned !== null && hasSubscription(request);
  const isTold = request.epoch === JOIN_EPOCH || isFull || !isSamePartitions(before.assigned, after.assigned);
  return {
    error: null,
    message: null,
    memberId: after.memberId,
    epoch: after.epoch,
    heartbeatIntervalMs: draft.limits.consumerHeartbeatIntervalMs,
    assignment: isTold ? toLists(after.assigned) : null,
  };
}

/** What is not said again stays as it was. */
function statementsOf(request: ConsumerHeartbeatRequest, before: ConsumerMember, rebalanceTimeoutMaxMs: number) {
  const { clientId, clientHost, subscribedNames, rebalanceTimeoutMs } = request;
  return {
    clientId,
    clientHost,
    instanceId: request.instanceId ?? before.instanceId,
    rackId: request.rackId ?? before.rackId,
    rebalanceTimeoutMs:
      rebalanceTimeoutMs < 0 ? before.rebalanceTimeoutMs : Math.min(rebalanceTimeoutMs, rebalanceTimeoutMaxMs),
    subscribedNames: subscribedNames === null ? before.subscribedNames : [...new Set(subscribedNames)].toSorted(),
    subscribedRegex: request.subscribedRegex ?? before.subscribedRegex,
    assignor: request.assignor ?? before.assignor,
  };
}

function hasSubscription({ subscribedNames, subscribedRegex }: ConsumerHeartbeatRequest): boolean {
  return subscribedNames !== null || subscribedRegex !== null;
}

function isSameSubscription(left: ConsumerMember, right: ConsumerMember): boolean {
  if (left.subscribedRegex !== right.subscribedRegex) return false;
  if (left.subscribedNames.length !== right.subscribedNames.length) return false;
  return left.subscribedNames.every((name, index) => name === right.subscribedNames[index]);
}

function isSameStatements(left: ConsumerMember, right: ConsumerMember): boolean {
  const fields = ["clientId", "clientHost", "instanceId", "rackId", "rebalanceTimeoutMs", "assignor"] as const;
  return isSameSubscription(left, right) && fields.every((field) => left[field] === right[field]);
}

/** A member that is asked to give partitions up has its rebalance timeout to do so, from the last time it was asked. */
function watchRevocation(draft: ConsumerDraft, before: ConsumerMember, after: ConsumerMember): void {
  const { memberId } = after;
  if (after.phase !== "unrevoked") {
    if (before.phase === "unrevoked") cancelRevocation(draft, memberId);
  } else if (before.phase !== "unrevoked" || !isSamePartitions(before.revoking, after.revoking)) {
    const timer: ConsumerTimer = { kind: "revocation", memberId };
    draft.effects.push({ type: "start-timer", timer, delayMs: after.rebalanceTimeoutMs });
  }
}

function onRemoval(
  draft: ConsumerDraft,
  { to, instanceIds }: Extract<ConsumerGroupEvent, { type: "consumer-removal" }>,
): boolean {
  const found = instanceIds.map((instanceId) => draft.members.get(draft.staticMembers.get(instanceId) ?? ""));
  const removed = new Set(found.filter((member) => member !== undefined));
  remove(draft, [...removed]);
  const result = found.map((member) => (member === undefined ? "UNKNOWN_MEMBER_ID" : null));
  draft.effects.push({ type: "answer-removal", to, result });
  return false;
}

/** Only an empty group can be deleted, and its committed offsets go with it. */
function onDelete(draft: ConsumerDraft, { to }: Extract<ConsumerGroupEvent, { type: "delete" }>): boolean {
  const isEmpty = draft.members.size === 0;
  const result = draft.isDead ? "GROUP_ID_NOT_FOUND" : isEmpty ? null : "NON_EMPTY_GROUP";
  if (result === null) {
    draft.isDead = true;
    draft.isChanged = true;
  }
  draft.effects.push({ type: "answer-delete", to, result });
  return false;
}

/** A member that was not heard, or has not given up in time what others wait for, is out. */
function onTimer(draft: ConsumerDraft, { memberId }: ConsumerTimer): boolean {
  const member = draft.members.get(memberId);
  if (member !== undefined) remove(draft, [member]);
  return false;
}
