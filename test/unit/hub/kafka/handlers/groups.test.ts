/** What the group APIs make of requests for the groups, and of the groups' answers, version by version. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommitRequest, Groups, JoinRequest } from "../../../../../hub/group/groups.ts";
import {
  deleteGroupsApi,
  describeGroupsApi,
  heartbeatApi,
  joinGroupApi,
  leaveGroupApi,
  listGroupsApi,
  offsetCommitApi,
  offsetDeleteApi,
  offsetFetchApi,
  syncGroupApi,
} from "../../../../../hub/kafka/schemas/groups.ts";
import { answer, kafkaServices } from "../../../../support/kafka-hub.ts";

const position = { offset: 5, leaderEpoch: 0, metadata: "note", committedAt: 0 };

async function setUp(groups: Partial<Groups> = {}) {
  const services = kafkaServices({ groups });
  await services.engine.createTopic({ name: "t", partitionCount: 2 });
  return services;
}

test("join group: each version's knowledge reaches the coordinator", async () => {
  const joins: JoinRequest[] = [];
  const services = await setUp({
    join: async (request) => {
      joins.push(request);
      return {
        error: "MEMBER_ID_REQUIRED",
        generation: -1,
        protocolType: null,
        protocolName: null,
        leader: "",
        memberId: "given",
        skipAssignment: false,
        members: [],
      };
    },
  });
  const request = {
    groupId: "g",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    memberId: "",
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.from("m") }],
  };
  for (const version of [0, 3, 4, 9]) {
    const response = await answer(services, { api: joinGroupApi, version, request });
    assert.deepEqual([response.errorCode, response.memberId, response.generationId], [79, "given", -1]);
  }
  assert.deepEqual(
    joins.map((join) => [join.rebalanceTimeoutMs, join.requireKnownMemberId, join.supportsSkippingAssignment]),
    [
      [10_000, false, false],
      [60_000, false, false],
      [60_000, true, false],
      [60_000, true, true],
    ],
  );
  assert.deepEqual([joins[0]?.clientId, joins[0]?.clientHost], ["test", "/127.0.0.1"]);
});

test("sync group and heartbeat: the group's word is passed on", async () => {
  const services = await setUp({
    sync: async ({ assignments }) => ({
      error: null,
      protocolType: "consumer",
      protocolName: "range",
      assignment: assignments[0]?.assignment ?? Buffer.alloc(0),
    }),
    heartbeat: ({ generation }) => (generation === 2 ? null : "ILLEGAL_GENERATION"),
  });
  const member = { groupId: "g", memberId: "m" };
  const assignments = [{ memberId: "m", assignment: Buffer.from("a") }];
  const synced = await answer(services, {
    api: syncGroupApi,
    version: 5,
    request: { ...member, generationId: 2, assignments },
  });
  assert.deepEqual([synced.errorCode, synced.protocolName, String(synced.assignment)], [0, "range", "a"]);
  for (const [generationId, wire] of [
    [2, 0],
    [1, 22],
  ] as const) {
    const request = { ...member, generationId };
    assert.equal((await answer(services, { api: heartbeatApi, version: 4, request })).errorCode, wire);
  }
});

test("leave group: one error up to version 2, one for each member from version 3 on", async () => {
  const services = await setUp();
  const one = await answer(services, { api: leaveGroupApi, version: 2, request: { groupId: "g", memberId: "m" } });
  assert.equal(one.errorCode, 25);
  const members = [{ memberId: "m", groupInstanceId: null }];
  const list = await answer(services, { api: leaveGroupApi, version: 5, request: { groupId: "g", members } });
  assert.deepEqual([list.errorCode, list.members[0]?.errorCode], [0, 25]);
});

test("offset commit: only partitions that exist reach the group", async () => {
  const commits: CommitRequest[] = [];
  const services = await setUp({
    commit: async (request) => {
      commits.push(request);
      return request.offsets.map(({ metadata }) => (metadata === "long" ? "OFFSET_METADATA_TOO_LARGE" : null));
    },
  });
  const partition = (partitionIndex: number, committedMetadata: string | null = null) => ({
    partitionIndex,
    committedOffset: 10 + partitionIndex,
    committedMetadata,
  });
  const topics = [
    { name: "other", partitions: [partition(0)] },
    { name: "t", partitions: [partition(0), partition(2), partition(-1), partition(1, "long")] },
  ];
  const request = { groupId: "g", generationIdOrMemberEpoch: 1, memberId: "m", topics };
  const response = await answer(services, { api: offsetCommitApi, version: 8, request });
  assert.deepEqual(
    response.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
    [[3], [0, 3, 3, 12]],
  );
  assert.deepEqual(
    commits[0]?.offsets.map(({ partition: index, offset }) => [index, offset]),
    [
      [0, 10],
      [1, 11],
    ],
  );
});

test("offset commit: an unknown group is 69 from version 9 on and 22 before", async () => {
  const services = await setUp({ commit: async ({ offsets }) => offsets.map(() => "GROUP_ID_NOT_FOUND" as const) });
  const topics = [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: null }] }];
  const request = { groupId: "g", generationIdOrMemberEpoch: 1, memberId: "m", topics };
  for (const [version, wire] of [
    [8, 22],
    [9, 69],
  ] as const) {
    const response = await answer(services, { api: offsetCommitApi, version, request });
    assert.equal(response.topics[0]?.partitions[0]?.errorCode, wire);
  }
});

test("offset fetch: what is committed, -1 for the rest, and all of it for null", async () => {
  const services = await setUp({ committed: () => new Map([["t", new Map([[1, position]])]]) });
  const topics = [{ name: "t", partitionIndexes: [0, 1] }];
  const one = await answer(services, { api: offsetFetchApi, version: 7, request: { groupId: "g", topics } });
  assert.deepEqual(
    one.topics[0]?.partitions.map((each) => [each.committedOffset, each.committedLeaderEpoch, each.metadata]),
    [
      [-1, -1, ""],
      [5, 0, "note"],
    ],
  );
  const groups = [
    { groupId: "g", topics: null },
    { groupId: "h", topics },
  ];
  const many = await answer(services, { api: offsetFetchApi, version: 9, request: { groups } });
  assert.deepEqual(
    many.groups.map(({ groupId, errorCode }) => [groupId, errorCode]),
    [
      ["g", 0],
      ["h", 0],
    ],
  );
  assert.deepEqual(
    many.groups[0]?.topics[0]?.partitions.map(({ partitionIndex }) => partitionIndex),
    [1],
  );
});

test("describe groups: an unknown group is dead up to version 5 and not found from version 6 on", async () => {
  const services = await setUp();
  for (const [version, wire] of [
    [5, 0],
    [6, 69],
  ] as const) {
    const request = { groups: ["g"], includeAuthorizedOperations: true };
    const response = await answer(services, { api: describeGroupsApi, version, request });
    const [described] = response.groups;
    assert.deepEqual(
      [described?.errorCode, described?.groupState, described?.authorizedOperations],
      [wire, "Dead", 328],
    );
  }
});

test("list groups: filtered by state whatever its case, and by type", async () => {
  const services = await setUp({
    list: () => [
      { group: "a", type: "classic", protocolType: "consumer", state: "Stable", memberCount: 1 },
      { group: "b", type: "classic", protocolType: "", state: "Empty", memberCount: 0 },
      { group: "c", type: "consumer", protocolType: "consumer", state: "Assigning", memberCount: 1 },
    ],
  });
  const list = async (statesFilter: string[], typesFilter: string[]) => {
    const response = await answer(services, { api: listGroupsApi, version: 5, request: { statesFilter, typesFilter } });
    return response.groups.map(({ groupId, groupType }) => `${groupId} ${groupType}`);
  };
  assert.deepEqual(await list([], []), ["a classic", "b classic", "c consumer"]);
  assert.deepEqual(await list(["stable"], ["Classic"]), ["a classic"]);
  assert.deepEqual(await list(["assigning"], ["consumer"]), ["c consumer"]);
});

test("delete groups and offset delete: errors of the group and of its partitions", async () => {
  const services = await setUp({
    delete: async (group) => (group === "busy" ? "NON_EMPTY_GROUP" : null),
    deleteOffsets: async (group, at) =>
      group === "gone"
        ? { error: "GROUP_ID_NOT_FOUND", partitions: [] }
        : {
            error: null,
            partitions: at.map(({ partition }) => (partition === 1 ? "GROUP_SUBSCRIBED_TO_TOPIC" : null)),
          },
  });
  const deleted = await answer(services, {
    api: deleteGroupsApi,
    version: 2,
    request: { groupsNames: ["busy", "idle"] },
  });
  assert.deepEqual(
    deleted.results.map(({ errorCode }) => errorCode),
    [68, 0],
  );
  const topics = [{ name: "t", partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] }];
  const offsets = await answer(services, { api: offsetDeleteApi, version: 0, request: { groupId: "g", topics } });
  assert.deepEqual(
    offsets.topics[0]?.partitions.map(({ errorCode }) => errorCode),
    [0, 86],
  );
  const gone = await answer(services, { api: offsetDeleteApi, version: 0, request: { groupId: "gone", topics } });
  assert.deepEqual([gone.errorCode, gone.topics.length], [69, 0]);
});
