/** What unmodified clients of users with few permissions can do, and what they are told about the rest. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { Admin as PlatformaticAdmin, Consumer as PlatformaticConsumer, stringDeserializers } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import type { Consumer } from "kafkajs";
import { systemClock } from "../../shared/clock.ts";
import { silentLogger } from "../../shared/logger.ts";

import { aclAuthorizer } from "../../hub/access/acl-authorizer.ts";
import type { Acl } from "../../hub/access/acl.ts";
import type { Operation } from "../../hub/access/authorizer.ts";
import { UserDirectory } from "../../hub/access/user-directory.ts";
import { GroupCoordinator } from "../../hub/group/coordinator-runner.ts";
import { systemTimers } from "../../hub/group/deadline-timers.ts";
import { KafkaListener } from "../../hub/kafka/listener.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { MemoryEngine } from "../support/memory-engine.ts";
import { testUser } from "../support/test-users.ts";

const PASSWORD = "a password for tests";

const rule = (resource: Acl["resource"], name: string, ...operations: Operation[]): Acl => ({
  resource,
  name,
  pattern: resource === "cluster" ? "literal" : "prefixed",
  operations,
});
const aclsOf = {
  reader: [rule("topic", "plant-", "read"), rule("group", "readers-", "read"), rule("group", "shown-", "describe")],
  writer: [rule("topic", "plant-", "write")],
  auditor: [rule("cluster", "", "describe", "alter")],
};
const users = await Promise.all([
  testUser("root", PASSWORD),
  ...Object.entries(aclsOf).map(([name, acls]) => testUser(name, PASSWORD, { isSuperuser: false, acls })),
]);

/** A hub with the topics plant-1, which holds one record, and payroll. */
async function startHub(t: TestContext) {
  const engine = new MemoryEngine();
  for (const name of ["plant-1", "payroll"]) await engine.createTopic({ name, partitionCount: 1 });
  const common = { engine, clock: systemClock, logger: silentLogger() };
  const groups = await GroupCoordinator.open({
    ...common,
    timers: systemTimers,
    options: { initialRebalanceDelayMs: 0 },
  });
  const listener = new KafkaListener({
    ...common,
    groups,
    options: { port: 0 },
    users: new UserDirectory(users),
    authorizer: aclAuthorizer(users),
  });
  onCleanUp(t, async () => {
    await listener.close();
    await groups.close();
  });
  const { host, port } = await listener.start();
  const address = `${host}:${port}`;
  const as = (username: string): Kafka =>
    new Kafka({
      clientId: username,
      brokers: [address],
      logLevel: logLevel.NOTHING,
      // It makes no idempotent producer without one; a consumer that failed would begin anew for ever.
      retry: { retries: 1, restartOnFailure: async () => false },
      sasl: { mechanism: "scram-sha-256", username, password: PASSWORD },
    });
  return { engine, groups, address, as };
}

type Client = { connect(): Promise<void>; disconnect(): Promise<void> };

async function connected<T extends Client>(t: TestContext, client: T): Promise<T> {
  await client.connect();
  onCleanUp(t, () => client.disconnect());
  return client;
}

/** Kafka's name for the error, as KafkaJS gives it, perhaps wrapped. */
function errorType(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { type, cause, errors } = error as { type?: string; cause?: unknown; errors?: readonly unknown[] };
  return type ?? errorType(cause) ?? errorType(errors?.[0]);
}
const isRefused = (type: string) => (error: unknown) => {
  assert.equal(errorType(error), type, String(error));
  return true;
};

async function sendAs(t: TestContext, kafka: Kafka, topic: string, idempotent = false) {
  const producer = await connected(t, kafka.producer({ idempotent, maxInFlightRequests: 1 }));
  return producer.send({ topic, acks: -1, messages: [{ value: "hot" }] });
}

/** The first value that the consumer reads, or the error by which it gives up. */
async function firstOf(t: TestContext, consumer: Consumer, topic: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  consumer.on("consumer.crash", ({ payload }) => reject(payload.error));
  await connected(t, consumer);
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) });
  return promise;
}

