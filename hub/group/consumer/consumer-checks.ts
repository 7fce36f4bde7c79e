/**
 * Questions to a group of the newer protocol that do not change it: may this one commit, fetch, delete offsets?
 * Source: Kafka's ConsumerGroup.validateOffsetCommit, validateOffsetFetch; KIP-848, KIP-1251.
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Partition } from "../../../shared/ids.ts";
import type { CommitRequest } from "../groups.ts";
import { ownedSince } from "./consumer-state.ts";
import type { ConsumerGroupState, ConsumerMember, TopicCatalog } from "./consumer-state.ts";
import { subscribedTopics } from "./subscriptions.ts";

/** An error for the whole commit, or a question to ask for each partition. */
export type CommitVerdict = ErrorCode | ((topic: string, partition: Partition) => ErrorCode | null);

const allowed = (): null => null;

export function checkConsumerCommit(
  state: ConsumerGroupState,
  request: CommitRequest,
  catalog: TopicCatalog,
): CommitVerdict {
  if (state.isDead) return "COORDINATOR_NOT_AVAILABLE";
  // Administrators set the offsets of a group without members.
  if (request.generation < 0 && state.members.size === 0) return allowed;
  const member = state.members.get(request.memberId);
  if (member === undefined) return "UNKNOWN_MEMBER_ID";
  if (!request.knowsMemberEpochs) return "UNSUPPORTED_VERSION";
  if (request.generation > member.epoch || request.generation < 0) return "STALE_MEMBER_EPOCH";
  if (request.generation === member.epoch) return allowed;
  // The member does not know its new epoch yet. What it has owned all the time since is still its own.
  return (topic, partition) => {
    const id = catalog.get(topic)?.id;
    const since = id === undefined ? undefined : ownedSince(member, id, partition);
    return since !== undefined && since <= request.generation ? null : "STALE_MEMBER_EPOCH";
  };
}

export function checkConsumerFetch(
  state: ConsumerGroupState,
  { memberId, memberEpoch }: { readonly memberId: string | null; readonly memberEpoch: number },
): ErrorCode | null {
  // Administrators, and clients that do not say.
  if (memberId === null && memberEpoch < 0) return null;
  const member: ConsumerMember | undefined = state.members.get(memberId ?? "");
  if (member === undefined) return "UNKNOWN_MEMBER_ID";
  return member.epoch === memberEpoch ? null : "STALE_MEMBER_EPOCH";
}

/** The topics whose offsets may not be deleted, because a member reads them. */
export function checkConsumerOffsetDelete(
  state: ConsumerGroupState,
): ErrorCode | { readonly inUse: ReadonlySet<string> } {
  if (state.isDead) return "GROUP_ID_NOT_FOUND";
  const inUse = new Set<string>(state.topics.keys());
  for (const member of state.members.values()) for (const topic of subscribedTopics(state, member)) inUse.add(topic);
  return { inUse };
}
