/** DescribeCluster: one broker, which is its own controller. */
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import { authorizedClusterOperations } from "../operations.ts";
import { NODE_ID } from "../options.ts";
import { describeClusterApi, OPERATIONS_NOT_REQUESTED } from "../schemas/cluster.ts";

const ENDPOINT_BROKERS = 1;

export const describeCluster = handler(describeClusterApi, (request, context) => {
  const { engine, peer } = context;
  const { endpointType, includeClusterAuthorizedOperations } = request;
  if (endpointType !== ENDPOINT_BROKERS) {
    return {
      errorCode: wireCode("INVALID_REQUEST"),
      errorMessage: "there are no controller endpoints",
      endpointType,
      clusterId: "",
      controllerId: -1,
      brokers: [],
    };
  }
  return {
    errorCode: NO_ERROR,
    endpointType,
    clusterId: engine.clusterId,
    controllerId: NODE_ID,
    brokers: [{ brokerId: NODE_ID, ...peer.advertised }],
    clusterAuthorizedOperations: includeClusterAuthorizedOperations
      ? authorizedClusterOperations(context)
      : OPERATIONS_NOT_REQUESTED,
  };
});
