/**
 * Sets of partitions, by topic id. A topic without partitions is never kept, so that `size === 0` means "none at all".
 *
 *   PartitionSet      topic id ▶ partitions                what a member shall own
 *   OwnedPartitions   topic id ▶ partition ▶ epoch         what it does own, and since which of its epochs
 */
import type { Partition } from "../../../shared/ids.ts";

/** 16 bytes as 32 hexadecimal digits: an id can be compared and be a key. */
export type TopicId = string;
export type PartitionSet = ReadonlyMap<TopicId, ReadonlySet<Partition>>;
export type OwnedPartitions = ReadonlyMap<TopicId, ReadonlyMap<Partition, number>>;

type AnySet = ReadonlyMap<TopicId, { has(partition: Partition): boolean; keys(): Iterable<Partition> }>;

export const noPartitions: PartitionSet = new Map();
export const nothingOwned: OwnedPartitions = new Map();

export function contains(set: AnySet, topicId: TopicId, partition: Partition): boolean {
  return set.get(topicId)?.has(partition) ?? false;
}

export function* each(set: AnySet): Generator<readonly [topicId: TopicId, partition: Partition]> {
  for (const [topicId, partitions] of set) for (const partition of partitions.keys()) yield [topicId, partition];
}

export function isSubset(inner: AnySet, outer: AnySet): boolean {
  for (const [topicId, partition] of each(inner)) if (!contains(outer, topicId, partition)) return false;
  return true;
}

export function intersects(left: AnySet, right: AnySet): boolean {
  for (const [topicId, partition] of each(left)) if (contains(right, topicId, partition)) return true;
  return false;
}

/** Partitions alone; the epochs since which they are owned do not count. */
export function isSamePartitions(left: AnySet, right: AnySet): boolean {
  return countOf(left) === countOf(right) && isSubset(left, right);
}

export function countOf(set: AnySet): number {
  let count = 0;
  for (const _ of each(set)) count += 1;
  return count;
}

/** The partitions of `owned` for which `isKept`, and the others. */
export function split(
  owned: OwnedPartitions,
  isKept: (topicId: TopicId, partition: Partition) => boolean,
): { readonly kept: OwnedPartitions; readonly dropped: OwnedPartitions } {
  const kept = new OwnedBuilder();
  const dropped = new OwnedBuilder();
  for (const [topicId, partitions] of owned) {
    for (const [partition, epoch] of partitions) {
      (isKept(topicId, partition) ? kept : dropped).add(topicId, partition, epoch);
    }
  }
  return { kept: kept.owned, dropped: dropped.owned };
}

export class OwnedBuilder {
  readonly #owned: Map<TopicId, Map<Partition, number>>;

  constructor(start: OwnedPartitions = nothingOwned) {
    this.#owned = new Map([...start].map(([topicId, partitions]) => [topicId, new Map(partitions)]));
  }

  add(topicId: TopicId, partition: Partition, epoch: number): void {
    const partitions = this.#owned.get(topicId) ?? new Map<Partition, number>();
    this.#owned.set(topicId, partitions.set(partition, epoch));
  }

  get owned(): OwnedPartitions {
    return this.#owned;
  }
}

/** As lists, in order: for answers and snapshots. */
export function toLists(
  set: AnySet,
): readonly { readonly topicId: TopicId; readonly partitions: readonly Partition[] }[] {
  return Array.from(set, ([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions.keys()].toSorted((left, right) => left - right),
  }));
}

/** Repetitions count once. */
export function fromLists(
  lists: readonly { readonly topicId: TopicId; readonly partitions: readonly Partition[] }[],
): PartitionSet {
  const set = new Map<TopicId, Set<Partition>>();
  for (const { topicId, partitions } of lists) {
    if (partitions.length === 0) continue;
    const known = set.get(topicId) ?? new Set<Partition>();
    set.set(topicId, known);
    for (const partition of partitions) known.add(partition);
  }
  return set;
}
