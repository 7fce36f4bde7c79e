/**
 * The consumer groups as protocols see them: kafka/ and http/ call this, coordinator-runner.ts implements it.
 * Error codes are values here, because Kafka answers them per member and per partition; null means success.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import type { Generation, Offset, Partition, Timestamp } from "../../shared/ids.ts";
import type { PartitionSet, TopicId } from "./consumer/partitions.ts";

export type GroupProtocol = { readonly name: string; readonly metadata: Buffer };

export type JoinRequest = {
  readonly group: string;
  /** Empty at the first join. */
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  /** As Kafka shows it: "/127.0.0.1". */
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly GroupProtocol[];
  /** JoinGroup v4 and later: a new dynamic member is sent back with an id first (KIP-394). */
  readonly requireKnownMemberId: boolean;
  /** JoinGroup v9 and later: the answer may tell a returning static leader to skip the assignment (KIP-814). */
  readonly supportsSkippingAssignment: boolean;
};

export type JoinedMember = {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly metadata: Buffer;
};

export type JoinResult = {
  readonly error: ErrorCode | null;
  readonly generation: Generation;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly memberId: string;
  readonly skipAssignment: boolean;
  /** Filled for the leader only. */
  readonly members: readonly JoinedMember[];
};

export type SyncRequest = {
  readonly group: string;
  readonly generation: Generation;
  readonly memberId: string;
  readonly instanceId: string | null;
  /** SyncGroup v5 and later; null when not given. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[];
};

export type SyncResult = {
  readonly error: ErrorCode | null;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
};

export type MemberIdentity = { readonly memberId: string; readonly instanceId: string | null };

export type HeartbeatRequest = MemberIdentity & { readonly group: string; readonly generation: Generation };

export type LeaveResult = {
  readonly error: ErrorCode | null;
  readonly members: readonly (MemberIdentity & { readonly error: ErrorCode | null })[];
};

export type OffsetToCommit = {
  readonly topic: string;
  readonly partition: Partition;
  readonly offset: Offset;
  readonly leaderEpoch: number;
  readonly metadata: string | null;
};

export type CommitRequest = {
  readonly group: string;
  /** -1 together with an empty member id: a simple consumer without membership. */
  readonly generation: Generation;
  readonly memberId: string;
  readonly instanceId: string | null;
  /** OffsetCommit v9 and later: the client takes `generation` for a member epoch if its group is of that kind. */
  readonly knowsMemberEpochs: boolean;
  readonly offsets: readonly OffsetToCommit[];
};

export type CommittedPosition = {
  readonly offset: Offset;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly committedAt: Timestamp;
};

/** Kinds of groups, under Kafka's names: of JoinGroup and SyncGroup, and of ConsumerGroupHeartbeat (KIP-848). */
export type GroupType = "classic" | "consumer";

export const groupStates = ["PreparingRebalance", "CompletingRebalance", "Stable", "Empty", "Dead"] as const;
export type GroupStateName = (typeof groupStates)[number];

export const consumerGroupStates = ["Assigning", "Reconciling", "Stable", "Empty", "Dead"] as const;
export type ConsumerGroupStateName = (typeof consumerGroupStates)[number];

export type AnyGroupListing = {
  readonly group: string;
  readonly type: GroupType;
  readonly protocolType: string;
  readonly state: GroupStateName | ConsumerGroupStateName;
  readonly memberCount: number;
};

/** ConsumerGroupHeartbeat: joins, stays, leaves. Null: as said before. */
export type ConsumerHeartbeatRequest = {
  readonly group: string;
  /** Empty in the first request of a client of version 0: it is given an id. */
  readonly memberId: string;
  /** 0 joins, -1 leaves, -2 leaves as a static member that will be back. */
  readonly epoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  /** As Kafka shows it: "/127.0.0.1". */
  readonly clientHost: string;
  /** -1: as said before. */
  readonly rebalanceTimeoutMs: number;
  readonly subscribedNames: readonly string[] | null;
  /** RE2; empty for none. */
  readonly subscribedRegex: string | null;
  readonly assignor: string | null;
  /** What the member reads now. */
  readonly owned: PartitionSet | null;
  /** Whether the member may know of a topic that its expression matches. */
  mayDescribe(topic: string): boolean;
};

export type AssignedTopic = { readonly topicId: TopicId; readonly partitions: readonly Partition[] };

export type ConsumerHeartbeatResult = {
  readonly error: ErrorCode | null;
  readonly message: string | null;
  readonly memberId: string | null;
  readonly epoch: number;
  readonly heartbeatIntervalMs: number;
  /** All that the member may read; null when that is what it was. */
  readonly assignment: readonly AssignedTopic[] | null;
};

export type DescribedConsumerMember = MemberIdentity & {
  readonly rackId: string | null;
  readonly epoch: number;
  readonly clientId: string;
  readonly clientHost: string;
  readonly subscribedNames: readonly string[];
  readonly subscribedRegex: string | null;
  readonly assignment: readonly AssignedTopic[];
  readonly target: readonly AssignedTopic[];
};

export type DescribedConsumerGroup = {
  readonly group: string;
  readonly state: ConsumerGroupStateName;
  readonly epoch: number;
  readonly assignmentEpoch: number;
  readonly assignor: string;
  readonly members: readonly DescribedConsumerMember[];
};

export type GroupListing = {
  readonly group: string;
  readonly protocolType: string;
  readonly state: GroupStateName;
};

export type DescribedMember = MemberIdentity & {
  readonly clientId: string;
  readonly clientHost: string;
  /** Both empty unless the group is stable. */
  readonly metadata: Buffer;
  readonly assignment: Buffer;
};

export type DescribedGroup = GroupListing & {
  /** The chosen protocol; empty unless the group is stable. */
  readonly protocolName: string;
  readonly members: readonly DescribedMember[];
};

export interface Groups {
  /** Parks until the rebalance is complete. */
  join(request: JoinRequest): Promise<JoinResult>;
  /** Parks until the leader has sent the assignment. */
  sync(request: SyncRequest): Promise<SyncResult>;
  heartbeat(request: HeartbeatRequest): ErrorCode | null;
  leave(group: string, members: readonly MemberIdentity[]): Promise<LeaveResult>;
  /** Durable before it resolves. One result for each offset, in order. */
  commit(request: CommitRequest): Promise<readonly (ErrorCode | null)[]>;
  /** Every committed offset of the group by topic and partition; an unknown group has none. */
  committed(group: string): ReadonlyMap<string, ReadonlyMap<Partition, CommittedPosition>>;
  /** Parks only where the answer has to reach the disk first. */
  consumerHeartbeat(request: ConsumerHeartbeatRequest): Promise<ConsumerHeartbeatResult>;
  /** Whether a member may see the group's offsets now; a null member id is somebody outside the group. */
  checkOffsetFetch(
    group: string,
    member: { readonly memberId: string | null; readonly memberEpoch: number },
  ): ErrorCode | null;
  list(): readonly AnyGroupListing[];
  /** A group that is unknown, or not a classic one, is described as Dead and without members. */
  describe(group: string): DescribedGroup;
  /** Undefined when there is no such group of the newer protocol. */
  describeConsumer(group: string): DescribedConsumerGroup | undefined;
  delete(group: string): Promise<ErrorCode | null>;
  deleteOffsets(
    group: string,
    at: readonly { readonly topic: string; readonly partition: Partition }[],
  ): Promise<{ readonly error: ErrorCode | null; readonly partitions: readonly (ErrorCode | null)[] }>;
  /** A topic is gone: its committed offsets go too. */
  forgetTopic(topic: string): Promise<void>;
  close(): Promise<void>;
}
