/** OffsetFetch: of one group up to version 7, of a list from version 8 on. An unknown group has no offsets. */
import type { Partition } from "../../../shared/ids.ts";
import type { CommittedPosition } from "../../group/groups.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import { mayGroup, mayTopic } from "../../access/authorize.ts";
import { distinct, handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { ResponseOf } from "../schema.ts";
import { offsetFetchApi } from "../schemas/groups.ts";

const GROUPS_FROM_VERSION = 8;
/** Before, errors came with partitions only. */
const GROUP_ERROR_FROM_VERSION = 2;

type AskedTopic = { readonly name: string; readonly partitionIndexes: readonly Partition[] };
type AskedTopics = readonly AskedTopic[] | null;
type TopicAnswer = NonNullable<ResponseOf<typeof offsetFetchApi>["topics"]>[number];
type PartitionAnswer = TopicAnswer["partitions"][number];

export const offsetFetch = handler(offsetFetchApi, (request, context) => {
  const may = (groupId: string): boolean => mayGroup(context, "describe", groupId);
  const error = "GROUP_AUTHORIZATION_FAILED";
  if (context.version < GROUPS_FROM_VERSION) {
    const { groupId, topics } = request;
    if (may(groupId)) return { topics: committed(context, groupId, topics) };
    const asked = context.version < GROUP_ERROR_FROM_VERSION ? (topics ?? []) : [];
    return { errorCode: wireCode(error), topics: asked.map((topic) => refused(topic, error)) };
  }
  return {
    groups: distinct(request.groups, ({ groupId }) => groupId).map(({ groupId, topics, ...member }) => {
      const fault = may(groupId) ? context.groups.checkOffsetFetch(groupId, member) : error;
      return {
        groupId,
        topics: fault === null ? committed(context, groupId, topics) : [],
        errorCode: wireCode(fault),
      };
    }),
  };
});

/** Null asks for all. */
function committed(context: RequestContext, group: string, asked: AskedTopics): readonly TopicAnswer[] {
  const offsets = context.groups.committed(group);
  const may = (topic: string): boolean => mayTopic(context, "describe", topic);
  if (asked === null) {
    const shown = Array.from(offsets).filter(([name]) => may(name));
    return shown.map(([name, partitions]) => ({
      name,
      partitions: Array.from(partitions, ([partition, position]) => answer(partition, position)),
    }));
  }
  return asked.map((topic) => {
    const { name, partitionIndexes } = topic;
    if (!may(name)) return refused(topic, "TOPIC_AUTHORIZATION_FAILED");
    const partitions = partitionIndexes.map((partition) => answer(partition, offsets.get(name)?.get(partition)));
    return { name, partitions };
  });
}

function refused({ name, partitionIndexes }: AskedTopic, error: ErrorCode): TopicAnswer {
  const errorCode = wireCode(error);
  return { name, partitions: partitionIndexes.map((partition) => ({ ...answer(partition, undefined), errorCode })) };
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
