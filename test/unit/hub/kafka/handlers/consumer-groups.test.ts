/** What the APIs of the newer group protocol (KIP-848) make of requests for the groups, and of the groups' answers. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Authorizer } from "../../../../../hub/access/authorizer.ts";
import type { ConsumerHeartbeatRequest, ConsumerHeartbeatResult, Groups } from "../../../../../hub/group/groups.ts";
import {
  consumerGroupDescribeApi,
  consumerGroupHeartbeatApi,
  describeGroupsApi,
  offsetCommitApi,
  offsetFetchApi,
} from "../../../../../hub/kafka/schemas/groups.ts";
import { answer, ask, kafkaServices } from "../../../../support/kafka-hub.ts";

const joined: ConsumerHeartbeatResult = {
  error: null,
  message: null,
  memberId: "m",
  epoch: 3,
  heartbeatIntervalMs: 5000,
  assignment: [{ topicId: "0a".repeat(16), partitions: [0, 2] }],
};

const request = {
  groupId: "g",
  memberId: "m",
  memberEpoch: 0,
  rebalanceTimeoutMs: 60_000,
  subscribedTopicNames: ["t"],
};

async function setUp(groups: Partial<Groups> = {}) {
  const services = kafkaServices({ groups });
  const topic = await services.engine.createTopic({ name: "t", partitionCount: 4 });
  return { services, topic };
}

suite("ConsumerGroupHeartbeat", () => {
  test("the request reaches the group, field by field", async () => {
    const seen: ConsumerHeartbeatRequest[] = [];
    const { services, topic } = await setUp({
      consumerHeartbeat: async (heartbeat) => {
        seen.push(heartbeat);
        return joined;
      },
    });
    const all = {
      ...request,
      instanceId: "one",
      rackId: "r",
      subscribedTopicRegex: "t.*",
      serverAssignor: "range",
      topicPartitions: [{ topicId: topic.id, partitions: [1, 0] }],
    };
    await answer(services, { api: consumerGroupHeartbeatApi, version: 1, request: all });
    const [{ mayDescribe, ...heartbeat } = { mayDescribe: () => false }] = seen;
    assert.ok(mayDescribe("t"));
    assert.deepEqual(heartbeat, {
      group: "g",
      memberId: "m",
      epoch: 0,
      instanceId: "one",
      rackId: "r",
      clientId: "test",
      clientHost: "/127.0.0.1",
      rebalanceTimeoutMs: 60_000,
      subscribedNames: ["t"],
      subscribedRegex: "t.*",
      assignor: "range",
      owned: new Map([[topic.id.toString("hex"), new Set([1, 0])]]),
    });
    const silent = { groupId: "g", memberId: "m", memberEpoch: 3 };
    await answer(services, { api: consumerGroupHeartbeatApi, version: 0, request: silent });
    const { rebalanceTimeoutMs, subscribedNames, subscribedRegex, assignor, owned } = seen[1] ?? {};
    const said = [rebalanceTimeoutMs, subscribedNames, subscribedRegex, assignor, owned];
    assert.deepEqual(said, [-1, null, null, null, null], "what is not said is not said");
  });

  test("the assignment goes by topic id, and is null when it is what it was", async () => {
    let result = joined;
    const { services } = await setUp({ consumerHeartbeat: async () => result });
    const first = await answer(services, { api: consumerGroupHeartbeatApi, version: 1, request });
    const { errorCode, errorMessage, memberId, memberEpoch, heartbeatIntervalMs } = first;
    assert.deepEqual([errorCode, errorMessage, memberId, memberEpoch, heartbeatIntervalMs], [0, null, "m", 3, 5000]);
    const [topic] = first.assignment?.topicPartitions ?? [];
    assert.deepEqual([topic?.topicId.toString("hex"), topic?.partitions], ["0a".repeat(16), [0, 2]]);
    result = { ...joined, assignment: null };
    assert.equal((await answer(services, { api: consumerGroupHeartbeatApi, version: 1, request })).assignment, null);
    result = { ...joined, assignment: [] };
    const none = await answer(services, { api: consumerGroupHeartbeatApi, version: 1, request });
    assert.deepEqual(none.assignment, { topicPartitions: [] });
  });

  for (const [error, wire] of [
    ["FENCED_MEMBER_EPOCH", 110],
    ["UNRELEASED_INSTANCE_ID", 111],
    ["UNSUPPORTED_ASSIGNOR", 112],
    ["INVALID_REGULAR_EXPRESSION", 128],
  ] as const) {
    test(`${error} is ${wire}, with a message for the client's log`, async () => {
      const failed = { ...joined, error, message: "why", memberId: null, assignment: null };
      const { services } = await setUp({ consumerHeartbeat: async () => failed });
      const { errorCode, errorMessage } = await answer(services, {
        api: consumerGroupHeartbeatApi,
        version: 1,
        request,
      });
      assert.deepEqual([errorCode, errorMessage], [wire, "why"]);
    });
  }

  test("from version 1 on a member names itself", async () => {
    const { services } = await setUp({ consumerHeartbeat: async () => joined });
    const nameless = { ...request, memberId: "" };
    const codes: number[] = [];
    for (const version of [0, 1]) {
      codes.push((await answer(services, { api: consumerGroupHeartbeatApi, version, request: nameless })).errorCode);
    }
    assert.deepEqual(codes, [0, 42]);
  });

  test("without permission for the group, or to see a topic, nothing reaches the group", async () => {
    const asked: string[] = [];
    const { services } = await setUp({
      consumerHeartbeat: async () => assert.fail("it is not asked"),
    });
    const refusing = (kind: "group" | "topic"): Authorizer => ({
      isEnabled: true,
      rules: [],
      allows: (_principal, operation, resource) => {
        if (resource.kind === kind) asked.push(`${operation} ${resource.name}`);
        return resource.kind !== kind;
      },
      allowsSome: () => true,
    });
    for (const [kind, wire] of [
      ["group", 30],
      ["topic", 29],
    ] as const) {
      const guarded = { ...services, authorizer: refusing(kind) };
      const response = await ask(guarded, { api: consumerGroupHeartbeatApi, version: 1, request });
      assert.deepEqual([response?.errorCode, response?.assignment], [wire, null]);
    }
    assert.deepEqual(asked, ["read g", "describe t"]);
  });
});

suite("ConsumerGroupDescribe", () => {
  const group = (topicId: string): ReturnType<Groups["describeConsumer"]> => ({
    group: "g",
    state: "Reconciling",
    epoch: 5,
    assignmentEpoch: 4,
    assignor: "uniform",
    members: [
      {
        memberId: "m",
        instanceId: null,
        rackId: "r",
        epoch: 3,
        clientId: "c",
        clientHost: "/10.0.0.7",
        subscribedNames: ["t"],
        subscribedRegex: null,
        assignment: [{ topicId, partitions: [0] }],
        target: [
          { topicId, partitions: [0, 1] },
          { topicId: "ff".repeat(16), partitions: [0] },
        ],
      },
    ],
  });

  test("epochs, members, and partitions by id and name; a topic that is gone is left out", async () => {
    const { services, topic } = await setUp({ describeConsumer: () => group(topic.id.toString("hex")) });
    const asked = { groupIds: ["g", "g"], includeAuthorizedOperations: true };
    const response = await answer(services, { api: consumerGroupDescribeApi, version: 1, request: asked });
    const [described, ...others] = response.groups;
    assert.equal(others.length, 0);
    const { errorCode, groupState, groupEpoch, assignmentEpoch, assignorName } = described ?? {};
    assert.deepEqual([errorCode, groupState, groupEpoch, assignmentEpoch], [0, "Reconciling", 5, 4]);
    assert.equal(assignorName, "uniform");
    const [member] = described?.members ?? [];
    assert.deepEqual([member?.memberId, member?.memberEpoch, member?.rackId, member?.memberType], ["m", 3, "r", 1]);
    const target = member?.targetAssignment.topicPartitions;
    assert.deepEqual(
      target?.map(({ topicName, partitions }) => [topicName, partitions]),
      [["t", [0, 1]]],
    );
    assert.ok((described?.authorizedOperations ?? 0) > 0);
  });

  test("a group that does not exist, or is of the other protocol, is not found", async () => {
    const { services } = await setUp();
    const asked = { groupIds: ["classic"] };
    const { groups } = await answer(services, { api: consumerGroupDescribeApi, version: 0, request: asked });
    assert.deepEqual([groups[0]?.errorCode, groups[0]?.errorMessage], [69, "there is no consumer group classic"]);
  });

  test("the other way round DescribeGroups does not find groups of this protocol", async () => {
    const { services } = await setUp();
    const asked = { groups: ["g"] };
    const { groups } = await answer(services, { api: describeGroupsApi, version: 6, request: asked });
    assert.deepEqual([groups[0]?.errorCode, groups[0]?.groupState], [69, "Dead"]);
  });

  test("who may not see all of its topics does not see the group", async () => {
    const { services, topic } = await setUp({ describeConsumer: () => group(topic.id.toString("hex")) });
    const authorizer: Authorizer = {
      isEnabled: true,
      rules: [],
      allows: (_principal, _operation, { kind }) => kind === "group",
      allowsSome: () => true,
    };
    const asked = { groupIds: ["g"] };
    const response = await ask(
      { ...services, authorizer },
      { api: consumerGroupDescribeApi, version: 0, request: asked },
    );
    assert.deepEqual([response?.groups[0]?.errorCode, response?.groups[0]?.members], [29, []]);
  });
});

suite("member epochs with offsets", () => {
  test("OffsetCommit says whether its version knows them", async () => {
    const known: boolean[] = [];
    const { services } = await setUp({
      commit: async ({ knowsMemberEpochs, offsets }) => {
        known.push(knowsMemberEpochs);
        return offsets.map(() => "STALE_MEMBER_EPOCH");
      },
    });
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: null }];
    const topics = [{ name: "t", partitions }];
    for (const version of [8, 9]) {
      const commit = { groupId: "g", generationIdOrMemberEpoch: 3, memberId: "m", topics };
      const response = await answer(services, { api: offsetCommitApi, version, request: commit });
      assert.equal(response.topics[0]?.partitions[0]?.errorCode, 113);
    }
    assert.deepEqual(known, [false, true]);
  });

  test("OffsetFetch asks for the member, group by group", async () => {
    const { services } = await setUp({
      checkOffsetFetch: (group, { memberId, memberEpoch }) =>
        group === "g" && memberId === "m" && memberEpoch === 3 ? "STALE_MEMBER_EPOCH" : null,
    });
    const groups = [
      { groupId: "g", memberId: "m", memberEpoch: 3, topics: null },
      { groupId: "h", memberId: null, memberEpoch: -1, topics: null },
    ];
    const response = await answer(services, { api: offsetFetchApi, version: 9, request: { groups } });
    assert.deepEqual(
      response.groups.map(({ groupId, errorCode }) => [groupId, errorCode]),
      [
        ["g", 113],
        ["h", 0],
      ],
    );
  });
});
