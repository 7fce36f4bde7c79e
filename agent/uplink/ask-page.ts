/** Which topics a hello or announce names: the answer has a place in a message for so many partitions. Pure. */
import type { Lane } from "./lane.ts";
import { UPLINK_ASK_PARTITIONS_MAX } from "../../shared/uplink/frames.ts";

/**
 * The first of `partitionCounts` (by topic) that go together; the rest are for another page. A topic is not cut in two, so
 * one that is larger goes alone.
 */
export function askPage(partitionCounts: ReadonlyMap<string, number>): Map<string, number> {
  const page = new Map<string, number>();
  let partitions = 0;
  for (const [topic, count] of partitionCounts) {
    if (page.size > 0 && partitions + count > UPLINK_ASK_PARTITIONS_MAX) break;
    page.set(topic, count);
    partitions += count;
  }
  return page;
}

/** Topics with a lane about which the hub was not asked, and how many partitions they have. */
export function unknownTopics(lanes: ReadonlyMap<number, Pick<Lane, "phase" | "source">>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { phase, source } of lanes.values()) if (phase === "unknown") counts.set(source.topic, 1);
  if (counts.size === 0) return counts;
  for (const { source } of lanes.values()) {
    const count = counts.get(source.topic);
    if (count !== undefined) counts.set(source.topic, Math.max(count, source.partition + 1));
  }
  return counts;
}
