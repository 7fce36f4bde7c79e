/** InitProducerId: a fresh id for an idempotent producer. Transactions fail at once and for good. */
import { StreamError } from "../../../shared/errors.ts";
import { mayHaveProducerId } from "../../access/authorize.ts";
import { handler, NO_ERROR, settle, wireCode } from "../handler.ts";
import { initProducerIdApi } from "../schemas/records.ts";

export const initProducerId = handler(initProducerIdApi, async ({ transactionalId }, context) => {
  if (transactionalId !== null) {
    return { errorCode: wireCode("TRANSACTIONS_NOT_SUPPORTED"), producerId: -1n, producerEpoch: -1 };
  }
  if (!mayHaveProducerId(context)) {
    return { errorCode: wireCode("CLUSTER_AUTHORIZATION_FAILED"), producerId: -1n, producerEpoch: -1 };
  }
  const producerId = await settle(() => context.engine.newProducerId());
  if (producerId instanceof StreamError) return { errorCode: producerId.wire, producerId: -1n, producerEpoch: -1 };
  return { errorCode: NO_ERROR, producerId, producerEpoch: 0 };
});
