/** FindCoordinator: this hub coordinates every group. */
import { distinct, handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { NODE_ID } from "../options.ts";
import { findCoordinatorApi } from "../schemas/cluster.ts";

const KEY_TYPE_GROUP = 0;
/** Answered as well: InitProducerId then says clearly that there are no transactions. */
const KEY_TYPE_TRANSACTION = 1;

export const findCoordinator = handler(findCoordinatorApi, ({ keyType, coordinatorKeys }, context) => {
  const coordinator = coordinatorFor(keyType, context);
  return {
    ...coordinator,
    coordinators: distinct(coordinatorKeys, String).map((each) => ({ key: each, ...coordinator })),
  };
});

function coordinatorFor(keyType: number, { peer }: RequestContext) {
  if (keyType === KEY_TYPE_GROUP || keyType === KEY_TYPE_TRANSACTION) {
    return { errorCode: NO_ERROR, errorMessage: null, nodeId: NODE_ID, ...peer.advertised };
  }
  const errorCode = wireCode("INVALID_REQUEST");
  return { errorCode, errorMessage: `key type ${keyType} is not served`, nodeId: -1, host: "", port: -1 };
}
