/**
 * DescribeTopicPartitions (KIP-966): topics in the order of their names, cut into answers of a limited number of
 * partitions. The cursor of one answer is where the next one begins.
 */
import { mayTopic } from "../../access/authorize.ts";
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { authorizedOperations } from "../operations.ts";
import { LEADER_EPOCH, NODE_ID } from "../options.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { describeTopicPartitionsApi } from "../schemas/topics.ts";
import { zeroId } from "../topic-ids.ts";
import type { ErrorCode } from "../../../shared/errors.ts";

type DescribeRequest = RequestOf<typeof describeTopicPartitionsApi>;
type DescribeResponse = ResponseOf<typeof describeTopicPartitionsApi>;
type TopicAnswer = DescribeResponse["topics"][number];
type Cursor = NonNullable<DescribeRequest["cursor"]>;

/** Partitions of one answer at the most, whatever is asked for; Kafka's max.request.partition.size.limit. */
const PARTITIONS_MAX = 2000;
const REPLICAS = [NODE_ID];

export const describeTopicPartitions = handler(describeTopicPartitionsApi, (request, context): DescribeResponse => {
  const { topics, cursor, responsePartitionLimit } = request;
  const asksForAll = topics.length === 0;
  const isAllowed = (name: string): boolean => mayTopic(context, "describe", name);
  // Whoever asks for all is not told of what he may not see.
  const asked = asksForAll
    ? Array.from(context.engine.topics.keys()).filter(isAllowed)
    : topics.map(({ name }) => name);
  const names = Array.from(new Set(asked)).toSorted(byName);
  if (cursor !== null && !isValid(cursor, asksForAll, names)) {
    return { topics: names.map((name) => failed(name, "INVALID_REQUEST")), nextCursor: null };
  }
  const limit = Math.min(PARTITIONS_MAX, Math.max(1, responsePartitionLimit));
  const due = names.filter((name) => cursor === null || name >= cursor.topicName);
  const described = describe(due.filter(isAllowed), { cursor, limit }, context);
  const refused = due.filter((name) => !isAllowed(name));
  return {
    topics: [...described.topics, ...refused.map((name) => failed(name, "TOPIC_AUTHORIZATION_FAILED"))],
    nextCursor: described.nextCursor,
  };
});

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** A topic that is gone by now is no mistake where all were asked for. */
const isValid = ({ topicName, partitionIndex }: Cursor, asksForAll: boolean, names: readonly string[]): boolean =>
  partitionIndex >= 0 && (asksForAll || names.includes(topicName));

function describe(
  names: readonly string[],
  { cursor, limit }: { readonly cursor: Cursor | null; readonly limit: number },
  context: RequestContext,
): { readonly topics: readonly TopicAnswer[]; readonly nextCursor: Cursor | null } {
  const topics: TopicAnswer[] = [];
  let left = limit;
  for (const topicName of names) {
    if (left === 0) return { topics, nextCursor: { topicName, partitionIndex: 0 } };
    const info = context.engine.topics.get(topicName);
    if (info === undefined) {
      topics.push(failed(topicName, "UNKNOWN_TOPIC_OR_PARTITION"));
      continue;
    }
    const first = cursor?.topicName === topicName ? Math.min(cursor.partitionIndex, info.partitionCount) : 0;
    const count = Math.min(left, info.partitionCount - first);
    topics.push({
      errorCode: NO_ERROR,
      name: topicName,
      topicId: info.id,
      partitions: Array.from({ length: count }, (_, index) => partitionAnswer(first + index)),
      topicAuthorizedOperations: authorizedOperations(context, { kind: "topic", name: topicName }),
    });
    left -= count;
    if (first + count < info.partitionCount) {
      return { topics, nextCursor: { topicName, partitionIndex: first + count } };
    }
  }
  return { topics, nextCursor: null };
}

const partitionAnswer = (partitionIndex: number) => ({
  errorCode: NO_ERROR,
  partitionIndex,
  leaderId: NODE_ID,
  leaderEpoch: LEADER_EPOCH,
  replicaNodes: REPLICAS,
  isrNodes: REPLICAS,
});

const failed = (name: string, error: ErrorCode): TopicAnswer => ({
  errorCode: wireCode(error),
  name,
  topicId: zeroId,
  partitions: [],
});
