/** APIs of consumer groups, of both protocols, and their committed offsets. */
import { api, array, boolean, bytes, int16, int32, int64, int8, string, struct, structs, uuid } from "../schema.ts";
import { OPERATIONS_NOT_REQUESTED } from "./cluster.ts";

export const joinGroupApi = api({
  key: 11,
  name: "JoinGroup",
  versions: [0, 9],
  flexibleFrom: 6,
  request: {
    groupId: string,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: int32.from(1).or(-1),
    memberId: string,
    groupInstanceId: string.nullable().from(5).or(null),
    protocolType: string,
    protocols: structs({ name: string, metadata: bytes }),
    reason: string.nullable().from(8).or(null),
  },
  response: {
    throttleTimeMs: int32.from(2).or(0),
    errorCode: int16,
    generationId: int32,
    protocolType: string.nullable().from(7),
    protocolName: string.nullable(7),
    leader: string,
    skipAssignment: boolean.from(9),
    memberId: string,
    members: structs({ memberId: string, groupInstanceId: string.nullable().from(5), metadata: bytes }),
  },
});

export const syncGroupApi = api({
  key: 14,
  name: "SyncGroup",
  versions: [0, 5],
  flexibleFrom: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.nullable().from(3).or(null),
    protocolType: string.nullable().from(5).or(null),
    protocolName: string.nullable().from(5).or(null),
    assignments: structs({ memberId: string, assignment: bytes }),
  },
  response: {
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16,
    protocolType: string.nullable().from(5),
    protocolName: string.nullable().from(5),
    assignment: bytes,
  },
});

export const heartbeatApi = api({
  key: 12,
  name: "Heartbeat",
  versions: [0, 4],
  flexibleFrom: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.nullable().from(3).or(null),
  },
  response: { throttleTimeMs: int32.from(1).or(0), errorCode: int16 },
});

export const leaveGroupApi = api({
  key: 13,
  name: "LeaveGroup",
  versions: [0, 5],
  flexibleFrom: 4,
  request: {
    groupId: string,
    memberId: string.until(2).or(""),
    members: structs({
      memberId: string,
      groupInstanceId: string.nullable(),
      reason: string.nullable().from(5).or(null),
    })
      .from(3)
      .or([]),
  },
  response: {
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16,
    members: structs({ memberId: string, groupInstanceId: string.nullable(), errorCode: int16 }).from(3),
  },
});

const heldPartitions = structs({ topicId: uuid, partitions: array(int32) });

export const consumerGroupHeartbeatApi = api({
  key: 68,
  name: "ConsumerGroupHeartbeat",
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: string.nullable().or(null),
    rackId: string.nullable().or(null),
    rebalanceTimeoutMs: int32.or(-1),
    subscribedTopicNames: array(string).nullable().or(null),
    subscribedTopicRegex: string.nullable().from(1).or(null),
    serverAssignor: string.nullable().or(null),
    topicPartitions: heldPartitions.nullable().or(null),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable(),
    memberId: string.nullable(),
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    assignment: struct({ topicPartitions: heldPartitions }).nullable(),
  },
});

const namedPartitions = struct({
  topicPartitions: structs({ topicId: uuid, topicName: string, partitions: array(int32) }),
});

export const consumerGroupDescribeApi = api({
  key: 69,
  name: "ConsumerGroupDescribe",
  versions: [0, 1],
  flexibleFrom: 0,
  request: { groupIds: array(string), includeAuthorizedOperations: boolean.or(false) },
  response: {
    throttleTimeMs: int32.or(0),
    groups: structs({
      errorCode: int16,
      errorMessage: string.nullable(),
      groupId: string,
      groupState: string,
      groupEpoch: int32,
      assignmentEpoch: int32,
      assignorName: string,
      members: structs({
        memberId: string,
        instanceId: string.nullable(),
        rackId: string.nullable(),
        memberEpoch: int32,
        clientId: string,
        clientHost: string,
        subscribedTopicNames: array(string),
        subscribedTopicRegex: string.nullable(),
        assignment: namedPartitions,
        targetAssignment: namedPartitions,
        memberType: int8.from(1),
      }),
      authorizedOperations: int32.or(OPERATIONS_NOT_REQUESTED),
    }),
  },
});

