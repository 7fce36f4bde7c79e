/** The rows of kafka-permissions.ts: each API with what it asks for, and a request that would reveal or change much. */
import * as acls from "../../hub/kafka/schemas/acls.ts";
import * as cluster from "../../hub/kafka/schemas/cluster.ts";
import * as groups from "../../hub/kafka/schemas/groups.ts";
import * as logDirs from "../../hub/kafka/schemas/log-dirs.ts";
import * as records from "../../hub/kafka/schemas/records.ts";
import * as topics from "../../hub/kafka/schemas/topics.ts";
import * as transactions from "../../hub/kafka/schemas/transactions.ts";
import type { PermissionRow } from "./kafka-permissions.ts";
import { GROUP, oneBatch, row, TOPIC } from "./kafka-permissions.ts";

const TOPIC_REFUSED = 29;
const GROUP_REFUSED = 30;
const CLUSTER_REFUSED = 31;

/** "Topic IDs are not considered sensitive information" (KafkaApis). */
const BY_ID = "who knows a topic's id knows that it existed";
const zeroId = Buffer.alloc(16);
const topicResource = { resourceType: 2, resourceName: TOPIC };
const brokerResource = { resourceType: 4, resourceName: "1" };
const anyAcl = {
  resourceTypeFilter: 1,
  resourceNameFilter: null,
  patternTypeFilter: 1,
  principalFilter: null,
  hostFilter: null,
  operation: 1,
  permissionType: 1,
};
const newAcl = {
  resourceType: 2,
  resourceName: TOPIC,
  resourcePatternType: 3,
  principal: "User:mallory",
  host: "*",
  operation: 3,
  permissionType: 3,
};
const member = { groupId: GROUP, generationId: 1, memberId: "m" };
const simpleFetch = { maxWaitMs: 0, minBytes: 1, maxBytes: 1_000_000, isolationLevel: 0 };
const fetched = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }];
const describing = { includeSynonyms: false };

const aclRows: readonly PermissionRow[] = [
  row(acls.describeAclsApi, { needs: ["describe cluster"], refusal: CLUSTER_REFUSED }, () => anyAcl),
  row(acls.createAclsApi, { needs: ["alter cluster"], refusal: CLUSTER_REFUSED }, () => ({ creations: [newAcl] })),
  row(acls.deleteAclsApi, { needs: ["alter cluster"], refusal: CLUSTER_REFUSED }, () => ({ filters: [anyAcl] })),
];

const clusterRows: readonly PermissionRow[] = [
  row(cluster.describeClusterApi, { needs: [] }, () => ({ includeClusterAuthorizedOperations: true })),
  row(cluster.findCoordinatorApi, { needs: ["describe group"], refusal: GROUP_REFUSED }, () => ({
    key: GROUP,
    coordinatorKeys: [GROUP],
  })),
  row(logDirs.describeLogDirsApi, { needs: ["describe cluster"], refusal: CLUSTER_REFUSED }, () => ({ topics: null })),
  row(topics.listPartitionReassignmentsApi, { needs: ["describe cluster"], refusal: CLUSTER_REFUSED }, () => ({
    timeoutMs: 1000,
    topics: null,
  })),
  // There are no transactions to hide.
  row(transactions.describeTransactionsApi, { needs: [] }, () => ({ transactionalIds: ["t"] })),
  row(transactions.listTransactionsApi, { needs: [] }, () => ({ stateFilters: [], producerIdFilters: [] })),
];

const consumerHeartbeat = () => ({
  groupId: GROUP,
  memberId: "m",
  memberEpoch: 0,
  rebalanceTimeoutMs: 10_000,
  subscribedTopicNames: [TOPIC],
  topicPartitions: [],
});

const groupRows: readonly PermissionRow[] = [
  row(groups.joinGroupApi, { needs: ["read group"], refusal: GROUP_REFUSED }, () => ({
    ...member,
    sessionTimeoutMs: 10_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.alloc(0) }],
  })),
  row(groups.syncGroupApi, { needs: ["read group"], refusal: GROUP_REFUSED }, () => ({ ...member, assignments: [] })),
  row(groups.heartbeatApi, { needs: ["read group"], refusal: GROUP_REFUSED }, () => member),
  row(groups.leaveGroupApi, { needs: ["read group"], refusal: GROUP_REFUSED }, () => ({
    ...member,
    members: [{ memberId: "m", groupInstanceId: null }],
  })),
  row(groups.describeGroupsApi, { needs: ["describe group"], refusal: GROUP_REFUSED }, () => ({
    groups: [GROUP],
    includeAuthorizedOperations: true,
  })),
  row(
    groups.consumerGroupHeartbeatApi,
    { part: "group", needs: ["read group"], granted: ["describe topic"], refusal: GROUP_REFUSED },
    consumerHeartbeat,
  ),
  row(
    groups.consumerGroupHeartbeatApi,
    { part: "topic", needs: ["describe topic"], granted: ["read group"], refusal: TOPIC_REFUSED },
    consumerHeartbeat,
  ),
  row(
    groups.consumerGroupDescribeApi,
    { part: "group", needs: ["describe group"], granted: ["describe topic"], refusal: GROUP_REFUSED },
    () => ({ groupIds: [GROUP], includeAuthorizedOperations: true }),
  ),
  row(
    groups.consumerGroupDescribeApi,
    {
      part: "topic",
      needs: ["describe topic"],
      granted: ["describe group"],
      refusal: TOPIC_REFUSED,
      toldBecause: "who may describe a group may know that it exists",
    },
    () => ({ groupIds: [GROUP] }),
  ),
  row(groups.listGroupsApi, { needs: ["describe cluster", "describe group"] }, () => ({})),
  row(groups.deleteGroupsApi, { needs: ["delete group"], refusal: GROUP_REFUSED }, () => ({ groupsNames: [GROUP] })),
];

