/** CreatePartitions: lets a topic grow; consumers notice with their next metadata and rebalance by themselves. */
import { StreamError } from "../../../shared/errors.ts";
import { checkTopic } from "../../access/authorize.ts";
import { distinct, handler, inTurn, NO_ERROR, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { NODE_ID } from "../options.ts";
import type { RequestOf } from "../schema.ts";
import { createPartitionsApi } from "../schemas/topics.ts";

type AskedTopic = RequestOf<typeof createPartitionsApi>["topics"][number];

export const createPartitions = handler(createPartitionsApi, async ({ topics, validateOnly }, context) => ({
  results: await inTurn(
    distinct(topics, ({ name }) => name),
    async (asked) => {
      const grown = await settle(() => grow(asked, validateOnly, context));
      return grown instanceof StreamError
        ? { name: asked.name, errorCode: grown.wire, errorMessage: grown.reason }
        : { name: asked.name, errorCode: NO_ERROR, errorMessage: null };
    },
  ),
}));

async function grow(asked: AskedTopic, validateOnly: boolean, context: RequestContext): Promise<void> {
  const { engine, options } = context;
  const { name, count, assignments } = asked;
  checkTopic(context, "alter", name);
  const topic = engine.topics.get(name);
  if (topic === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
  if (count <= topic.partitionCount || count > options.partitionCountMax) {
    const range = `more than ${topic.partitionCount} and at most ${options.partitionCountMax}`;
    throw new StreamError("INVALID_PARTITIONS", `${count} partitions; ${name} can have ${range}`);
  }
  const isHere = ({ brokerIds }: { readonly brokerIds: readonly number[] }): boolean =>
    brokerIds.length === 1 && brokerIds[0] === NODE_ID;
  if (assignments !== null && (assignments.length !== count - topic.partitionCount || !assignments.every(isHere))) {
    throw new StreamError("INVALID_REPLICA_ASSIGNMENT", `every new partition must have the one replica ${NODE_ID}`);
  }
  if (!validateOnly) await engine.createPartitions(name, count);
}
