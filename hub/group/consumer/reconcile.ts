/**
 * Brings one member nearer to its target, as far as the others let it. Called with every heartbeat of the member.
 *
 *              owns too much                        it has revoked all of it
 *   stable ────────────────────▶ unrevoked ─────────────┬───────────────────────────▶ stable
 *     │                            ▲    │               │ others still own a part     ▲
 *     │                            └────┘ still owns    ▼                             │ nobody does any more
 *     └──────────────────────────────────────────────▶ unreleased ────────────────────┘
 *        others own a part of the target
 *
 * The rule over all of it: a partition is given to a member only while no other member has it, be it assigned or about
 * to be revoked. So no partition is ever read by two members, whatever is lost on the way.
 * Source: KIP-848 and Kafka's CurrentAssignmentBuilder.
 */
import type { Partition } from "../../../shared/ids.ts";
import type { ConsumerDraft, ConsumerMember } from "./consumer-state.ts";
import {
  contains,
  each,
  intersects,
  isSamePartitions,
  noPartitions,
  nothingOwned,
  OwnedBuilder,
  split,
} from "./partitions.ts";
import type { OwnedPartitions, PartitionSet, TopicId } from "./partitions.ts";
import { subscribedIds } from "./subscriptions.ts";

/**
 * @param reported what the member says it owns; null when it does not say.
 * @param isResubscribed the member has just changed its subscription: what it does not want any more goes at once.
 */
export function reconcile(
  draft: ConsumerDraft,
  member: ConsumerMember,
  reported: PartitionSet | null,
  isResubscribed: boolean,
): ConsumerMember {
  if (member.phase === "stable" && member.epoch === draft.assignmentEpoch && !isResubscribed) return member;
  const stillOwns = (partitions: OwnedPartitions) =>
    partitions.size > 0 && (reported === null || intersects(reported, partitions));
  if (member.phase === "unrevoked" && stillOwns(member.revoking)) {
    return isResubscribed ? revokeUnsubscribed(draft, member) : member;
  }
  const target = wantedTarget(draft, member);
  const { kept, dropped } = split(member.assigned, (...at) => contains(target, ...at));
  if (stillOwns(dropped)) return { ...member, phase: "unrevoked", assigned: kept, revoking: dropped };
  const others = [...draft.members.values()].filter(({ memberId }) => memberId !== member.memberId);
  const assigned = new OwnedBuilder(kept);
  let phase: ConsumerMember["phase"] = "stable";
  for (const [topicId, partition] of each(target)) {
    if (contains(kept, topicId, partition)) continue;
    if (others.some((other) => holds(other, topicId, partition))) phase = "unreleased";
    else assigned.add(topicId, partition, draft.assignmentEpoch);
  }
  return {
    ...member,
    phase,
    epoch: draft.assignmentEpoch,
    previousEpoch: member.epoch === draft.assignmentEpoch ? member.previousEpoch : member.epoch,
    assigned: assigned.owned,
    revoking: nothingOwned,
  };
}

function holds(member: ConsumerMember, topicId: TopicId, partition: Partition): boolean {
  return contains(member.assigned, topicId, partition) || contains(member.revoking, topicId, partition);
}

/** Its share of the target, without topics that it has meanwhile given up or that are gone. */
function wantedTarget(draft: ConsumerDraft, member: ConsumerMember): PartitionSet {
  const subscribed = subscribedIds(draft, member);
  const target = draft.target.get(member.memberId) ?? noPartitions;
  return new Map([...target].filter(([topicId]) => subscribed.has(topicId)));
}

/** More to revoke while it is still revoking. */
function revokeUnsubscribed(draft: ConsumerDraft, member: ConsumerMember): ConsumerMember {
  const subscribed = subscribedIds(draft, member);
  const { kept, dropped } = split(member.assigned, (topicId) => subscribed.has(topicId));
  if (dropped.size === 0) return member;
  const revoking = new OwnedBuilder(member.revoking);
  for (const [topicId, partitions] of dropped) {
    for (const [partition, epoch] of partitions) revoking.add(topicId, partition, epoch);
  }
  return { ...member, assigned: kept, revoking: revoking.owned };
}

/** Whether there is anything of it to remember. */
export function isSameAssignment(left: ConsumerMember, right: ConsumerMember): boolean {
  if (left.epoch !== right.epoch || left.phase !== right.phase || left.previousEpoch !== right.previousEpoch)
    return false;
  return isSamePartitions(left.assigned, right.assigned) && isSamePartitions(left.revoking, right.revoking);
}