const committing = () => ({
  groupId: GROUP,
  generationIdOrMemberEpoch: -1,
  memberId: "",
  topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "" }] }],
});
const deletingOffsets = () => ({ groupId: GROUP, topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0 }] }] });
const fetchingOffsets = () => {
  const asked = [{ name: TOPIC, partitionIndexes: [0] }];
  return { groupId: GROUP, topics: asked, groups: [{ groupId: GROUP, topics: asked }], requireStable: false };
};
const fetchingAllOffsets = () => ({
  groupId: GROUP,
  topics: null,
  groups: [{ groupId: GROUP, topics: null }],
  requireStable: false,
});

const offsetRows: readonly PermissionRow[] = [
  row(
    groups.offsetCommitApi,
    { part: "group", needs: ["read group"], granted: ["read topic"], refusal: GROUP_REFUSED },
    committing,
  ),
  row(
    groups.offsetCommitApi,
    { part: "topic", needs: ["read topic"], granted: ["read group"], refusal: TOPIC_REFUSED },
    committing,
  ),
  row(
    groups.offsetDeleteApi,
    { part: "group", needs: ["delete group"], granted: ["read topic"], refusal: GROUP_REFUSED },
    deletingOffsets,
  ),
  row(
    groups.offsetDeleteApi,
    { part: "topic", needs: ["read topic"], granted: ["delete group"], refusal: TOPIC_REFUSED },
    deletingOffsets,
  ),
  row(
    groups.offsetFetchApi,
    { part: "group", needs: ["describe group"], granted: ["describe topic"], refusal: GROUP_REFUSED },
    fetchingOffsets,
  ),
  row(
    groups.offsetFetchApi,
    { part: "topic", needs: ["describe topic"], granted: ["describe group"], refusal: TOPIC_REFUSED },
    fetchingOffsets,
  ),
  row(
    groups.offsetFetchApi,
    { part: "all topics", needs: ["describe topic"], granted: ["describe group"], versions: [2, 9] },
    fetchingAllOffsets,
  ),
];

const recordRows: readonly PermissionRow[] = [
  row(records.produceApi, { needs: ["write topic"], refusal: TOPIC_REFUSED }, () => ({
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: TOPIC, partitionData: [{ index: 0, records: [oneBatch()] }] }],
  })),
  row(records.fetchApi, { part: "by name", needs: ["read topic"], refusal: TOPIC_REFUSED, versions: [4, 12] }, () => ({
    ...simpleFetch,
    topics: [{ topic: TOPIC, topicId: zeroId, partitions: fetched }],
  })),
  row(
    records.fetchApi,
    { part: "by id", needs: ["read topic"], refusal: TOPIC_REFUSED, versions: [13, 17], toldBecause: BY_ID },
    ({ topicId }) => ({ ...simpleFetch, topics: [{ topicId, partitions: fetched }] }),
  ),
  row(records.listOffsetsApi, { needs: ["describe topic"], refusal: TOPIC_REFUSED }, () => ({
    replicaId: -1,
    topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })),
  row(records.offsetForLeaderEpochApi, { needs: ["describe topic"], refusal: TOPIC_REFUSED }, () => ({
    topics: [{ topic: TOPIC, partitions: [{ partition: 0, currentLeaderEpoch: 0, leaderEpoch: 0 }] }],
  })),
  row(records.deleteRecordsApi, { needs: ["delete topic"], refusal: TOPIC_REFUSED }, () => ({
    topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, offset: -1 }] }],
    timeoutMs: 1000,
  })),
  row(
    records.initProducerIdApi,
    { needs: ["idempotentWrite cluster", "write topic"], refusal: CLUSTER_REFUSED },
    () => ({ transactionalId: null, transactionTimeoutMs: 1000 }),
  ),
  row(records.describeProducersApi, { needs: ["read topic"], refusal: TOPIC_REFUSED }, () => ({
    topics: [{ name: TOPIC, partitionIndexes: [0] }],
  })),
];

