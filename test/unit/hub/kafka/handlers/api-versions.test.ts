import assert from "node:assert/strict";
import { test } from "node:test";
import { handlers } from "../../../../../hub/kafka/dispatch.ts";
import { apiVersionsApi } from "../../../../../hub/kafka/schemas/cluster.ts";
import { answer, kafkaServices } from "../../../../support/kafka-hub.ts";

/** What clients are promised. A change here is a change of what works: it belongs into the change log. */
const promised = `
  0 Produce 0-11
  1 Fetch 4-17
  2 ListOffsets 1-10
  3 Metadata 0-13
  8 OffsetCommit 2-9
  9 OffsetFetch 1-9
  10 FindCoordinator 0-6
  11 JoinGroup 0-9
  12 Heartbeat 0-4
  13 LeaveGroup 0-5
  14 SyncGroup 0-5
  15 DescribeGroups 0-6
  16 ListGroups 0-5
  17 SaslHandshake 0-1
  18 ApiVersions 0-4
  19 CreateTopics 2-7
  20 DeleteTopics 1-6
  21 DeleteRecords 0-2
  22 InitProducerId 0-5
  23 OffsetForLeaderEpoch 2-4
  29 DescribeAcls 1-3
  30 CreateAcls 1-3
  31 DeleteAcls 1-3
  32 DescribeConfigs 1-4
  33 AlterConfigs 0-2
  35 DescribeLogDirs 1-4
  36 SaslAuthenticate 0-2
  37 CreatePartitions 0-3
  42 DeleteGroups 0-2
  44 IncrementalAlterConfigs 0-1
  46 ListPartitionReassignments 0-0
  47 OffsetDelete 0-0
  60 DescribeCluster 0-2
  61 DescribeProducers 0-0
  65 DescribeTransactions 0-0
  66 ListTransactions 0-2
  68 ConsumerGroupHeartbeat 0-1
  69 ConsumerGroupDescribe 0-1
  75 DescribeTopicPartitions 0-0`;

test("the versions of all APIs are the promised ones", async () => {
  const request = { clientSoftwareName: "test", clientSoftwareVersion: "1" };
  const { apiKeys } = await answer(kafkaServices(), { api: apiVersionsApi, version: 4, request });
  const lines = apiKeys.map(
    ({ apiKey, minVersion, maxVersion }) => `${apiKey} ${handlers.get(apiKey)?.api.name} ${minVersion}-${maxVersion}`,
  );
  assert.deepEqual(
    lines,
    promised
      .trim()
      .split("\n")
      .map((line) => line.trim()),
  );
});

test("what would make a transaction, measure clients or share a partition is not promised", () => {
  for (const key of [24, 25, 26, 27, 28, 43, 45, 48, 71, 72, 76]) assert.equal(handlers.has(key), false, `${key}`);
});
