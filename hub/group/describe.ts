/** A group as administrators see it (ListGroups, DescribeGroups, the dashboard). */
import type { GroupState } from "./group-state.ts";
import type { AnyGroupListing, DescribedGroup, GroupListing } from "./groups.ts";
import { metadataFor, noBytes } from "./parked-requests.ts";

function listGroup(group: string, state: GroupState): GroupListing {
  return { group, protocolType: state.protocolType ?? "", state: state.phase };
}

export function listClassicGroup(group: string, state: GroupState): AnyGroupListing {
  return { ...listGroup(group, state), type: "classic", memberCount: state.members.size };
}

/**
 * Between two generations no protocol is chosen, and each member is shown with what it was given last, as Kafka does: an
 * administrator who looks during a rebalance sees who holds what.
 */
export function describeGroup(group: string, state: GroupState): DescribedGroup {
  const isStable = state.phase === "Stable";
  const members = [...state.members.values()].map((member) => ({
    memberId: member.memberId,
    instanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    metadata: isStable ? metadataFor(member, state.protocolName) : noBytes,
    assignment: member.assignment,
  }));
  return { ...listGroup(group, state), protocolName: isStable ? (state.protocolName ?? "") : "", members };
}

export function deadGroup(group: string): DescribedGroup {
  return { group, protocolType: "", state: "Dead", protocolName: "", members: [] };
}
