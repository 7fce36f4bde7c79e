/** Where a live reader begins in each partition. */
import type { Static } from "typebox";
import { StreamError } from "../../../shared/errors.ts";
import type { TopicInfo } from "../../engine/engine.ts";
import type { PartitionCursor } from "../api/record-json.ts";
import { startsOf } from "../api/record-routes.ts";
import type { liveQuery } from "../api/schemas.ts";
import type { ApiServices } from "../api/services.ts";

type LiveStart = Partial<Pick<Static<typeof liveQuery>, "from" | "partition" | "offset" | "time" | "cursor">>;

/**
 * What retention has taken since is told as a gap later; what never was is a mistake.
 *
 * @throws StreamError INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE.
 */
export async function liveStarts(
  services: Pick<ApiServices, "engine">,
  topic: TopicInfo,
  { from = "latest", partition, offset, time, cursor }: LiveStart,
): Promise<readonly PartitionCursor[]> {
  const given = Object.fromEntries(
    Object.entries({ partition, offset, time, cursor }).filter(([, value]) => value !== undefined),
  ) as Omit<LiveStart, "from">;
  const starts = await startsOf(services, topic, { order: "asc", ...given });
  const isGiven = offset !== undefined || time !== undefined || cursor !== undefined;
  return starts.map((start) => {
    const at = { topic: topic.name, partition: start.partition };
    const { highWatermark, logEndOffset } = services.engine.offsets(at);
    if (!isGiven && from === "latest") return { ...start, offset: highWatermark };
    if (start.offset <= logEndOffset) return start;
    const message = `${at.topic}/${at.partition} ends at ${logEndOffset}, before ${start.offset}`;
    throw new StreamError("OFFSET_OUT_OF_RANGE", message, { details: { logEndOffset } });
  });
}