suite("KafkaJS", () => {
  test("a producer and a consumer with the prefix of their topics and group do their work", async (t) => {
    const { as, groups } = await startHub(t);
    await sendAs(t, as("writer"), "plant-1");
    await sendAs(t, as("writer"), "plant-1", true);
    const consumer = as("reader").consumer({ groupId: "readers-1" });
    assert.equal(await firstOf(t, consumer, "plant-1"), "hot");
    // Commits what it has read.
    await consumer.stop();
    assert.ok((groups.committed("readers-1").get("plant-1")?.get(0)?.offset ?? 0) > 0);
  });

  test("a consumer of another topic, or in another group, is told which of them is refused", async (t) => {
    const { as, groups } = await startHub(t);
    const otherTopic = as("reader").consumer({ groupId: "readers-1" });
    await assert.rejects(firstOf(t, otherTopic, "payroll"), isRefused("TOPIC_AUTHORIZATION_FAILED"));
    const shownGroup = as("reader").consumer({ groupId: "shown-1" });
    await assert.rejects(firstOf(t, shownGroup, "plant-1"), isRefused("GROUP_AUTHORIZATION_FAILED"));
    // KafkaJS keeps to itself why it is not told where the group's coordinator is.
    const hiddenGroup = as("reader").consumer({ groupId: "accountants" });
    await assert.rejects(firstOf(t, hiddenGroup, "plant-1"), { name: "KafkaJSGroupCoordinatorNotFound" });
    assert.ok(groups.list().every(({ group }) => group === "readers-1"));
  });

  test("a producer without permission stores nothing, makes no topic and gets no producer id", async (t) => {
    const { as, engine } = await startHub(t);
    await assert.rejects(sendAs(t, as("reader"), "plant-1"), isRefused("TOPIC_AUTHORIZATION_FAILED"));
    await assert.rejects(sendAs(t, as("writer"), "payroll"), isRefused("TOPIC_AUTHORIZATION_FAILED"));
    await assert.rejects(sendAs(t, as("writer"), "plant-2"), isRefused("TOPIC_AUTHORIZATION_FAILED"));
    await assert.rejects(sendAs(t, as("auditor"), "plant-1", true), isRefused("CLUSTER_AUTHORIZATION_FAILED"));
    assert.deepEqual([engine.appends, Array.from(engine.topics.keys())], [[], ["plant-1", "payroll"]]);
  });

  test("an admin client sees and changes only what its user may", async (t) => {
    const { as, engine } = await startHub(t);
    const reader = await connected(t, as("reader").admin());
    assert.deepEqual(await reader.listTopics(), ["plant-1"]);
    await assert.rejects(reader.deleteTopics({ topics: ["plant-1"] }), isRefused("TOPIC_AUTHORIZATION_FAILED"));
    await assert.rejects(
      reader.createTopics({ topics: [{ topic: "plant-2" }] }),
      isRefused("TOPIC_AUTHORIZATION_FAILED"),
    );
    assert.deepEqual(Array.from(engine.topics.keys()), ["plant-1", "payroll"]);
    const root = await connected(t, as("root").admin());
    assert.deepEqual(await root.listTopics(), ["plant-1", "payroll"]);
    assert.equal(await root.createTopics({ topics: [{ topic: "plant-2" }] }), true);
  });

  test("access control lists can be read by who may, and changed in the configuration only", async (t) => {
    const { as } = await startHub(t);
    const reader = await connected(t, as("reader").admin());
    // KafkaJS's enumerations are not to be had from a module.
    const [ANY, TOPIC, LITERAL, READ, ALLOW] = [1, 2, 3, 3, 3];
    const any = { resourceType: ANY, resourcePatternType: ANY, operation: ANY, permissionType: ANY };
    await assert.rejects(reader.describeAcls(any), isRefused("CLUSTER_AUTHORIZATION_FAILED"));
    const auditor = await connected(t, as("auditor").admin());
    const { resources } = await auditor.describeAcls({ ...any, principal: "User:reader" });
    assert.deepEqual(
      resources.map(({ resourceType, resourceName, resourcePatternType, acls }) => [
        resourceType,
        resourceName,
        resourcePatternType,
        acls,
      ]),
      [
        [2, "plant-", 4, [{ principal: "User:reader", host: "*", operation: 3, permissionType: 3 }]],
        [3, "readers-", 4, [{ principal: "User:reader", host: "*", operation: 3, permissionType: 3 }]],
        [3, "shown-", 4, [{ principal: "User:reader", host: "*", operation: 8, permissionType: 3 }]],
      ],
    );
    const newRule = {
      resourceType: TOPIC,
      resourceName: "payroll",
      resourcePatternType: LITERAL,
      principal: "User:auditor",
      host: "*",
      operation: READ,
      permissionType: ALLOW,
    };
    await assert.rejects(auditor.createAcls({ acl: [newRule] }), isRefused("POLICY_VIOLATION"));
    await assert.rejects(auditor.deleteAcls({ filters: [any] }), isRefused("POLICY_VIOLATION"));
  });
});

