/** Metadata and the APIs that make, change and describe topics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeClusterApi, findCoordinatorApi } from "../../../../../hub/kafka/schemas/cluster.ts";
import {
  alterConfigsApi,
  createPartitionsApi,
  createTopicsApi,
  deleteTopicsApi,
  describeConfigsApi,
  incrementalAlterConfigsApi,
  metadataApi,
} from "../../../../../hub/kafka/schemas/topics.ts";
import { answer, kafkaServices } from "../../../../support/kafka-hub.ts";
import type { TestHubOptions } from "../../../../support/kafka-hub.ts";

const zeroId = Buffer.alloc(16);
const named = (...names: readonly string[]) => names.map((name) => ({ name, topicId: zeroId }));

async function setUp(hub: TestHubOptions = {}) {
  const services = kafkaServices(hub);
  await services.engine.createTopic({ name: "t", partitionCount: 2 });
  const metadata = (request: Parameters<typeof ask>[0], version = 12) => ask(request, version);
  const ask = (
    request: { topics: { name: string | null; topicId: Buffer }[] | null } & Record<string, unknown>,
    version: number,
  ) => answer(services, { api: metadataApi, version, request });
  return { ...services, services, metadata };
}

test("metadata: null asks for all topics, an empty list for none, but in version 0 for all", async () => {
  const { metadata } = await setUp();
  assert.deepEqual(
    (await metadata({ topics: null })).topics.map(({ name }) => name),
    ["t"],
  );
  assert.deepEqual((await metadata({ topics: [] })).topics, []);
  assert.deepEqual(
    (await metadata({ topics: [] }, 0)).topics.map(({ name }) => name),
    ["t"],
  );
});

test("metadata: one broker leads every partition at an epoch that never goes back", async () => {
  const { engine, metadata } = await setUp();
  const { brokers, controllerId, clusterId, topics } = await metadata({ topics: named("t") });
  assert.deepEqual(brokers, [{ nodeId: 1, host: "hub.example", port: 9092, rack: null }]);
  assert.deepEqual([controllerId, clusterId], [1, engine.clusterId]);
  assert.deepEqual(topics[0]?.partitions[1], {
    errorCode: 0,
    partitionIndex: 1,
    leaderId: 1,
    leaderEpoch: 0,
    replicaNodes: [1],
    isrNodes: [1],
    offlineReplicas: [],
  });
});

test("metadata: a topic is created when client and hub allow it", async () => {
  const { engine, metadata } = await setUp();
  const forbidden = await metadata({ topics: named("new"), allowAutoTopicCreation: false });
  assert.equal(forbidden.topics[0]?.errorCode, 3);
  const [first, again] = await Promise.all([metadata({ topics: named("new") }), metadata({ topics: named("new") }, 1)]);
  assert.deepEqual([first.topics[0]?.errorCode, again.topics[0]?.errorCode], [0, 0]);
  assert.equal(engine.topics.get("new")?.partitionCount, 4);
  const invalid = await metadata({ topics: named("not/allowed", "t") });
  assert.deepEqual(
    invalid.topics.map(({ errorCode }) => errorCode),
    [17, 0],
  );
});

test("metadata: a hub without auto-creation creates nothing", async () => {
  const { engine, metadata } = await setUp({ options: { autoCreateTopics: false } });
  assert.equal((await metadata({ topics: named("new") })).topics[0]?.errorCode, 3);
  assert.equal(engine.topics.size, 1);
});

test("metadata: topics are found by id, and by name with the zero id", async () => {
  const { engine, metadata } = await setUp();
  const topicId = engine.topics.get("t")?.id ?? zeroId;
  const found = await metadata({ topics: [{ name: null, topicId }] });
  assert.deepEqual([found.topics[0]?.errorCode, found.topics[0]?.name], [0, "t"]);
  const unknown = await metadata({ topics: [{ name: null, topicId: Buffer.alloc(16, 1) }] });
  assert.deepEqual([unknown.topics[0]?.errorCode, unknown.topics[0]?.name], [100, null]);
});

test("metadata: authorized operations are the full set when asked for and a marker when not", async () => {
  const { metadata } = await setUp();
  const plain = await metadata({ topics: named("t") }, 9);
  assert.deepEqual(
    [plain.clusterAuthorizedOperations, plain.topics[0]?.topicAuthorizedOperations],
    [-2147483648, -2147483648],
  );
  const asked = {
    topics: named("t"),
    includeClusterAuthorizedOperations: true,
    includeTopicAuthorizedOperations: true,
  };
  const full = await metadata(asked, 9);
  assert.deepEqual([full.clusterAuthorizedOperations, full.topics[0]?.topicAuthorizedOperations], [8096, 3576]);
});

test("metadata: a topic named often is described once", async () => {
  const { metadata } = await setUp();
  assert.equal((await metadata({ topics: named(...Array<string>(1000).fill("t")) })).topics.length, 1);
});

type NewTopic = {
  name?: string;
  numPartitions?: number;
  replicationFactor?: number;
  assignments?: { partitionIndex: number; brokerIds: number[] }[];
  configs?: { name: string; value: string | null }[];
};
const creating = (topics: readonly NewTopic[], validateOnly = false) => ({
  topics: topics.map((topic) => ({
    name: "new",
    numPartitions: 3,
    replicationFactor: 1,
    assignments: [],
    configs: [],
    ...topic,
  })),
  timeoutMs: 1000,
  validateOnly,
});

test("create topics: the answer tells what was made", async () => {
  const { engine, services } = await setUp();
  const configs = [{ name: "retention.ms", value: "5" }];
  const request = creating([{ numPartitions: -1, replicationFactor: -1, configs }]);
  const { topics } = await answer(services, { api: createTopicsApi, version: 7, request });
  const [created] = topics;
  assert.deepEqual([created?.errorCode, created?.numPartitions, created?.replicationFactor], [0, 4, 1]);
  assert.ok(created !== undefined && created.topicId.equals(engine.topics.get("new")?.id ?? zeroId));
  const retention = created.configs?.find(({ name }) => name === "retention.ms");
  assert.deepEqual([retention?.value, retention?.configSource], ["5", 1]);
  assert.deepEqual(engine.topics.get("new")?.config, { "retention.ms": "5" });
});

const refusals: readonly [what: string, topic: NewTopic, wire: number][] = [
  ["a topic that exists", { name: "t" }, 36],
  ["a name that is not allowed", { name: ".." }, 17],
  ["no partitions", { numPartitions: 0 }, 37],
  ["more partitions than allowed", { numPartitions: 1001 }, 37],
  ["two replicas", { replicationFactor: 2 }, 38],
  ["an unknown configuration key", { configs: [{ name: "retention", value: "5" }] }, 40],
  ["a value of the wrong type", { configs: [{ name: "retention.ms", value: "soon" }] }, 40],
  ["a key without a value", { configs: [{ name: "retention.ms", value: null }] }, 40],
  ["a key of Object.prototype", { configs: [{ name: "__proto__", value: "5" }] }, 40],
  [
    "an assignment to another broker",
    { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [2] }] },
    39,
  ],
  ["an assignment and a count", { assignments: [{ partitionIndex: 0, brokerIds: [1] }] }, 42],
];
for (const [what, topic, wire] of refusals) {
  test(`create topics: ${what} is refused with ${wire}, the next topic is made`, async () => {
    const { engine, services } = await setUp();
    const request = creating([topic, { name: "good" }]);
    const { topics } = await answer(services, { api: createTopicsApi, version: 5, request });
    assert.deepEqual(
      topics.map(({ errorCode }) => errorCode),
      [wire, 0],
    );
    assert.deepEqual([...engine.topics.keys()], ["t", "good"]);
  });
}

test("create topics: a topic that is in the request twice is not made", async () => {
  const { engine, services } = await setUp();
  const request = creating([{ name: "twice" }, { name: "twice" }]);
  const { topics } = await answer(services, { api: createTopicsApi, version: 5, request });
  assert.deepEqual(
    topics.map(({ errorCode }) => errorCode),
    [42],
  );
  assert.equal(engine.topics.has("twice"), false);
});

test("create topics: validate_only makes nothing, and any replication factor passes where the hub says so", async () => {
  const { engine, services } = await setUp({ options: { acceptAnyReplicationFactor: true } });
  const request = creating([{ replicationFactor: 3 }], true);
  const { topics } = await answer(services, { api: createTopicsApi, version: 5, request });
  assert.deepEqual([topics[0]?.errorCode, topics[0]?.replicationFactor], [0, 1]);
  assert.equal(engine.topics.has("new"), false);
});

test("delete topics: by name and by id, and its committed offsets go too", async () => {
  const forgotten: string[] = [];
  const { engine, services } = await setUp({ groups: { forgetTopic: async (topic) => void forgotten.push(topic) } });
  const { id } = await engine.createTopic({ name: "u", partitionCount: 1 });
  const byName = { topicNames: ["t", "unknown"], timeoutMs: 1 };
  const first = await answer(services, { api: deleteTopicsApi, version: 5, request: byName });
  assert.deepEqual(
    first.responses.map(({ errorCode }) => errorCode),
    [0, 3],
  );
  const byId = {
    topics: [
      { name: null, topicId: id },
      { name: null, topicId: Buffer.alloc(16, 1) },
    ],
    timeoutMs: 1,
  };
  const second = await answer(services, { api: deleteTopicsApi, version: 6, request: byId });
  assert.deepEqual(
    second.responses.map(({ errorCode, name }) => [errorCode, name]),
    [
      [0, "u"],
      [100, null],
    ],
  );
  assert.deepEqual([forgotten, engine.topics.size], [["t", "u"], 0]);
});

test("create partitions: a topic only grows", async () => {
  const { engine, services } = await setUp();
  const grow = async (name: string, count: number, validateOnly = false) => {
    const request = { topics: [{ name, count, assignments: null }], timeoutMs: 1, validateOnly };
    return (await answer(services, { api: createPartitionsApi, version: 3, request })).results[0]?.errorCode;
  };
  assert.deepEqual([await grow("t", 2), await grow("t", 1001), await grow("other", 5)], [37, 37, 3]);
  assert.equal(await grow("t", 5, true), 0);
  assert.equal(engine.topics.get("t")?.partitionCount, 2);
  assert.equal(await grow("t", 5), 0);
  assert.equal(engine.topics.get("t")?.partitionCount, 5);
});

test("configs: incremental changes leave the other keys, a full alter replaces them", async () => {
  const { engine, services } = await setUp();
  const change = (name: string, configOperation: number, value: string | null) => ({ name, configOperation, value });
  const incremental = async (configs: ReturnType<typeof change>[], validateOnly = false) => {
    const request = { resources: [{ resourceType: 2, resourceName: "t", configs }], validateOnly };
    return (await answer(services, { api: incrementalAlterConfigsApi, version: 1, request })).responses[0]?.errorCode;
  };
  const config = () => engine.topics.get("t")?.config;
  assert.equal(await incremental([change("retention.ms", 0, "5"), change("cleanup.policy", 2, "compact")]), 0);
  assert.deepEqual(config(), { "retention.ms": "5", "cleanup.policy": "delete,compact" });
  assert.equal(await incremental([change("cleanup.policy", 3, "delete"), change("retention.ms", 1, null)]), 0);
  assert.deepEqual(config(), { "cleanup.policy": "compact" });
  assert.equal(await incremental([change("retention.ms", 2, "5")]), 40);
  assert.equal(await incremental([change("unknown", 0, "5")]), 40);
  assert.equal(await incremental([change("retention.ms", 0, "6")], true), 0);
  assert.deepEqual(config(), { "cleanup.policy": "compact" });
  const request = {
    resources: [
      { resourceType: 2, resourceName: "t", configs: [{ name: "retention.bytes", value: "7" }] },
      { resourceType: 4, resourceName: "1", configs: [] },
      { resourceType: 2, resourceName: "other", configs: [] },
    ],
    validateOnly: false,
  };
  const { responses } = await answer(services, { api: alterConfigsApi, version: 2, request });
  assert.deepEqual(
    responses.map(({ errorCode }) => errorCode),
    [0, 40, 3],
  );
  assert.deepEqual(config(), { "retention.bytes": "7" });
});

test("configs: every key is described with its type, source and synonyms", async () => {
  const { engine, services } = await setUp({ options: { topicDefaults: { "retention.ms": "1000" } } });
  await engine.alterTopic("t", { "retention.ms": "5" });
  const ask = async (resourceType: number, resourceName: string, configurationKeys: string[] | null) => {
    const request = {
      resources: [{ resourceType, resourceName, configurationKeys }],
      includeSynonyms: true,
      includeDocumentation: true,
    };
    return (await answer(services, { api: describeConfigsApi, version: 4, request })).results[0];
  };
  const [retention] = (await ask(2, "t", ["retention.ms"]))?.configs ?? [];
  assert.deepEqual([retention?.value, retention?.configSource, retention?.configType], ["5", 1, 5]);
  assert.deepEqual(
    retention?.synonyms.map(({ value, source }) => [value, source]),
    [
      ["5", 1],
      ["1000", 4],
      ["604800000", 5],
    ],
  );
  assert.ok(((await ask(2, "t", null))?.configs.length ?? 0) > 25);
  assert.equal((await ask(2, "other", null))?.errorCode, 3);
  assert.ok((await ask(4, "1", null))?.configs.some(({ name }) => name === "num.partitions"));
  assert.equal((await ask(4, "2", null))?.errorCode, 42);
  for (const [type, name] of [
    [8, "1"],
    [32, "a-group"],
    [99, "t"],
  ] as const) {
    const refused = await ask(type, name, null);
    assert.deepEqual([refused?.errorCode, refused?.configs], [42, []], "loggers and groups have none here");
    assert.match(refused?.errorMessage ?? "", /resource type \d+ is not served/);
  }
});

test("the hub is cluster, controller and coordinator", async () => {
  const { engine, services } = await setUp();
  const cluster = await answer(services, {
    api: describeClusterApi,
    version: 1,
    request: { includeClusterAuthorizedOperations: true },
  });
  assert.deepEqual(
    [cluster.clusterId, cluster.controllerId, cluster.brokers.length, cluster.clusterAuthorizedOperations],
    [engine.clusterId, 1, 1, 8096],
  );
  const one = await answer(services, { api: findCoordinatorApi, version: 2, request: { key: "g" } });
  assert.deepEqual([one.errorCode, one.nodeId, one.host, one.port], [0, 1, "hub.example", 9092]);
  const request = { keyType: 0, coordinatorKeys: ["a", "b", "a"] };
  const many = await answer(services, { api: findCoordinatorApi, version: 4, request });
  assert.deepEqual(
    many.coordinators.map(({ key, nodeId }) => [key, nodeId]),
    [
      ["a", 1],
      ["b", 1],
    ],
  );
  const share = await answer(services, {
    api: findCoordinatorApi,
    version: 6,
    request: { keyType: 2, coordinatorKeys: ["a"] },
  });
  assert.equal(share.coordinators[0]?.errorCode, 42);
});
