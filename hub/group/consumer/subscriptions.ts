/**
 * Which topics the members want, and whether that has become something else: then the group's epoch grows and the
 * partitions are dealt out anew.
 */
import { assignors, type AssignableMember } from "./assignor.ts";
import { DEFAULT_ASSIGNOR } from "./consumer-state.ts";
import type { CatalogTopic, ConsumerDraft, ConsumerGroupState, ConsumerMember } from "./consumer-state.ts";
import { noPartitions, type TopicId } from "./partitions.ts";

type Matches = Pick<ConsumerGroupState, "matches">;

/**
 * Compares the subscribed topics with what exists now.
 *
 * @param isVisible whether the member that is heard may know of the topic: an expression must not tell it of others.
 * @returns whether topics came, went, or grew.
 */
export function refreshTopics(draft: ConsumerDraft, isVisible: (topic: string) => boolean): boolean {
  const isNewCatalog = draft.catalog !== draft.world.catalog;
  const isComplete = refreshMatches(draft, isNewCatalog, isVisible);
  const topics = new Map<string, CatalogTopic>();
  for (const member of draft.members.values()) {
    for (const name of subscribedTopics(draft, member)) {
      const topic = draft.world.catalog.get(name);
      if (topic !== undefined) topics.set(name, topic);
    }
  }
  // With an expression whose topics are not known yet, the next heartbeat looks again.
  draft.catalog = isComplete ? draft.world.catalog : null;
  if (isSameTopics(draft.topics, topics)) return false;
  draft.topics = topics;
  draft.isChanged = true;
  return true;
}

/** Members have gone; the topics that only they wanted go with them. */
export function dropUnsubscribedTopics(draft: ConsumerDraft): void {
  const wanted = new Set<string>();
  for (const member of draft.members.values()) for (const name of subscribedTopics(draft, member)) wanted.add(name);
  draft.topics = new Map([...draft.topics].filter(([name]) => wanted.has(name)));
}

/** @returns false when the world does not know all of them yet. */
function refreshMatches(draft: ConsumerDraft, isNewCatalog: boolean, isVisible: (topic: string) => boolean): boolean {
  const matches = new Map<string, readonly string[]>();
  let isComplete = true;
  for (const { subscribedRegex } of draft.members.values()) {
    if (subscribedRegex === "" || matches.has(subscribedRegex)) continue;
    const known = draft.matches.get(subscribedRegex);
    const found = isNewCatalog || known === undefined ? draft.world.matching(subscribedRegex) : known;
    if (found === undefined) isComplete = false;
    const visible = found === known ? known : found?.filter(isVisible);
    if (visible !== undefined || known !== undefined) matches.set(subscribedRegex, visible ?? known ?? []);
  }
  draft.matches = matches;
  return isComplete;
}

function isSameTopics(left: ReadonlyMap<string, CatalogTopic>, right: ReadonlyMap<string, CatalogTopic>): boolean {
  if (left.size !== right.size) return false;
  for (const [name, { id, partitionCount }] of left) {
    const other = right.get(name);
    if (other === undefined || other.id !== id || other.partitionCount !== partitionCount) return false;
  }
  return true;
}

export function subscribedTopics({ matches }: Matches, member: ConsumerMember): ReadonlySet<string> {
  return new Set([...member.subscribedNames, ...(matches.get(member.subscribedRegex) ?? [])]);
}

/** Those that exist. */
export function subscribedIds(
  state: Pick<ConsumerGroupState, "matches" | "topics">,
  member: ConsumerMember,
): ReadonlySet<TopicId> {
  const ids = new Set<TopicId>();
  for (const name of subscribedTopics(state, member)) {
    const topic = state.topics.get(name);
    if (topic !== undefined) ids.add(topic.id);
  }
  return ids;
}

/** The assignor that most members would like; of two with as many the one asked for first. */
export function preferredAssignor(members: Iterable<ConsumerMember>): string {
  const votes = new Map<string, number>();
  for (const { assignor } of members) if (assignor !== null) votes.set(assignor, (votes.get(assignor) ?? 0) + 1);
  let winner: string | undefined;
  for (const [name, count] of votes) if (winner === undefined || count > (votes.get(winner) ?? 0)) winner = name;
  return winner ?? DEFAULT_ASSIGNOR;
}

/** Deals the partitions out for the group's present epoch. */
export function dealOut(draft: ConsumerDraft): void {
  draft.assignor = preferredAssignor(draft.members.values());
  const topics = new Map([...draft.topics.values()].map(({ id, partitionCount }) => [id, { partitionCount }]));
  const members = [...draft.members.values()].map((member): AssignableMember => ({
    memberId: member.memberId,
    instanceId: member.instanceId,
    subscribed: subscribedIds(draft, member),
    target: draft.target.get(member.memberId) ?? noPartitions,
  }));
  const assign = assignors.get(draft.assignor);
  draft.target.clear();
  for (const [memberId, partitions] of assign?.({ members, topics }) ?? []) draft.target.set(memberId, partitions);
  draft.assignmentEpoch = draft.epoch;
  draft.isChanged = true;
}
