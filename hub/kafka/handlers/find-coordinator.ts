/** FindCoordinator: this hub coordinates every group. */
import { mayGroup } from "../../access/authorize.ts";
import { distinct, handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { NODE_ID } from "../options.ts";
import { findCoordinatorApi } from "../schemas/cluster.ts";

const KEY_TYPE_GROUP = 0;
/** There are no transactions, and here is the one place where a client can be told so in words: docs/adr/0009. */
const KEY_TYPE_TRANSACTION = 1;
/** From here on the clients ask that show the words for any error but 53; librdkafka, which shows them for 53, stops before. */
const WORDS_FROM_VERSION = 4;
const NO_TRANSACTIONS = "this hub has no transactions; use the idempotent producer without transactional.id";

export const findCoordinator = handler(findCoordinatorApi, (request, context) => ({
  // Up to version 3 one key, from version 4 on a list; the answer to the other is not sent.
  ...coordinatorFor(request.key, request.keyType, context),
  coordinators: distinct(request.coordinatorKeys, String).map((key) => ({
    key,
    ...coordinatorFor(key, request.keyType, context),
  })),
}));

function coordinatorFor(key: string, keyType: number, context: RequestContext) {
  const nowhere = { nodeId: -1, host: "", port: -1 };
  if (keyType === KEY_TYPE_GROUP && !mayGroup(context, "describe", key)) {
    const errorMessage = "no permission to describe the group";
    return { errorCode: wireCode("GROUP_AUTHORIZATION_FAILED"), errorMessage, ...nowhere };
  }
  if (keyType === KEY_TYPE_TRANSACTION) {
    const error = context.version < WORDS_FROM_VERSION ? "TRANSACTIONS_NOT_SUPPORTED" : "INVALID_REQUEST";
    return { errorCode: wireCode(error), errorMessage: NO_TRANSACTIONS, ...nowhere };
  }
  if (keyType === KEY_TYPE_GROUP) {
    return { errorCode: NO_ERROR, errorMessage: null, nodeId: NODE_ID, ...context.peer.advertised };
  }
  const errorCode = wireCode("INVALID_REQUEST");
  return { errorCode, errorMessage: `key type ${keyType} is not served`, ...nowhere };
}
