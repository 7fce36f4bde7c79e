/** APIs about the cluster as such: what it speaks, who it is, who coordinates. */
import { api, array, boolean, int16, int32, int8, string, structs } from "../schema.ts";

/** What `authorizedOperations` fields hold when they were not asked for. */
export const OPERATIONS_NOT_REQUESTED = -2147483648;

export const apiVersionsApi = api({
  key: 18,
  name: "ApiVersions",
  versions: [0, 4],
  flexibleFrom: 3,
  request: { clientSoftwareName: string.from(3), clientSoftwareVersion: string.from(3) },
  response: {
    errorCode: int16,
    apiKeys: structs({ apiKey: int16, minVersion: int16, maxVersion: int16 }),
    throttleTimeMs: int32.from(1).or(0),
  },
});

export const findCoordinatorApi = api({
  key: 10,
  name: "FindCoordinator",
  note: "the hub, for groups; refused for transactions",
  versions: [0, 6],
  flexibleFrom: 3,
  request: {
    key: string.until(3).or(""),
    keyType: int8.from(1).or(0),
    coordinatorKeys: array(string).from(4).or([]),
  },
  response: {
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16.until(3).or(0),
    errorMessage: string.nullable().between(1, 3).or(null),
    nodeId: int32.until(3).or(-1),
    host: string.until(3).or(""),
    port: int32.until(3).or(-1),
    coordinators: structs({
      key: string,
      nodeId: int32,
      host: string,
      port: int32,
      errorCode: int16,
      errorMessage: string.nullable(),
    })
      .from(4)
      .or([]),
  },
});

export const describeClusterApi = api({
  key: 60,
  name: "DescribeCluster",
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    includeClusterAuthorizedOperations: boolean,
    endpointType: int8.from(1).or(1),
    includeFencedBrokers: boolean.from(2).or(false),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    endpointType: int8.from(1).or(1),
    clusterId: string,
    controllerId: int32,
    brokers: structs({
      brokerId: int32,
      host: string,
      port: int32,
      rack: string.nullable().or(null),
      isFenced: boolean.from(2).or(false),
    }),
    clusterAuthorizedOperations: int32.or(OPERATIONS_NOT_REQUESTED),
  },
});
