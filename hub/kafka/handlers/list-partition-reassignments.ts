/** ListPartitionReassignments: on one node nothing moves. */
import { clusterRefused, mayCluster } from "../../access/authorize.ts";
import { handler, NO_ERROR } from "../handler.ts";
import { listPartitionReassignmentsApi } from "../schemas/topics.ts";

export const listPartitionReassignments = handler(listPartitionReassignmentsApi, (_request, context) => {
  if (mayCluster(context, "describe")) return { errorCode: NO_ERROR, errorMessage: null, topics: [] };
  const { wire, message } = clusterRefused(context, "describe");
  return { errorCode: wire, errorMessage: message, topics: [] };
});