suite("@platformatic/kafka", () => {
  const options = (address: string, username: string) => ({
    clientId: username,
    bootstrapBrokers: [address],
    retries: 0,
    sasl: { mechanism: "SCRAM-SHA-256" as const, username, password: PASSWORD },
  });

  /** Kafka's codes in an error and its causes. */
  const codes = (error: unknown): number[] => {
    if (typeof error !== "object" || error === null) return [];
    const { apiCode, cause, errors = [] } = error as { apiCode?: number; cause?: unknown; errors?: readonly unknown[] };
    return [...(apiCode === undefined ? [] : [apiCode]), ...codes(cause), ...errors.flatMap(codes)];
  };

  test("a consumer reads what it may, by topic id, and is refused the rest", async (t) => {
    const { as, address } = await startHub(t);
    await sendAs(t, as("writer"), "plant-1");
    const consumer = new PlatformaticConsumer({
      ...options(address, "reader"),
      groupId: "readers-2",
      deserializers: stringDeserializers,
    });
    onCleanUp(t, () => consumer.close(true));
    const stream = await consumer.consume({ topics: ["plant-1"], mode: "earliest", maxWaitTime: 100 });
    for await (const { value } of stream) {
      assert.equal(value, "hot");
      break;
    }
    await assert.rejects(consumer.consume({ topics: ["payroll"], mode: "earliest" }), (error) =>
      codes(error).includes(29),
    );
    const hidden = new PlatformaticConsumer({ ...options(address, "reader"), groupId: "accountants" });
    onCleanUp(t, () => hidden.close(true));
    await assert.rejects(hidden.consume({ topics: ["plant-1"] }), (error) => codes(error).includes(30));
  });

  test("an admin client lists the topics of its user, and groups that it may describe", async (t) => {
    const { address } = await startHub(t);
    const admin = new PlatformaticAdmin(options(address, "reader"));
    onCleanUp(t, () => admin.close());
    assert.deepEqual(await admin.listTopics(), ["plant-1"]);
    await assert.rejects(admin.deleteTopics({ topics: ["plant-1"] }), (error) => codes(error).includes(29));
  });

  test("an admin client reads the access control lists in the newest version of the API", async (t) => {
    const { address } = await startHub(t);
    const admin = new PlatformaticAdmin(options(address, "root"));
    onCleanUp(t, () => admin.close());
    const filter = {
      resourceType: 2,
      resourceName: "plant-7",
      resourcePatternType: 2,
      operation: 4,
      permissionType: 1,
      principal: null,
      host: null,
    } as const;
    assert.deepEqual(await admin.describeAcls({ filter }), [
      {
        resourceType: 2,
        resourceName: "plant-",
        resourcePatternType: 4,
        acls: [{ principal: "User:writer", host: "*", operation: 4, permissionType: 3 }],
      },
    ]);
  });
});
