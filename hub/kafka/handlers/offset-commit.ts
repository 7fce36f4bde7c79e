/** OffsetCommit: stored durably before it is answered. */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { OffsetToCommit } from "../../group/groups.ts";
import { mayGroup, mayTopic } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import type { RequestOf } from "../schema.ts";
import { offsetCommitApi } from "../schemas/groups.ts";

/** Older clients do not know GROUP_ID_NOT_FOUND here. */
const GROUP_NOT_FOUND_FROM_VERSION = 9;
/** KIP-848 */
const MEMBER_EPOCH_FROM_VERSION = 9;

export const offsetCommit = handler(offsetCommitApi, async (request, context) => {
  const { engine, groups, version } = context;
  if (!mayGroup(context, "read", request.groupId)) return refusedAll(request, "GROUP_AUTHORIZATION_FAILED");
  const offsets: OffsetToCommit[] = [];
  /** For each partition in order: its place in `offsets`, or undefined when it does not exist. */
  const places: (number | undefined)[] = [];
  const unreadable = new Set<string>();
  for (const { name, partitions } of request.topics) {
    if (!mayTopic(context, "read", name)) {
      unreadable.add(name);
      continue;
    }
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
    knowsMemberEpochs: version >= MEMBER_EPOCH_FROM_VERSION,
    offsets,
  });
  let next = 0;
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        if (unreadable.has(name)) return { partitionIndex, errorCode: wireCode("TOPIC_AUTHORIZATION_FAILED") };
        const place = places[next++];
        const error = place === undefined ? "UNKNOWN_TOPIC_OR_PARTITION" : (results[place] ?? null);
        return { partitionIndex, errorCode: wireCode(inVersion(error, version)) };
      }),
    })),
  };
});

function refusedAll({ topics }: RequestOf<typeof offsetCommitApi>, error: ErrorCode) {
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: wireCode(error) })),
    })),
  };
}

function inVersion(error: ErrorCode | null, version: number): ErrorCode | null {
  return error === "GROUP_ID_NOT_FOUND" && version < GROUP_NOT_FOUND_FROM_VERSION ? "ILLEGAL_GENERATION" : error;
}