export const offsetCommitApi = api({
  key: 8,
  name: "OffsetCommit",
  versions: [2, 9],
  flexibleFrom: 8,
  request: {
    groupId: string,
    generationIdOrMemberEpoch: int32,
    memberId: string,
    groupInstanceId: string.nullable().from(7).or(null),
    retentionTimeMs: int64.until(4).or(-1),
    topics: structs({
      name: string,
      partitions: structs({
        partitionIndex: int32,
        committedOffset: int64,
        committedLeaderEpoch: int32.from(6).or(-1),
        committedMetadata: string.nullable(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32.from(3).or(0),
    topics: structs({ name: string, partitions: structs({ partitionIndex: int32, errorCode: int16 }) }),
  },
});

const fetchedPartitions = structs({
  partitionIndex: int32,
  committedOffset: int64,
  committedLeaderEpoch: int32.from(5),
  metadata: string.nullable(),
  errorCode: int16,
});

export const offsetFetchApi = api({
  key: 9,
  name: "OffsetFetch",
  versions: [1, 9],
  flexibleFrom: 6,
  request: {
    groupId: string.until(7).or(""),
    topics: structs({ name: string, partitionIndexes: array(int32) })
      .nullable(2)
      .until(7)
      .or(null),
    groups: structs({
      groupId: string,
      memberId: string.nullable().from(9).or(null),
      memberEpoch: int32.from(9).or(-1),
      topics: structs({ name: string, partitionIndexes: array(int32) }).nullable(),
    })
      .from(8)
      .or([]),
    requireStable: boolean.from(7).or(false),
  },
  response: {
    throttleTimeMs: int32.from(3).or(0),
    topics: structs({ name: string, partitions: fetchedPartitions }).until(7).or([]),
    errorCode: int16.between(2, 7).or(0),
    groups: structs({
      groupId: string,
      topics: structs({ name: string, partitions: fetchedPartitions }),
      errorCode: int16,
    })
      .from(8)
      .or([]),
  },
});

export const describeGroupsApi = api({
  key: 15,
  name: "DescribeGroups",
  versions: [0, 6],
  flexibleFrom: 5,
  request: { groups: array(string), includeAuthorizedOperations: boolean.from(3).or(false) },
  response: {
    throttleTimeMs: int32.from(1).or(0),
    groups: structs({
      errorCode: int16,
      errorMessage: string.nullable().from(6).or(null),
      groupId: string,
      groupState: string,
      protocolType: string,
      protocolData: string,
      members: structs({
        memberId: string,
        groupInstanceId: string.nullable().from(4),
        clientId: string,
        clientHost: string,
        memberMetadata: bytes,
        memberAssignment: bytes,
      }),
      authorizedOperations: int32.from(3).or(OPERATIONS_NOT_REQUESTED),
    }),
  },
});

export const listGroupsApi = api({
  key: 16,
  name: "ListGroups",
  versions: [0, 5],
  flexibleFrom: 3,
  request: { statesFilter: array(string).from(4).or([]), typesFilter: array(string).from(5).or([]) },
  response: {
    throttleTimeMs: int32.from(1).or(0),
    errorCode: int16,
    groups: structs({
      groupId: string,
      protocolType: string,
      groupState: string.from(4),
      groupType: string.from(5),
    }),
  },
});

export const deleteGroupsApi = api({
  key: 42,
  name: "DeleteGroups",
  versions: [0, 2],
  flexibleFrom: 2,
  request: { groupsNames: array(string) },
  response: { throttleTimeMs: int32.or(0), results: structs({ groupId: string, errorCode: int16 }) },
});

export const offsetDeleteApi = api({
  key: 47,
  name: "OffsetDelete",
  versions: [0, 0],
  flexibleFrom: Number.POSITIVE_INFINITY,
  request: {
    groupId: string,
    topics: structs({ name: string, partitions: structs({ partitionIndex: int32 }) }),
  },
  response: {
    errorCode: int16,
    throttleTimeMs: int32.or(0),
    topics: structs({ name: string, partitions: structs({ partitionIndex: int32, errorCode: int16 }) }),
  },
});