const newTopic = (name: string) => ({ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] });

const topicRows: readonly PermissionRow[] = [
  row(topics.describeTopicPartitionsApi, { part: "all topics", needs: ["describe topic"] }, () => ({
    topics: [],
    cursor: null,
  })),
  row(
    topics.describeTopicPartitionsApi,
    { part: "by name", needs: ["describe topic"], refusal: TOPIC_REFUSED },
    () => ({ topics: [{ name: TOPIC }], cursor: null }),
  ),
  row(topics.metadataApi, { part: "all topics", needs: ["describe topic"], versions: [1, 13] }, () => ({
    topics: null,
    includeTopicAuthorizedOperations: true,
  })),
  row(topics.metadataApi, { part: "by name", needs: ["describe topic"], refusal: TOPIC_REFUSED }, () => ({
    topics: [{ name: TOPIC, topicId: zeroId }],
    includeTopicAuthorizedOperations: true,
  })),
  row(
    topics.metadataApi,
    { part: "by id", needs: ["describe topic"], refusal: TOPIC_REFUSED, versions: [12, 13], toldBecause: BY_ID },
    ({ topicId }) => ({ topics: [{ name: null, topicId }] }),
  ),
  row(
    topics.metadataApi,
    {
      part: "creating",
      needs: ["create topic", "create cluster"],
      granted: ["describe topic"],
      refusal: TOPIC_REFUSED,
    },
    () => ({ topics: [{ name: "new", topicId: zeroId }] }),
  ),
  row(topics.describeTopicPartitionsApi, { part: "cursor that does not exist", needs: ["describe topic"] }, () => ({
    topics: [],
    cursor: { topicName: "a", partitionIndex: -1 },
  })),
  row(topics.createTopicsApi, { needs: ["create topic", "create cluster"], refusal: TOPIC_REFUSED }, () => ({
    topics: [newTopic(TOPIC), newTopic("new")],
    timeoutMs: 1000,
    validateOnly: false,
  })),
  row(topics.deleteTopicsApi, { part: "by name", needs: ["delete topic"], refusal: TOPIC_REFUSED }, () => ({
    topics: [{ name: TOPIC, topicId: zeroId }],
    topicNames: [TOPIC],
    timeoutMs: 1000,
  })),
  row(
    topics.deleteTopicsApi,
    { part: "by id", needs: ["delete topic"], refusal: TOPIC_REFUSED, versions: [6, 6], toldBecause: BY_ID },
    ({ topicId }) => ({ topics: [{ name: null, topicId }], timeoutMs: 1000 }),
  ),
  row(topics.createPartitionsApi, { needs: ["alter topic"], refusal: TOPIC_REFUSED }, () => ({
    topics: [{ name: TOPIC, count: 9, assignments: null }],
    timeoutMs: 1000,
    validateOnly: false,
  })),
  row(topics.describeConfigsApi, { part: "topic", needs: ["describeConfigs topic"], refusal: TOPIC_REFUSED }, () => ({
    ...describing,
    resources: [{ ...topicResource, configurationKeys: null }],
  })),
  row(
    topics.describeConfigsApi,
    { part: "broker", needs: ["describeConfigs cluster"], refusal: CLUSTER_REFUSED },
    () => ({ ...describing, resources: [{ ...brokerResource, configurationKeys: null }] }),
  ),
  row(topics.alterConfigsApi, { part: "topic", needs: ["alterConfigs topic"], refusal: TOPIC_REFUSED }, () => ({
    resources: [{ ...topicResource, configs: [{ name: "retention.ms", value: "1" }] }],
    validateOnly: false,
  })),
  row(topics.alterConfigsApi, { part: "broker", needs: ["alterConfigs cluster"], refusal: CLUSTER_REFUSED }, () => ({
    resources: [{ ...brokerResource, configs: [] }],
    validateOnly: false,
  })),
  row(
    topics.incrementalAlterConfigsApi,
    { part: "topic", needs: ["alterConfigs topic"], refusal: TOPIC_REFUSED },
    () => ({
      resources: [{ ...topicResource, configs: [{ name: "retention.ms", configOperation: 0, value: "1" }] }],
      validateOnly: false,
    }),
  ),
  row(
    topics.incrementalAlterConfigsApi,
    { part: "broker", needs: ["alterConfigs cluster"], refusal: CLUSTER_REFUSED },
    () => ({ resources: [{ ...brokerResource, configs: [] }], validateOnly: false }),
  ),
];

export const permissionRows: readonly PermissionRow[] = [
  ...aclRows,
  ...clusterRows,
  ...groupRows,
  ...offsetRows,
  ...recordRows,
  ...topicRows,
];

/** APIs that come before anybody is known. */
export const openApis: readonly string[] = ["ApiVersions", "SaslHandshake", "SaslAuthenticate"];
