/**
 * Assignor `uniform`: every member has as many partitions as every other, give or take one, and no more partitions move
 * than that takes.
 *
 *   1. keep    each member keeps what it had, as far as it is subscribed to it and it exists
 *   2. deal    what nobody has goes to the subscriber with the fewest, the topics with the fewest subscribers first
 *   3. level   while one has at least two more than another that may take one of its partitions, one moves over
 *
 * With equal subscriptions 3 ends with all members within one of each other. With different ones it ends when no single
 * move makes it any better: who alone subscribes to a large topic has more than the others.
 *
 * Topics with the same subscribers are alike here and are looked at together, so that a move costs as many steps as there
 * are members and such kinds of topics, not as there are partitions.
 */
import { invariant } from "../../../shared/invariant.ts";
import type { Partition } from "../../../shared/ids.ts";
import type { AssignableMember, AssignorInput, AssignorResult } from "./assignor.ts";
import type { TopicId } from "./partitions.ts";

type Place = readonly [topicId: TopicId, partition: Partition];

/** One member, and what it holds of each kind. */
type Holder = {
  readonly member: AssignableMember;
  readonly index: number;
  count: number;
  readonly held: Map<Kind, Place[]>;
};
/** Topics with the same subscribers. */
type Kind = { readonly subscribers: readonly Holder[]; readonly unowned: Place[]; readonly topicIds: TopicId[] };

export function assignUniformly({ members, topics }: AssignorInput): AssignorResult {
  const holders = members.map((member, index): Holder => ({ member, index, count: 0, held: new Map() }));
  const kinds = kindsOf(holders, topics);
  for (const kind of kinds) keep(kind, topics);
  for (const kind of kinds) for (const place of kind.unowned) give(fewest(kind.subscribers), kind, place);
  level(holders);
  return new Map(holders.map((holder) => [holder.member.memberId, toSet(holder)]));
}

function kindsOf(holders: readonly Holder[], topics: AssignorInput["topics"]): readonly Kind[] {
  const kinds = new Map<string, Kind>();
  for (const topicId of topics.keys()) {
    const subscribers = holders.filter(({ member }) => member.subscribed.has(topicId));
    if (subscribers.length === 0) continue;
    const key = subscribers.map(({ index }) => String.fromCodePoint(index)).join("");
    const kind = kinds.get(key) ?? { subscribers, unowned: [], topicIds: [] };
    kind.topicIds.push(topicId);
    kinds.set(key, kind);
  }
  return [...kinds.values()].toSorted((left, right) => left.subscribers.length - right.subscribers.length);
}

function keep(kind: Kind, topics: AssignorInput["topics"]): void {
  for (const topicId of kind.topicIds) {
    const partitionCount = topics.get(topicId)?.partitionCount ?? 0;
    const owned = new Set<Partition>();
    for (const holder of kind.subscribers) {
      for (const partition of holder.member.target.get(topicId) ?? []) {
        if (partition >= partitionCount || owned.has(partition)) continue;
        owned.add(partition);
        give(holder, kind, [topicId, partition]);
      }
    }
    for (let partition = 0; partition < partitionCount; partition++) {
      if (!owned.has(partition)) kind.unowned.push([topicId, partition]);
    }
  }
}

function give(holder: Holder, kind: Kind, place: Place): void {
  const held = holder.held.get(kind);
  if (held === undefined) holder.held.set(kind, [place]);
  else held.push(place);
  holder.count += 1;
}

function fewest(holders: readonly Holder[]): Holder {
  return holders.reduce((best, holder) => (holder.count < best.count ? holder : best));
}

function level(holders: readonly Holder[]): void {
  // Always from the fullest that can give: nobody gives what it would get back. Each move makes the sum of the squares
  // smaller, so this comes to an end.
  for (let isMoved = true; isMoved;) {
    const byCount = holders.toSorted((left, right) => right.count - left.count);
    const least = byCount.at(-1)?.count ?? 0;
    isMoved = byCount.some((giver) => giver.count - least >= 2 && moveOneFrom(giver, least));
  }
}

/** To the subscriber with the fewest, if that has at least two less. @param least what the poorest of all has. */
function moveOneFrom(giver: Holder, least: number): boolean {
  let best: { readonly kind: Kind; readonly taker: Holder } | undefined;
  for (const [kind, held] of giver.held) {
    if (held.length === 0) continue;
    const taker = fewest(kind.subscribers);
    if (best === undefined || taker.count < best.taker.count) best = { kind, taker };
    if (taker.count === least) break;
  }
  if (best === undefined || giver.count - best.taker.count < 2) return false;
  // The last dealt: a long-held partition stays where it is.
  const place = giver.held.get(best.kind)?.pop();
  invariant(place !== undefined, "the giver holds a partition of the kind");
  giver.count -= 1;
  give(best.taker, best.kind, place);
  return true;
}

function toSet({ held }: Holder): ReadonlyMap<TopicId, ReadonlySet<Partition>> {
  const set = new Map<TopicId, Set<Partition>>();
  for (const places of held.values()) {
    for (const [topicId, partition] of places) {
      const partitions = set.get(topicId) ?? new Set<Partition>();
      set.set(topicId, partitions.add(partition));
    }
  }
  return set;
}
