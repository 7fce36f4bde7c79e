/** DescribeCluster: one broker, which is its own controller. */
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import { CLUSTER_OPERATIONS } from "../operations.ts";
import { NODE_ID } from "../options.ts";
import { describeClusterApi, OPERATIONS_NOT_REQUESTED } from "../schemas/cluster.ts";

const ENDPOINT_BROKERS = 1;

export const describeCluster = handler(describeClusterApi, (request, { engine, peer }) => {
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
    clusterAuthorizedOperations: includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_REQUESTED,
  };
});
