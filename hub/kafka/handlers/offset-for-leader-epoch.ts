/** OffsetForLeaderEpoch: with the one epoch there is, the answer is the end of the log. */
import { StreamError } from "../../../shared/errors.ts";
import { checkTopic } from "../../access/authorize.ts";
import { handler, inTurn, NO_ERROR, settle } from "../handler.ts";
import { LEADER_EPOCH } from "../options.ts";
import { offsetForLeaderEpochApi } from "../schemas/records.ts";

const UNDEFINED_EPOCH = { leaderEpoch: -1, endOffset: -1 };

export const offsetForLeaderEpoch = handler(offsetForLeaderEpochApi, async (request, context) => ({
  topics: await inTurn(request.topics, async ({ topic, partitions }) => ({
    topic,
    partitions: await inTurn(partitions, async ({ partition, currentLeaderEpoch, leaderEpoch }) => {
      const found = await settle(() => {
        checkTopic(context, "describe", topic);
        const { logEndOffset: endOffset } = context.engine.offsets({ topic, partition });
        if (currentLeaderEpoch > LEADER_EPOCH) throw new StreamError("UNKNOWN_LEADER_EPOCH", `${currentLeaderEpoch}`);
        return leaderEpoch === LEADER_EPOCH ? { leaderEpoch, endOffset } : UNDEFINED_EPOCH;
      });
      if (found instanceof StreamError) return { partition, errorCode: found.wire, ...UNDEFINED_EPOCH };
      return { partition, errorCode: NO_ERROR, ...found };
    }),
  })),
}));
