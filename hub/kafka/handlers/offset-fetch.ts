/** OffsetFetch: of one group up to version 7, of a list from version 8 on. An unknown group has no offsets. */
import type { Partition } from "../../../shared/ids.ts";
import type { CommittedPosition, Groups } from "../../group/groups.ts";
import { distinct, handler, NO_ERROR } from "../handler.ts";
import type { ResponseOf } from "../schema.ts";
import { offsetFetchApi } from "../schemas/groups.ts";

const GROUPS_FROM_VERSION = 8;

type AskedTopics = readonly { readonly name: string; readonly partitionIndexes: readonly Partition[] }[] | null;
type TopicAnswer = NonNullable<ResponseOf<typeof offsetFetchApi>["topics"]>[number];
type PartitionAnswer = TopicAnswer["partitions"][number];

export const offsetFetch = handler(offsetFetchApi, (request, { groups, version }) => {
  if (version < GROUPS_FROM_VERSION) return { topics: committed(groups, request.groupId, request.topics) };
  return {
    groups: distinct(request.groups, ({ groupId }) => groupId).map(({ groupId, topics }) => ({
      groupId,
      topics: committed(groups, groupId, topics),
      errorCode: NO_ERROR,
    })),
  };
});

/** Null asks for all. */
function committed(groups: Groups, group: string, asked: AskedTopics): readonly TopicAnswer[] {
  const offsets = groups.committed(group);
  if (asked === null) {
    return Array.from(offsets, ([name, partitions]) => ({
      name,
      partitions: Array.from(partitions, ([partition, position]) => answer(partition, position)),
    }));
  }
  return asked.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partition) => answer(partition, offsets.get(name)?.get(partition))),
  }));
}

function answer(partitionIndex: Partition, position: CommittedPosition | undefined): PartitionAnswer {
  return {
    partitionIndex,
    committedOffset: position?.offset ?? -1,
    committedLeaderEpoch: position?.leaderEpoch ?? -1,
    metadata: position?.metadata ?? "",
    errorCode: NO_ERROR,
  };
}
