/** A group of the newer protocol as administrators see it. */
import type { AnyGroupListing, ConsumerGroupStateName, DescribedConsumerGroup } from "../groups.ts";
import type { ConsumerGroupState } from "./consumer-state.ts";
import { noPartitions, toLists } from "./partitions.ts";

/**
 * Assigning: members or topics have changed, and the next heartbeat deals the partitions out.
 * Reconciling: not everybody owns what it shall own yet.
 */
export function stateName(state: ConsumerGroupState): ConsumerGroupStateName {
  if (state.isDead) return "Dead";
  if (state.members.size === 0) return "Empty";
  if (state.epoch > state.assignmentEpoch) return "Assigning";
  for (const { epoch, phase } of state.members.values()) {
    if (phase !== "stable" || epoch !== state.assignmentEpoch) return "Reconciling";
  }
  return "Stable";
}

export function listConsumerGroup(group: string, state: ConsumerGroupState): AnyGroupListing {
  const memberCount = state.members.size;
  return { group, type: "consumer", protocolType: "consumer", state: stateName(state), memberCount };
}

export function describeConsumerGroup(group: string, state: ConsumerGroupState): DescribedConsumerGroup {
  const members = [...state.members.values()].map((member) => ({
    memberId: member.memberId,
    instanceId: member.instanceId,
    rackId: member.rackId,
    epoch: member.epoch,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedNames: member.subscribedNames,
    subscribedRegex: member.subscribedRegex === "" ? null : member.subscribedRegex,
    assignment: toLists(member.assigned),
    target: toLists(state.target.get(member.memberId) ?? noPartitions),
  }));
  const { epoch, assignmentEpoch, assignor } = state;
  return { group, state: stateName(state), epoch, assignmentEpoch, assignor, members };
}
