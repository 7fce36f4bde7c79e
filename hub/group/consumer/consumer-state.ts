/**
 * The nouns of a group of the newer protocol (KIP-848): its state, what happens to it (events) and what the runner has
 * to do (effects). Values only; consumer-coordinator.ts has the rules.
 *
 * Three epochs tell how far everybody is:
 *
 *   group epoch        grows when members or topics change, so that the partitions have to be dealt out anew
 *   assignment epoch   the group epoch that the target assignment was made for
 *   member epoch       the assignment epoch that this member has reached: its target is what it owns
 *
 * A member is on its way from what it owns to its target:
 *
 *   unrevoked    owns partitions that it must give up, and has not said yet that it did; stays in its epoch
 *   unreleased   has given up all it must, and waits for partitions that others still own
 *   stable       owns its target
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Partition } from "../../../shared/ids.ts";
import type { RequestId } from "../group-state.ts";
import type { ConsumerHeartbeatRequest, ConsumerHeartbeatResult } from "../groups.ts";
import type { OwnedPartitions, PartitionSet, TopicId } from "./partitions.ts";

/** The member epochs that are orders. */
export const JOIN_EPOCH = 0;
export const LEAVE_EPOCH = -1;
/** A static member leaves and will be back: its partitions are kept for it until its session ends. */
export const LEAVE_STATIC_EPOCH = -2;

export type ConsumerGroupLimits = {
  readonly membersMax: number;
  /** Ids, host, subscription of one member together: all that it makes us keep, but for its partitions. */
  readonly memberBytesMax: number;
  /** Longer wishes are cut to this. */
  readonly rebalanceTimeoutMaxMs: number;
  /** Members of this protocol do not choose it: Kafka's group.consumer.session.timeout.ms. */
  readonly consumerSessionTimeoutMs: number;
  /** What members are told: Kafka's group.consumer.heartbeat.interval.ms. */
  readonly consumerHeartbeatIntervalMs: number;
};

export const defaultConsumerGroupLimits = {
  // Kafka's own values.
  consumerSessionTimeoutMs: 45_000,
  consumerHeartbeatIntervalMs: 5_000,
} as const satisfies Partial<ConsumerGroupLimits>;

export type CatalogTopic = { readonly id: TopicId; readonly partitionCount: number };
/** Every topic of the hub by name. Another object exactly when something in it is different. */
export type TopicCatalog = ReadonlyMap<string, CatalogTopic>;

/** What the group sees of the world while it handles one event. */
export type World = {
  readonly catalog: TopicCatalog;
  /** The topics of `catalog` that an expression matches; undefined when that has not been found out yet. */
  matching(regex: string): readonly string[] | undefined;
};

export type MemberPhase = "stable" | "unrevoked" | "unreleased";

export type ConsumerMember = {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly subscribedNames: readonly string[];
  /** Empty for none. */
  readonly subscribedRegex: string;
  /** The assignor this member would like. */
  readonly assignor: string | null;
  /** LEAVE_STATIC_EPOCH while a static member is away. */
  readonly epoch: number;
  /** A request with this one may be the repetition of one whose answer was lost. */
  readonly previousEpoch: number;
  readonly phase: MemberPhase;
  readonly assigned: OwnedPartitions;
  /** Not assigned any more, but the member may still read them: nobody else gets them. */
  readonly revoking: OwnedPartitions;
};

/** A group as the disk has it. */
export type SavedConsumerGroup = {
  readonly epoch: number;
  readonly assignmentEpoch: number;
  /** The subscribed topics as they were when the epoch last grew. */
  readonly topics: TopicCatalog;
  readonly assignor: string;
  /** In the order of joining. */
  readonly members: readonly ConsumerMember[];
  readonly target: ReadonlyMap<string, PartitionSet>;
};

export type ConsumerGroupState = Omit<SavedConsumerGroup, "members"> & {
  readonly isDead: boolean;
  readonly members: ReadonlyMap<string, ConsumerMember>;
  /** Instance id to member id. */
  readonly staticMembers: ReadonlyMap<string, string>;
  /** What `topics` was last compared with; null after a restart. */
  readonly catalog: TopicCatalog | null;
  /** The topics of each member's regular expression. */
  readonly matches: ReadonlyMap<string, readonly string[]>;
};

export type ConsumerTimer =
  | { readonly kind: "session"; readonly memberId: string }
  /** Runs while the member is `unrevoked`. */
  | { readonly kind: "revocation"; readonly memberId: string };

export type ConsumerGroupEvent =
  | {
      readonly type: "consumer-heartbeat";
      readonly to: RequestId;
      readonly request: ConsumerHeartbeatRequest;
      /** Never used before; for clients of version 0, which do not name themselves. */
      readonly newMemberId: string;
    }
  /** An administrator sends a static member away. */
  | { readonly type: "consumer-removal"; readonly to: RequestId; readonly instanceIds: readonly string[] }
  | { readonly type: "delete"; readonly to: RequestId }
  | { readonly type: "timer-expired"; readonly timer: ConsumerTimer };

