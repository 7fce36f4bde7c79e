/**
 * The nouns of a consumer group: its state, what happens to it (events) and what the runner has to do (effects).
 * Values only; coordinator.ts has the diagram of the phases and the one function from (state, event) to the next state.
 *
 * Inside one transition the rules work on a `Draft`, a shallow copy of the state that they may change; members are
 * replaced, never changed, so the state that went in stays as it was.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import type { Generation } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type {
  GroupProtocol,
  GroupStateName,
  JoinRequest,
  JoinResult,
  LeaveResult,
  MemberIdentity,
  SyncRequest,
  SyncResult,
} from "./groups.ts";

/** Names one parked or running request; the runner gives the numbers and knows who waits behind each. */
export type RequestId = number;

export type GroupLimits = {
  readonly membersMax: number;
  /** Protocol names, protocol metadata, client id and instance id of one member together: all that it makes us keep. */
  readonly memberBytesMax: number;
  readonly protocolsMax: number;
  /** The leader's whole assignment, over all members. */
  readonly assignmentBytesMax: number;
  readonly sessionTimeoutMinMs: number;
  readonly sessionTimeoutMaxMs: number;
  /** Longer wishes are cut to this, so that no request is parked for longer. */
  readonly rebalanceTimeoutMaxMs: number;
  readonly initialRebalanceDelayMs: number;
  readonly newMemberJoinTimeoutMs: number;
};

export const defaultGroupLimits: GroupLimits = {
  membersMax: 200,
  memberBytesMax: 64 * 1024,
  protocolsMax: 32,
  assignmentBytesMax: 4 * 1024 * 1024,
  // Kafka's minimum. Its maximum is 30 minutes; 5 keep a dead member's partitions from standing still for half an hour.
  sessionTimeoutMinMs: 6_000,
  sessionTimeoutMaxMs: 300_000,
  // Clients send max.poll.interval.ms here, and some set that to "never".
  rebalanceTimeoutMaxMs: 24 * 60 * 60 * 1000,
  // Kafka waits 3 s for the other members of a group that starts. Members of one deployment on one site join within
  // tens of milliseconds of each other, and whoever looks at an edge dashboard notices 3 s.
  initialRebalanceDelayMs: 300,
  // Kafka's constant: a new member cannot heartbeat while its first join is parked.
  newMemberJoinTimeoutMs: 300_000,
};

/** What a member keeps from one generation to the next, and across a restart. */
export type SavedMember = MemberIdentity & {
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** In the member's order of preference. */
  readonly protocols: readonly GroupProtocol[];
  readonly assignment: Buffer;
};

export type Member = SavedMember & {
  readonly joinWaiter: RequestId | null;
  readonly syncWaiter: RequestId | null;
  /** True from the first join until that join is answered with a generation. */
  readonly isNew: boolean;
};

/** A group as the disk has it: Stable when it has members, else Empty. */
export type SavedGroup = {
  readonly generation: Generation;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  readonly members: readonly SavedMember[];
};

export type GroupState = {
  readonly phase: GroupStateName;
  readonly generation: Generation;
  /** Null in a group that never had a member: only simple consumers commit there. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  /** In the order of joining. */
  readonly members: ReadonlyMap<string, Member>;
  /** Ids that were given out with MEMBER_ID_REQUIRED and have not come back yet (KIP-394), oldest first. */
  readonly pendingMembers: ReadonlySet<string>;
  /** Members that have their generation but have not asked for their assignment. */
  readonly pendingSync: ReadonlySet<string>;
  /** Instance id to member id (KIP-345). */
  readonly staticMembers: ReadonlyMap<string, string>;
  /** Set exactly while the phase is PreparingRebalance and it was Empty before. */
  readonly initialRebalance: { readonly remainingMs: number; readonly isMemberAdded: boolean } | null;
  /** What was persisted last; null when the disk does not know the group's members. */
  readonly saved: SavedGroup | null;
};

/** The session timer of a pending id has the same key as that of the member it becomes: starting one ends the other. */
export type GroupTimer =
  | { readonly kind: "join" }
  | { readonly kind: "sync" }
  | { readonly kind: "session"; readonly memberId: string };

export type GroupEvent =
  | {
      readonly type: "join";
      readonly to: RequestId;
      readonly request: JoinRequest;
      /** Never used before; taken when this join needs a new id. */
      readonly newMemberId: string;
    }
  | { readonly type: "sync"; readonly to: RequestId; readonly request: SyncRequest }
  | { readonly type: "leave"; readonly to: RequestId; readonly members: readonly MemberIdentity[] }
  | { readonly type: "delete"; readonly to: RequestId }
  | { readonly type: "timer-expired"; readonly timer: GroupTimer };

