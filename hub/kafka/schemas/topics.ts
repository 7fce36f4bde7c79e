/** APIs about topics and their configuration. */
import { api, array, boolean, int16, int32, int8, string, struct, structs, uuid } from "../schema.ts";
import { OPERATIONS_NOT_REQUESTED } from "./cluster.ts";

export const metadataApi = api({
  key: 3,
  name: "Metadata",
  versions: [0, 13],
  flexibleFrom: 9,
  request: {
    topics: structs({ topicId: uuid.from(10), name: string.nullable(10) }).nullable(1),
    allowAutoTopicCreation: boolean.from(4).or(true),
    includeClusterAuthorizedOperations: boolean.between(8, 10).or(false),
    includeTopicAuthorizedOperations: boolean.from(8).or(false),
  },
  response: {
    throttleTimeMs: int32.from(3).or(0),
    brokers: structs({ nodeId: int32, host: string, port: int32, rack: string.nullable().from(1).or(null) }),
    clusterId: string.nullable().from(2),
    controllerId: int32.from(1),
    topics: structs({
      errorCode: int16,
      name: string.nullable(12),
      topicId: uuid.from(10),
      isInternal: boolean.from(1).or(false),
      partitions: structs({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: int32.from(7),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        offlineReplicas: array(int32).from(5).or([]),
      }),
      topicAuthorizedOperations: int32.from(8).or(OPERATIONS_NOT_REQUESTED),
    }),
    clusterAuthorizedOperations: int32.between(8, 10).or(OPERATIONS_NOT_REQUESTED),
    errorCode: int16.from(13).or(0),
  },
});

export const describeTopicPartitionsApi = api({
  key: 75,
  name: "DescribeTopicPartitions",
  note: "up to 2000 partitions an answer",
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    topics: structs({ name: string }),
    responsePartitionLimit: int32.or(2000),
    cursor: struct({ topicName: string, partitionIndex: int32 }).nullable(),
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: structs({
      errorCode: int16,
      name: string.nullable(),
      topicId: uuid,
      isInternal: boolean.or(false),
      partitions: structs({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: int32,
        replicaNodes: array(int32),
        isrNodes: array(int32),
        eligibleLeaderReplicas: array(int32).nullable().or([]),
        lastKnownElr: array(int32).nullable().or([]),
        offlineReplicas: array(int32).or([]),
      }),
      topicAuthorizedOperations: int32.or(OPERATIONS_NOT_REQUESTED),
    }),
    nextCursor: struct({ topicName: string, partitionIndex: int32 }).nullable(),
  },
});

export const listPartitionReassignmentsApi = api({
  key: 46,
  name: "ListPartitionReassignments",
  note: "an empty list: one node has nothing to move",
  versions: [0, 0],
  flexibleFrom: 0,
  request: { timeoutMs: int32, topics: structs({ name: string, partitionIndexes: array(int32) }).nullable() },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable(),
    topics: structs({
      name: string,
      partitions: structs({
        partitionIndex: int32,
        replicas: array(int32),
        addingReplicas: array(int32),
        removingReplicas: array(int32),
      }),
    }),
  },
});

export const createTopicsApi = api({
  key: 19,
  name: "CreateTopics",
  versions: [2, 7],
  flexibleFrom: 5,
  request: {
    topics: structs({
      name: string,
      numPartitions: int32,
      replicationFactor: int16,
      assignments: structs({ partitionIndex: int32, brokerIds: array(int32) }),
      configs: structs({ name: string, value: string.nullable() }),
    }),
    timeoutMs: int32,
    validateOnly: boolean,
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: structs({
      name: string,
      topicId: uuid.from(7),
      errorCode: int16,
      errorMessage: string.nullable(),
      numPartitions: int32.from(5).or(-1),
      replicationFactor: int16.from(5).or(-1),
      configs: structs({
        name: string,
        value: string.nullable(),
        readOnly: boolean,
        configSource: int8,
        isSensitive: boolean,
      })
        .nullable()
        .from(5),
      topicConfigErrorCode: int16.from(5).or(0).tagged(0),
    }),
  },
});

export const deleteTopicsApi = api({
  key: 20,
  name: "DeleteTopics",
  versions: [1, 6],
  flexibleFrom: 4,
  request: {
    topics: structs({ name: string.nullable(), topicId: uuid }).from(6).or([]),
    topicNames: array(string).until(5).or([]),
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: int32.or(0),
    responses: structs({
      name: string.nullable(6),
      topicId: uuid.from(6),
      errorCode: int16,
      errorMessage: string.nullable().from(5),
    }),
  },
});

export const createPartitionsApi = api({
  key: 37,
  name: "CreatePartitions",
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    topics: structs({
      name: string,
      count: int32,
      assignments: structs({ brokerIds: array(int32) }).nullable(),
    }),
    timeoutMs: int32,
    validateOnly: boolean,
  },
  response: {
    throttleTimeMs: int32.or(0),
    results: structs({ name: string, errorCode: int16, errorMessage: string.nullable() }),
  },
});

export const describeConfigsApi = api({
  key: 32,
  name: "DescribeConfigs",
  note: "of topics and of the broker",
  versions: [1, 4],
  flexibleFrom: 4,
  request: {
    resources: structs({
      resourceType: int8,
      resourceName: string,
      configurationKeys: array(string).nullable(),
    }),
    includeSynonyms: boolean,
    includeDocumentation: boolean.from(3).or(false),
  },
  response: {
    throttleTimeMs: int32.or(0),
    results: structs({
      errorCode: int16,
      errorMessage: string.nullable(),
      resourceType: int8,
      resourceName: string,
      configs: structs({
        name: string,
        value: string.nullable(),
        readOnly: boolean,
        configSource: int8,
        isSensitive: boolean,
        synonyms: structs({ name: string, value: string.nullable(), source: int8 }),
        configType: int8.from(3),
        documentation: string.nullable().from(3),
      }),
    }),
  },
});

const alterConfigsResults = structs({
  errorCode: int16,
  errorMessage: string.nullable(),
  resourceType: int8,
  resourceName: string,
});

export const alterConfigsApi = api({
  key: 33,
  name: "AlterConfigs",
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    resources: structs({
      resourceType: int8,
      resourceName: string,
      configs: structs({ name: string, value: string.nullable() }),
    }),
    validateOnly: boolean,
  },
  response: { throttleTimeMs: int32.or(0), responses: alterConfigsResults },
});

export const incrementalAlterConfigsApi = api({
  key: 44,
  name: "IncrementalAlterConfigs",
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    resources: structs({
      resourceType: int8,
      resourceName: string,
      configs: structs({ name: string, configOperation: int8, value: string.nullable() }),
    }),
    validateOnly: boolean,
  },
  response: { throttleTimeMs: int32.or(0), responses: alterConfigsResults },
});
