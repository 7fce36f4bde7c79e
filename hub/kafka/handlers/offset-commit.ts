/** OffsetCommit: stored durably before it is answered. */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { OffsetToCommit } from "../../group/groups.ts";
import { handler, wireCode } from "../handler.ts";
import { offsetCommitApi } from "../schemas/groups.ts";

/** Older clients do not know GROUP_ID_NOT_FOUND here. */
const GROUP_NOT_FOUND_FROM_VERSION = 9;

export const offsetCommit = handler(offsetCommitApi, async (request, { engine, groups, version }) => {
  const offsets: OffsetToCommit[] = [];
  /** For each partition in order: its place in `offsets`, or undefined when it does not exist. */
  const places: (number | undefined)[] = [];
  for (const { name, partitions } of request.topics) {
    const partitionCount = engine.topics.get(name)?.partitionCount ?? 0;
    for (const { partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata } of partitions) {
      const exists = partitionIndex >= 0 && partitionIndex < partitionCount;
      places.push(exists ? offsets.length : undefined);
      if (!exists) continue;
      offsets.push({
        topic: name,
        partition: partitionIndex,
        offset: committedOffset,
        leaderEpoch: committedLeaderEpoch,
        metadata: committedMetadata,
      });
    }
  }
  const results = await groups.commit({
    group: request.groupId,
    generation: request.generationIdOrMemberEpoch,
    memberId: request.memberId,
    instanceId: request.groupInstanceId,
    offsets,
  });
  let next = 0;
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        const place = places[next++];
        const error = place === undefined ? "UNKNOWN_TOPIC_OR_PARTITION" : (results[place] ?? null);
        return { partitionIndex, errorCode: wireCode(inVersion(error, version)) };
      }),
    })),
  };
});

function inVersion(error: ErrorCode | null, version: number): ErrorCode | null {
  return error === "GROUP_ID_NOT_FOUND" && version < GROUP_NOT_FOUND_FROM_VERSION ? "ILLEGAL_GENERATION" : error;
}
