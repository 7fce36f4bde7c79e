/** Which partitions a group's member has, as people read them. */
import type { Partition } from "../../shared/ids.ts";

export type AssignedPartitions = { readonly topic: string; readonly partitions: readonly Partition[] };

/** "orders 0-3,7; returns 0", by name and number; "-" for none. */
export function formatAssigned(assigned: readonly AssignedPartitions[]): string {
  const texts = assigned
    .filter(({ partitions }) => partitions.length > 0)
    .toSorted((left, right) => (left.topic < right.topic ? -1 : 1))
    .map(({ topic, partitions }) => `${topic} ${formatRanges(partitions)}`);
  return texts.length === 0 ? "-" : texts.join("; ");
}

/** What a member has, and after an arrow what it will have once the others have let go of it. */
export function formatMove(assigned: readonly AssignedPartitions[], target: readonly AssignedPartitions[]): string {
  const [now, then] = [formatAssigned(assigned), formatAssigned(target)];
  return now === then ? now : `${now} → ${then}`;
}

function formatRanges(partitions: readonly Partition[]): string {
  const ranges: { readonly first: Partition; last: Partition }[] = [];
  for (const partition of partitions.toSorted((left, right) => left - right)) {
    const range = ranges.at(-1);
    if (range !== undefined && partition === range.last + 1) range.last = partition;
    else ranges.push({ first: partition, last: partition });
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(",");
}
