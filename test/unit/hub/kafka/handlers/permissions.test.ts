/** Requests about several topics or groups: each gets what its own permission gives, the others are not touched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../../shared/errors.ts";
import type { Acl } from "../../../../../hub/access/acl.ts";
import { aclAuthorizer } from "../../../../../hub/access/acl-authorizer.ts";
import type { Operation } from "../../../../../hub/access/authorizer.ts";
import type { Groups } from "../../../../../hub/group/groups.ts";
import type { Api, Encodable, Shape } from "../../../../../hub/kafka/schema.ts";
import { findCoordinatorApi } from "../../../../../hub/kafka/schemas/cluster.ts";
import {
  consumerGroupHeartbeatApi,
  deleteGroupsApi,
  listGroupsApi,
  offsetCommitApi,
  offsetDeleteApi,
  offsetFetchApi,
} from "../../../../../hub/kafka/schemas/groups.ts";
import { fetchApi, produceApi } from "../../../../../hub/kafka/schemas/records.ts";
import { createTopicsApi, deleteTopicsApi, metadataApi } from "../../../../../hub/kafka/schemas/topics.ts";
import { ask, kafkaServices, testPeer } from "../../../../support/kafka-hub.ts";
import { oneBatch } from "../../../../support/kafka-permissions.ts";

const rule = (resource: Acl["resource"], name: string, ...operations: Operation[]): Acl => ({
  resource,
  name,
  pattern: "prefixed",
  operations,
});

/** A hub with the topics "mine" and "theirs", of which the user may do things with its own. */
async function setUp(acls: readonly Acl[], groups: Partial<Groups> = {}) {
  const services = kafkaServices({ groups });
  for (const name of ["mine", "theirs"]) await services.engine.createTopic({ name, partitionCount: 1 });
  const authorizer = aclAuthorizer([{ name: "me", isSuperuser: false, acls }]);
  const peer = { ...testPeer(), principal: { name: "me" } };
  const asMe = async <Q extends Shape, S extends Shape>(api: Api<Q, S>, version: number, request: Encodable<Q>) => {
    const answer = await ask({ ...services, authorizer }, { api, version, request }, peer);
    assert.ok(answer !== undefined);
    return answer;
  };
  return { ...services, asMe };
}

const zeroId = Buffer.alloc(16);
const both = ["mine", "theirs"];
const producing = (acks: number) => ({
  transactionalId: null,
  acks,
  timeoutMs: 1000,
  topicData: both.map((name) => ({ name, partitionData: [{ index: 0, records: [oneBatch()] }] })),
});

test("produce: what may be written is stored, the rest is refused with 29 beside it", async () => {
  const { asMe, engine } = await setUp([rule("topic", "mine", "write")]);
  const { responses } = await asMe(produceApi, 9, producing(-1));
  assert.deepEqual(
    responses.map(({ name, partitionResponses }) => [name, partitionResponses[0]?.errorCode]),
    [
      ["mine", 0],
      ["theirs", 29],
    ],
  );
  assert.deepEqual(
    engine.appends.map(({ topic }) => topic),
    ["mine"],
  );
});

test("produce with acks=0: a refusal closes the connection, its only way to be noticed", async () => {
  const { asMe } = await setUp([rule("topic", "mine", "write")]);
  await assert.rejects(
    asMe(produceApi, 9, producing(0)),
    (error) => error instanceof StreamError && error.code === "INVALID_REQUEST",
  );
});

test("fetch: a refused partition answers at once and without data, the others with theirs", async () => {
  const { asMe } = await setUp([rule("topic", "mine", "read", "write")]);
  await asMe(produceApi, 9, producing(-1));
  const { responses } = await asMe(fetchApi, 12, {
    maxWaitMs: 30_000,
    minBytes: 1_000_000,
    maxBytes: 1_000_000,
    isolationLevel: 0,
    topics: both.map((topic) => ({
      topic,
      topicId: zeroId,
      partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }],
    })),
  });
  const partitions = responses.map(({ partitions: [first] }) => first);
  assert.deepEqual(
    partitions.map((each) => [each?.errorCode, each?.highWatermark, (each?.records?.length ?? 0) > 0]),
    [
      [0, 1, true],
      [29, -1, false],
    ],
  );
});

