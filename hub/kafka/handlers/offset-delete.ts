/** OffsetDelete: forgets committed offsets of partitions that no member of the group reads. */
import { mayGroup, mayTopic } from "../../access/authorize.ts";
import { handler, wireCode } from "../handler.ts";
import { offsetDeleteApi } from "../schemas/groups.ts";

export const offsetDelete = handler(offsetDeleteApi, async ({ groupId, topics }, context) => {
  if (!mayGroup(context, "delete", groupId)) return { errorCode: wireCode("GROUP_AUTHORIZATION_FAILED"), topics: [] };
  const allowed = new Set(topics.map(({ name }) => name).filter((name) => mayTopic(context, "read", name)));
  const readable = topics.filter(({ name }) => allowed.has(name));
  const at = readable.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
  );
  const result = await context.groups.deleteOffsets(groupId, at);
  if (result.error !== null) return { errorCode: wireCode(result.error), topics: [] };
  let next = 0;
  return {
    errorCode: wireCode(null),
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: wireCode(allowed.has(name) ? (result.partitions[next++] ?? null) : "TOPIC_AUTHORIZATION_FAILED"),
      })),
    })),
  };
});
