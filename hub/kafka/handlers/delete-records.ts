/** DeleteRecords: moves a partition's log start. */
import { StreamError } from "../../../shared/errors.ts";
import { checkTopic } from "../../access/authorize.ts";
import { handler, inTurn, NO_ERROR, settle } from "../handler.ts";
import { deleteRecordsApi } from "../schemas/records.ts";

/** As an offset: all that is there. */
const HIGH_WATERMARK = -1;
const NO_LOW_WATERMARK = -1;

export const deleteRecords = handler(deleteRecordsApi, async (request, context) => ({
  topics: await inTurn(request.topics, async ({ name, partitions }) => ({
    name,
    partitions: await inTurn(partitions, async ({ partitionIndex, offset }) => {
      const at = { topic: name, partition: partitionIndex };
      const lowWatermark = await settle(() => {
        checkTopic(context, "delete", name);
        const { highWatermark } = context.engine.offsets(at);
        const before = offset === HIGH_WATERMARK ? highWatermark : offset;
        if (before < 0 || before > highWatermark) {
          throw new StreamError("OFFSET_OUT_OF_RANGE", `${offset} is not between 0 and ${highWatermark}`);
        }
        return context.engine.deleteRecords(at, before);
      });
      return lowWatermark instanceof StreamError
        ? { partitionIndex, lowWatermark: NO_LOW_WATERMARK, errorCode: lowWatermark.wire }
        : { partitionIndex, lowWatermark, errorCode: NO_ERROR };
    }),
  })),
}));