test("metadata: a list shows the user's own, named ones are refused with 29, whether they exist or not", async () => {
  const { asMe, engine } = await setUp([rule("topic", "mine", "describe")]);
  const all = await asMe(metadataApi, 9, { topics: null });
  assert.deepEqual(
    all.topics.map(({ name }) => name),
    ["mine"],
  );
  const topics = ["mine", "theirs", "nobodys", "mine-too"].map((name) => ({ name, topicId: zeroId }));
  const named = await asMe(metadataApi, 12, { topics });
  assert.deepEqual(
    named.topics.map(({ name, errorCode, topicId, partitions }) => [
      name,
      errorCode,
      topicId.equals(zeroId),
      partitions.length,
    ]),
    [
      ["mine", 0, false, 1],
      ["theirs", 29, true, 0],
      ["nobodys", 29, true, 0],
      ["mine-too", 29, true, 0],
    ],
    "to be described, mine-too would have to be created, which is another permission",
  );
  assert.deepEqual(Array.from(engine.topics.keys()), both);
});

test("create topics: who made a topic but may not describe its configuration is told so, and nothing of it", async () => {
  const creating = {
    topics: ["mine-too", "theirs-too"].map((name) => ({
      name,
      numPartitions: 3,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    })),
    timeoutMs: 1000,
    validateOnly: false,
  };
  const { asMe, engine } = await setUp([rule("topic", "mine", "create")]);
  const [made, refused] = (await asMe(createTopicsApi, 7, creating)).topics;
  assert.deepEqual([made?.errorCode, made?.topicConfigErrorCode, made?.numPartitions, made?.configs], [0, 29, -1, []]);
  assert.deepEqual([refused?.errorCode, refused?.topicConfigErrorCode], [29, 0]);
  assert.match(refused?.errorMessage ?? "", /User:me has no permission "create" for topic theirs-too/);
  assert.deepEqual([engine.topics.has("mine-too"), engine.topics.has("theirs-too")], [true, false]);

  const { asMe: withConfigs } = await setUp([rule("topic", "mine", "create", "describeConfigs")]);
  const [seen] = (await withConfigs(createTopicsApi, 7, creating)).topics;
  assert.deepEqual([seen?.errorCode, seen?.topicConfigErrorCode, seen?.numPartitions], [0, 0, 3]);
  assert.ok((seen?.configs?.length ?? 0) > 0);
});

test("delete topics: only the user's own; who may not describe a topic does not get its id", async () => {
  const { asMe, engine } = await setUp([rule("topic", "mine", "delete")]);
  const topics = [...both, "nobodys"].map((name) => ({ name, topicId: zeroId }));
  const { responses } = await asMe(deleteTopicsApi, 6, { topics, timeoutMs: 1000 });
  assert.deepEqual(
    responses.map(({ name, errorCode, topicId }) => [name, errorCode, topicId.equals(zeroId)]),
    [
      ["mine", 0, false],
      ["theirs", 29, true],
      ["nobodys", 29, true],
    ],
  );
  assert.deepEqual(Array.from(engine.topics.keys()), ["theirs"]);
});

