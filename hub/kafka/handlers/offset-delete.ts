/** OffsetDelete: forgets committed offsets of partitions that no member of the group reads. */
import { handler, wireCode } from "../handler.ts";
import { offsetDeleteApi } from "../schemas/groups.ts";

export const offsetDelete = handler(offsetDeleteApi, async ({ groupId, topics }, { groups }) => {
  const at = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
  );
  const result = await groups.deleteOffsets(groupId, at);
  if (result.error !== null) return { errorCode: wireCode(result.error), topics: [] };
  let next = 0;
  return {
    errorCode: wireCode(null),
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: wireCode(result.partitions[next++] ?? null),
      })),
    })),
  };
});
