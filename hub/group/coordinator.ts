/**
 * Consumer group membership, as a pure function of (state, event): Kafka's classic group protocol.
 *
 *            join                 all joined | join timer
 *   Empty ─────────▶ PreparingRebalance ─────────────▶ CompletingRebalance
 *     ▲ │              │    ▲   ▲                          │       │
 *     │ │ delete       │    │   └── join | leave | expiry ─┘       │ sync of the leader,
 *     │ ▼              │    │                                      ▼ persisted
 *     │ Dead           │    └───── join | leave | expiry ──────── Stable
 *     └────────────────┘
 *       nobody is left
 *
 * No clock, no socket, no disk, no randomness: the runner (coordinator-runner.ts) feeds one event at a time, makes the
 * `persist` effect durable, takes the new state over, then carries out the other effects. Heartbeats and commits do not
 * change the state; checks.ts answers them. Each folder neighbour owns the rules of one request: join.ts, sync.ts,
 * leave.ts; rebalance.ts owns those between them.
 * Source: Kafka's ClassicGroupState and GroupMetadataManager.
 */
import { unreachable } from "../../shared/invariant.ts";
import { cancelTimer, closeDraft, openDraft } from "./group-state.ts";
import type { Draft, GroupEvent, GroupLimits, GroupState, GroupTimer, RequestId, Transition } from "./group-state.ts";
import { onJoin } from "./join.ts";
import { onLeave } from "./leave.ts";
import { onJoinTimer, onSessionTimer, onSyncTimer } from "./rebalance.ts";
import { onSync } from "./sync.ts";

export function transition(state: GroupState, event: GroupEvent, limits: GroupLimits): Transition {
  const draft = openDraft(state, limits);
  apply(draft, event);
  return closeDraft(draft);
}

function apply(draft: Draft, event: GroupEvent): void {
  switch (event.type) {
    case "join":
      return onJoin(draft, event);
    case "sync":
      return onSync(draft, event);
    case "leave":
      return onLeave(draft, event);
    case "delete":
      return onDelete(draft, event.to);
    case "timer-expired":
      return onTimer(draft, event.timer);
    default:
      return unreachable(event);
  }
}

function onTimer(draft: Draft, timer: GroupTimer): void {
  switch (timer.kind) {
    case "join":
      return onJoinTimer(draft);
    case "sync":
      return onSyncTimer(draft);
    case "session":
      return onSessionTimer(draft, timer.memberId);
    default:
      return unreachable(timer);
  }
}

/** Only an empty group can be deleted, and its committed offsets go with it. Pending ids end with it. */
function onDelete(draft: Draft, to: RequestId): void {
  if (draft.phase === "Dead") {
    return void draft.effects.push({ type: "answer-delete", to, result: "GROUP_ID_NOT_FOUND" });
  }
  if (draft.phase !== "Empty") {
    return void draft.effects.push({ type: "answer-delete", to, result: "NON_EMPTY_GROUP" });
  }
  draft.phase = "Dead";
  draft.saved = null;
  for (const memberId of draft.pendingMembers) cancelTimer(draft, { kind: "session", memberId });
  draft.pendingMembers.clear();
  draft.effects.push({ type: "persist", group: null }, { type: "answer-delete", to, result: null });
}