test("offsets: committed, fetched and deleted topic by topic, in their places", async () => {
  const committed: string[] = [];
  const deleted: string[] = [];
  const position = { offset: 5, leaderEpoch: 0, metadata: "", committedAt: 0 };
  const { asMe } = await setUp([rule("topic", "mine", "read"), rule("group", "g", "read", "delete")], {
    commit: async ({ offsets }) => {
      committed.push(...offsets.map(({ topic }) => topic));
      return offsets.map(() => null);
    },
    deleteOffsets: async (_group, at) => {
      deleted.push(...at.map(({ topic }) => topic));
      return { error: null, partitions: at.map(() => "GROUP_SUBSCRIBED_TO_TOPIC" as const) };
    },
    committed: () => new Map(both.map((topic) => [topic, new Map([[0, position]])])),
  });
  const mixed = ["theirs", "mine"];
  const commits = await asMe(offsetCommitApi, 8, {
    groupId: "g",
    generationIdOrMemberEpoch: -1,
    memberId: "",
    topics: mixed.map((name) => ({
      name,
      partitions: [0, 7].map((partitionIndex) => ({ partitionIndex, committedOffset: 1, committedMetadata: "" })),
    })),
  });
  assert.deepEqual(
    commits.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
    [
      [29, 29],
      [0, 3],
    ],
  );
  assert.deepEqual(committed, ["mine"]);

  const asked = mixed.map((name) => ({ name, partitionIndexes: [0] }));
  const fetched = await asMe(offsetFetchApi, 7, { groupId: "g", topics: asked, requireStable: false });
  assert.deepEqual(
    fetched.topics?.map(({ partitions: [first] }) => [first?.errorCode, first?.committedOffset]),
    [
      [29, -1],
      [0, 5],
    ],
  );

  const topics = mixed.map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }));
  const deletions = await asMe(offsetDeleteApi, 0, { groupId: "g", topics });
  assert.deepEqual(
    deletions.topics.map(({ partitions: [first] }) => first?.errorCode),
    [29, 86],
  );
  assert.deepEqual(deleted, ["mine"]);
});

test("offset fetch 1 has no error but those of its partitions: a refused group is told there", async () => {
  const { asMe } = await setUp([]);
  const { topics } = await asMe(offsetFetchApi, 1, {
    groupId: "g",
    topics: [{ name: "mine", partitionIndexes: [0, 1] }],
  });
  assert.deepEqual(
    topics?.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
    [[30, 30]],
  );
});

test("groups: listed, found and deleted one by one", async () => {
  const listing = { protocolType: "consumer", state: "Empty", type: "classic", memberCount: 0 } as const;
  const deleted: string[] = [];
  const { asMe } = await setUp([rule("group", "mine", "delete")], {
    list: () => both.map((group) => ({ group, ...listing })),
    delete: async (group) => {
      deleted.push(group);
      return null;
    },
  });
  const listed = await asMe(listGroupsApi, 4, {});
  assert.deepEqual([listed.errorCode, listed.groups.map(({ groupId }) => groupId)], [0, ["mine"]]);
  const found = await asMe(findCoordinatorApi, 4, { coordinatorKeys: both });
  assert.deepEqual(
    found.coordinators.map(({ key, errorCode, nodeId, host }) => [key, errorCode, nodeId, host]),
    [
      ["mine", 0, 1, "hub.example"],
      ["theirs", 30, -1, ""],
    ],
  );
  const { results } = await asMe(deleteGroupsApi, 2, { groupsNames: both });
  assert.deepEqual(
    results.map(({ errorCode }) => errorCode),
    [0, 30],
  );
  assert.deepEqual(deleted, ["mine"]);
});

test("consumer group heartbeat: an expression finds only topics that the user may describe", async () => {
  const found: string[] = [];
  const { asMe } = await setUp([rule("topic", "mine", "describe"), rule("group", "g", "read")], {
    consumerHeartbeat: async ({ mayDescribe, memberId, epoch }) => {
      found.push(...both.filter((topic) => mayDescribe(topic)));
      return { error: null, message: null, memberId, epoch, heartbeatIntervalMs: 5000, assignment: null };
    },
  });
  const joining = { groupId: "g", memberId: "m", memberEpoch: 0, subscribedTopicRegex: ".*" };
  assert.equal((await asMe(consumerGroupHeartbeatApi, 1, joining)).errorCode, 0);
  assert.deepEqual(found, ["mine"]);
});