export type ConsumerAnswer =
  | { readonly type: "answer-heartbeat"; readonly to: RequestId; readonly result: ConsumerHeartbeatResult }
  /** For each instance id, in order. */
  | { readonly type: "answer-removal"; readonly to: RequestId; readonly result: readonly (ErrorCode | null)[] }
  | { readonly type: "answer-delete"; readonly to: RequestId; readonly result: ErrorCode | null };

export type ConsumerGroupEffect =
  | ConsumerAnswer
  /** To be durable before the new state is taken over and before any other effect; null deletes the group. */
  | { readonly type: "persist"; readonly group: SavedConsumerGroup | null }
  | { readonly type: "start-timer"; readonly timer: ConsumerTimer; readonly delayMs: number }
  | { readonly type: "cancel-timer"; readonly timer: ConsumerTimer };

export type ConsumerTransition = {
  readonly state: ConsumerGroupState;
  readonly effects: readonly ConsumerGroupEffect[];
};

export const DEFAULT_ASSIGNOR = "uniform";

/** @param epoch that of the classic group before it, if there was one: epochs of one group never go back. */
export function emptyConsumerGroup(epoch: number): ConsumerGroupState {
  return {
    isDead: false,
    epoch,
    assignmentEpoch: epoch,
    topics: new Map(),
    assignor: DEFAULT_ASSIGNOR,
    members: new Map(),
    staticMembers: new Map(),
    target: new Map(),
    catalog: null,
    matches: new Map(),
  };
}

/** Inside one transition: a shallow copy of the state that the rules may change. Members are replaced, never changed. */
export type ConsumerDraft = {
  -readonly [
    Field in keyof Omit<ConsumerGroupState, "members" | "staticMembers" | "target">
  ]: ConsumerGroupState[Field];
} & {
  readonly members: Map<string, ConsumerMember>;
  readonly staticMembers: Map<string, string>;
  readonly target: Map<string, PartitionSet>;
  readonly limits: ConsumerGroupLimits;
  readonly world: World;
  readonly effects: ConsumerGroupEffect[];
  /** Something has changed that must outlive the hub. */
  isChanged: boolean;
};

export function openConsumerDraft(
  state: ConsumerGroupState,
  { limits, world }: Pick<ConsumerDraft, "limits" | "world">,
): ConsumerDraft {
  return {
    ...state,
    members: new Map(state.members),
    staticMembers: new Map(state.staticMembers),
    target: new Map(state.target),
    limits,
    world,
    effects: [],
    isChanged: false,
  };
}

export function closeConsumerDraft(draft: ConsumerDraft): ConsumerTransition {
  const { effects, isChanged, limits: _limits, world: _world, ...state } = draft;
  if (!isChanged) return { state, effects };
  const { epoch, assignmentEpoch, topics, assignor, target } = state;
  const members = [...state.members.values()];
  const group = state.isDead ? null : { epoch, assignmentEpoch, topics, assignor, target, members };
  return { state, effects: [{ type: "persist", group }, ...effects] };
}

/** A member in its new shape. */
export function putMember(draft: ConsumerDraft, member: ConsumerMember): void {
  draft.members.set(member.memberId, member);
  if (member.instanceId !== null) draft.staticMembers.set(member.instanceId, member.memberId);
  draft.isChanged = true;
}

export function startSession(draft: ConsumerDraft, memberId: string): void {
  const timer: ConsumerTimer = { kind: "session", memberId };
  draft.effects.push({ type: "start-timer", timer, delayMs: draft.limits.consumerSessionTimeoutMs });
}

/** The group as it comes back from disk: members keep their epochs and have a full session to be heard again. */
export function restoreConsumerGroup(saved: SavedConsumerGroup, limits: ConsumerGroupLimits): ConsumerTransition {
  const { members, ...rest } = saved;
  const effects: ConsumerGroupEffect[] = [];
  const staticMembers = new Map<string, string>();
  for (const { memberId, instanceId, phase, rebalanceTimeoutMs } of members) {
    if (instanceId !== null) staticMembers.set(instanceId, memberId);
    effects.push({
      type: "start-timer",
      timer: { kind: "session", memberId },
      delayMs: limits.consumerSessionTimeoutMs,
    });
    if (phase !== "unrevoked") continue;
    effects.push({ type: "start-timer", timer: { kind: "revocation", memberId }, delayMs: rebalanceTimeoutMs });
  }
  const byId = new Map(members.map((member) => [member.memberId, member]));
  return { state: { ...emptyConsumerGroup(0), ...rest, members: byId, staticMembers }, effects };
}

/** Whether the member owns the partition, and since which of its epochs. */
export function ownedSince(member: ConsumerMember, topicId: TopicId, partition: Partition): number | undefined {
  return member.assigned.get(topicId)?.get(partition) ?? member.revoking.get(topicId)?.get(partition);
}