export type AnswerEffect =
  | { readonly type: "answer-join"; readonly to: RequestId; readonly result: JoinResult }
  | { readonly type: "answer-sync"; readonly to: RequestId; readonly result: SyncResult }
  | { readonly type: "answer-leave"; readonly to: RequestId; readonly result: LeaveResult }
  | { readonly type: "answer-delete"; readonly to: RequestId; readonly result: ErrorCode | null };

export type GroupEffect =
  | AnswerEffect
  /** To be durable before the new state is taken over and before any other effect; null deletes the group. */
  | { readonly type: "persist"; readonly group: SavedGroup | null }
  /** Starts the timer again when it runs already. */
  | { readonly type: "start-timer"; readonly timer: GroupTimer; readonly delayMs: number }
  | { readonly type: "cancel-timer"; readonly timer: GroupTimer };

export type Transition = { readonly state: GroupState; readonly effects: readonly GroupEffect[] };

export const emptyGroup: GroupState = {
  phase: "Empty",
  generation: 0,
  protocolType: null,
  protocolName: null,
  leaderId: null,
  members: new Map(),
  pendingMembers: new Set(),
  pendingSync: new Set(),
  staticMembers: new Map(),
  initialRebalance: null,
  saved: null,
};

export type Draft = {
  -readonly [
    Field in keyof Omit<GroupState, "members" | "pendingMembers" | "pendingSync" | "staticMembers">
  ]: GroupState[Field];
} & {
  readonly members: Map<string, Member>;
  readonly pendingMembers: Set<string>;
  readonly pendingSync: Set<string>;
  readonly staticMembers: Map<string, string>;
  readonly limits: GroupLimits;
  readonly effects: GroupEffect[];
};

export function openDraft(state: GroupState, limits: GroupLimits): Draft {
  return {
    ...state,
    members: new Map(state.members),
    pendingMembers: new Set(state.pendingMembers),
    pendingSync: new Set(state.pendingSync),
    staticMembers: new Map(state.staticMembers),
    limits,
    effects: [],
  };
}

export function closeDraft(draft: Draft): Transition {
  const { effects, limits: _limits, ...state } = draft;
  return { state, effects };
}

export function memberOf(draft: Draft, memberId: string): Member {
  const member = draft.members.get(memberId);
  invariant(member !== undefined, `member ${memberId} is in the group`);
  return member;
}

export function startTimer(draft: Draft, timer: GroupTimer, delayMs: number): void {
  draft.effects.push({ type: "start-timer", timer, delayMs });
}

export function cancelTimer(draft: Draft, timer: GroupTimer): void {
  draft.effects.push({ type: "cancel-timer", timer });
}

/** A newcomer cannot heartbeat before its first join is answered, so it is given longer. */
export function sessionMs(member: Member, limits: GroupLimits): number {
  return member.isNew ? limits.newMemberJoinTimeoutMs : member.sessionTimeoutMs;
}

export function startSessionTimer(draft: Draft, member: Member): void {
  startTimer(draft, { kind: "session", memberId: member.memberId }, sessionMs(member, draft.limits));
}

/** The longest wish of all members decides how long the group waits for them. */
export function rebalanceTimeoutMs(draft: Draft): number {
  let longestMs = 0;
  for (const member of draft.members.values()) longestMs = Math.max(longestMs, member.rebalanceTimeoutMs);
  return longestMs;
}

/** Remembers what goes to disk, for the static member that changes its id while the group is not stable. */
export function persist(draft: Draft, group: SavedGroup): void {
  draft.saved = group;
  draft.effects.push({ type: "persist", group });
}

export function persistMembership(draft: Draft): void {
  persist(draft, {
    generation: draft.generation,
    protocolType: draft.protocolType,
    protocolName: draft.protocolName,
    leaderId: draft.leaderId,
    members: [...draft.members.values()].map(
      ({ joinWaiter: _join, syncWaiter: _sync, isNew: _new, ...saved }) => saved,
    ),
  });
}

/** The group as it comes back from disk: every member has a full session to be heard again; nobody has to rejoin. */
export function restoreGroup(saved: SavedGroup): Transition {
  const members = new Map<string, Member>();
  const staticMembers = new Map<string, string>();
  const effects: GroupEffect[] = [];
  for (const member of saved.members) {
    members.set(member.memberId, { ...member, joinWaiter: null, syncWaiter: null, isNew: false });
    if (member.instanceId !== null) staticMembers.set(member.instanceId, member.memberId);
    const timer: GroupTimer = { kind: "session", memberId: member.memberId };
    effects.push({ type: "start-timer", timer, delayMs: member.sessionTimeoutMs });
  }
  const { generation, protocolType, protocolName, leaderId } = saved;
  const phase = members.size > 0 ? "Stable" : "Empty";
  const membership = { generation, protocolType, protocolName, leaderId, members, staticMembers };
  return { state: { ...emptyGroup, ...membership, phase, saved }, effects };
}
