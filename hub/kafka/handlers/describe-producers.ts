/** DescribeProducers: which producers have written to a partition, and how far they are. */
import { StreamError } from "../../../shared/errors.ts";
import { checkTopic } from "../../access/authorize.ts";
import { distinct, handler, inTurn, NO_ERROR, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { ResponseOf } from "../schema.ts";
import { describeProducersApi } from "../schemas/records.ts";

type PartitionAnswer = ResponseOf<typeof describeProducersApi>["topics"][number]["partitions"][number];

export const describeProducers = handler(describeProducersApi, async (request, context) => ({
  topics: await inTurn(
    distinct(request.topics, ({ name }) => name),
    async ({ name, partitionIndexes }) => ({
      name,
      partitions: await inTurn(distinct(partitionIndexes, String), (partition) => describe(name, partition, context)),
    }),
  ),
}));

async function describe(topic: string, partition: number, context: RequestContext): Promise<PartitionAnswer> {
  const producers = await settle(() => {
    checkTopic(context, "read", topic);
    return context.engine.producersOf({ topic, partition });
  });
  if (producers instanceof StreamError) {
    return {
      partitionIndex: partition,
      errorCode: producers.wire,
      errorMessage: producers.reason,
      activeProducers: [],
    };
  }
  return {
    partitionIndex: partition,
    errorCode: NO_ERROR,
    errorMessage: null,
    activeProducers: producers.map(({ producerId, producerEpoch, lastSequence, storedAt }) => ({
      producerId,
      producerEpoch,
      lastSequence,
      lastTimestamp: storedAt,
      coordinatorEpoch: -1,
      currentTxnStartOffset: -1,
    })),
  };
}
