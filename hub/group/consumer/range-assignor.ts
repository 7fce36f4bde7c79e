/**
 * Assignor `range`: each topic by itself is cut into ranges of neighbouring partitions, one for each subscribed member in
 * a fixed order. So the same partitions of two topics with the same number of them go to the same member, which is what
 * joins over two topics need. Earlier members have one partition more where the numbers do not divide.
 *
 *   5 partitions, members a b c      a: 0 1    b: 2 3    c: 4
 *
 * It keeps nothing of what was: the order does. Static members come first, by instance id, so that their restarts do not
 * move ranges.
 */
import type { Partition } from "../../../shared/ids.ts";
import type { AssignableMember, AssignorInput, AssignorResult } from "./assignor.ts";
import type { TopicId } from "./partitions.ts";

export function assignRanges({ members, topics }: AssignorInput): AssignorResult {
  const ordered = members.toSorted(compareMembers);
  const dealt = new Map(members.map(({ memberId }) => [memberId, new Map<TopicId, Set<Partition>>()]));
  for (const [topicId, { partitionCount }] of topics) {
    const subscribers = ordered.filter(({ subscribed }) => subscribed.has(topicId));
    let next = 0;
    for (const [index, { memberId }] of subscribers.entries()) {
      const count = Math.ceil((partitionCount - next) / (subscribers.length - index));
      if (count === 0) break;
      const partitions = new Set(Array.from({ length: count }, (_, at) => next + at));
      dealt.get(memberId)?.set(topicId, partitions);
      next += count;
    }
  }
  return dealt;
}

function compareMembers(left: AssignableMember, right: AssignableMember): number {
  if ((left.instanceId === null) !== (right.instanceId === null)) return left.instanceId === null ? 1 : -1;
  return compare(left.instanceId ?? left.memberId, right.instanceId ?? right.memberId);
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
