/** @platformatic/kafka. */
import { readFileSync } from "node:fs";
import {
  AclOperations,
  AclPermissionTypes,
  Admin,
  ConfigResourceTypes,
  Consumer,
  IncrementalAlterConfigOperationTypes,
  ListOffsetTimestamps,
  Producer,
  ProtocolError,
  ResourcePatternTypes,
  ResourceTypes,
  findErrorBy,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";
import type { ConsumerOptions } from "@platformatic/kafka";
import type { Connection } from "../../../support/client-driver.ts";
import { recordsOf, runsOf, serveDriver, tell, tellCall } from "./protocol.ts";
import type { TopicGroup } from "./protocol.ts";

const packageFile = new URL("../../../../node_modules/@platformatic/kafka/package.json", import.meta.url);
const packageJson = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };

function base({ bootstrap, sasl, tls }: Connection, backoffMs = 100) {
  return {
    clientId: "driver",
    bootstrapBrokers: [bootstrap],
    retries: Math.ceil(60_000 / backoffMs),
    retryDelay: backoffMs,
    autocreateTopics: false,
    ...(sasl === undefined ? {} : { sasl }),
    ...(tls === undefined ? {} : { tls: { ca: [readFileSync(tls.caFile, "utf8")] } }),
  };
}

function openConsumer(
  connection: Connection,
  groupId: string,
  options: Partial<ConsumerOptions<string, string, string, string>> = {},
) {
  return new Consumer<string, string, string, string>({
    ...base(connection),
    groupId,
    deserializers: stringDeserializers,
    maxWaitTime: 200,
    ...options,
  });
}

const ASSIGNMENT_POLL_MS = 50;

/** In a group of its own: the library's stream is always a member's. */
const ownGroup = (): string => `driver-${process.pid}-${Date.now()}`;

async function partitionsOf(admin: Admin, topic: string): Promise<readonly number[]> {
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true });
  return [...Array(metadata.topics.get(topic)?.partitionsCount ?? 0).keys()];
}

async function offsetsAt(admin: Admin, topic: string, timestamp: bigint): Promise<ReadonlyMap<number, number>> {
  const partitions = (await partitionsOf(admin, topic)).map((partitionIndex) => ({ partitionIndex, timestamp }));
  const [answer] = await admin.listOffsets({ topics: [{ name: topic, partitions }] });
  return new Map((answer?.partitions ?? []).map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]));
}

async function calls({ topic, group, ...connection }: TopicGroup): Promise<void> {
  const admin = new Admin(base(connection));
  const describe = async (name: string): Promise<object> => {
    const [found] = await admin.describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configurationKeys: [name] }],
    });
    return Object.fromEntries((found?.configs ?? []).map((each) => [each.name, each.value]));
  };
  const earliest = async () => (await offsetsAt(admin, topic, ListOffsetTimestamps.EARLIEST)).get(0);
  await tellCall("createTopics", async () => {
    await admin.createTopics({
      topics: [topic],
      partitions: 3,
      replicas: 1,
      configs: [{ name: "retention.ms", value: "3600000" }],
    });
  });
  await tellCall("listTopics", async () => (await admin.listTopics()).toSorted());
  await tellCall("describeTopics", async () => ({ partitions: (await partitionsOf(admin, topic)).length }));
  await tellCall("describeConfigs", () => describe("retention.ms"));
  await tellCall("alterConfigs", async () => {
    const configOperation = IncrementalAlterConfigOperationTypes.SET;
    await admin.incrementalAlterConfigs({
      resources: [
        {
          resourceType: ConfigResourceTypes.TOPIC,
          resourceName: topic,
          configs: [{ name: "max.message.bytes", value: "2000000", configOperation }],
        },
      ],
    });
    return describe("max.message.bytes");
  });
  await tellCall("createPartitions", () => admin.createPartitions({ topics: [{ name: topic, count: 5 }] }));
  await tellCall("produce", async () => {
    const producer = new Producer({ ...base(connection), serializers: stringSerializers });
    const messages = recordsOf({ count: 10, prefix: "admin", partition: 0 }).map((record) => ({ ...record, topic }));
    await producer.send({ messages, acks: -1 });
    await producer.close();
    return messages.length;
  });
  await tellCall("listOffsets", async () => ({
    earliest: await earliest(),
    latest: (await offsetsAt(admin, topic, ListOffsetTimestamps.LATEST)).get(0),
  }));
  await tellCall("deleteRecords", async () => {
    await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 4n }] }] });
    return earliest();
  });
  await tellCall("commitOffsets", () =>
    admin.alterConsumerGroupOffsets({
      groupId: group,
      topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 7n }] }],
    }),
  );
  await tellCall("listGroups", async () => (await admin.listGroups()).has(group));
  await tellCall("describeGroups", async () => {
    const found = (await admin.describeGroups({ groups: [group] })).get(group);
    const state = found === undefined ? "" : `${found.state.slice(0, 1)}${found.state.slice(1).toLowerCase()}`;
    return { state, members: found?.members.size };
  });
  await tellCall("listGroupOffsets", async () => {
    const [found] = await admin.listConsumerGroupOffsets({ groups: [group] });
    const partitions = found?.topics.find(({ name }) => name === topic)?.partitions ?? [];
    return Object.fromEntries(partitions.map((each) => [each.partitionIndex, Number(each.committedOffset)]));
  });
  await tellCall("deleteGroupOffsets", async () => {
    await admin.deleteConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionIndexes: [0] }] });
  });
  await tellCall("deleteGroups", async () => {
    await admin.deleteGroups({ groups: [group] });
  });
  await tellCall("describeCluster", async () => ({ brokers: (await admin.metadata({})).brokers.size }));
  await tellCall("describeAcls", () =>
    protocolName(async () => {
      const filter = {
        resourceType: ResourceTypes.ANY,
        resourceName: null,
        resourcePatternType: ResourcePatternTypes.ANY,
        principal: null,
        host: null,
        operation: AclOperations.ANY,
        permissionType: AclPermissionTypes.ANY,
      };
      return (await admin.describeAcls({ filter })).length;
    }),
  );
  await tellCall("createAcls", () =>
    protocolName(() =>
      admin.createAcls({
        creations: [
          {
            resourceType: ResourceTypes.TOPIC,
            resourceName: topic,
            resourcePatternType: ResourcePatternTypes.LITERAL,
            principal: "User:driver",
            host: "*",
            operation: AclOperations.READ,
            permissionType: AclPermissionTypes.ALLOW,
          },
        ],
      }),
    ),
  );
  await tellCall("deleteTopics", () => admin.deleteTopics({ topics: [topic] }));
  await admin.close();
}

/** What the hub said, where the library's own message is about the request as a whole. */
async function protocolName<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof Error ? findErrorBy(error, "code", ProtocolError.code) : null;
    throw cause instanceof ProtocolError ? new Error(cause.apiId) : error;
  }
}

await serveDriver({
  about: () => ({
    client: "@platformatic/kafka",
    version: packageJson.version,
    codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
    mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    without: {},
  }),
  produce: async ({ topic, codec, acks, idempotent, perRequest, backoffMs, ...args }) => {
    const producer = new Producer({
      ...base(args, backoffMs),
      serializers: stringSerializers,
      idempotent,
      acks,
      compression: codec,
    });
    let delivered = 0;
    for (const messages of runsOf(recordsOf(args), perRequest ?? 100)) {
      await producer.send({ messages: messages.map((message) => ({ ...message, topic })) });
      delivered += messages.length;
    }
    await producer.close();
    tell({ delivered });
  },
  consume: async ({ topic, count, ...connection }) => {
    const consumer = openConsumer(connection, ownGroup());
    const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: false });
    let left = count;
    for await (const { partition, offset, timestamp, key, value, headers } of stream) {
      tell({
        partition,
        offset: Number(offset),
        timestamp: Number(timestamp),
        key,
        value,
        headers: Object.fromEntries(headers),
      });
      if (--left <= 0) break;
    }
    await consumer.close(true);
  },
  "seek-timestamp": async ({ topic, timestamp, ...connection }) => {
    const admin = new Admin(base(connection));
    const found = await offsetsAt(admin, topic, BigInt(timestamp));
    await admin.close();
    const wanted = [...found].filter(([, offset]) => offset >= 0);
    const first = new Map<number, { offset: number; timestamp: number }>();
    if (wanted.length > 0) {
      const consumer = openConsumer(connection, ownGroup());
      const offsets = [...found].map(([partition, offset]) => ({ topic, partition, offset: BigInt(offset) }));
      const stream = await consumer.consume({
        topics: [topic],
        mode: "manual",
        fallbackMode: "latest",
        offsets,
        autocommit: false,
      });
      for await (const record of stream) {
        const isFirst = !first.has(record.partition) && (found.get(record.partition) ?? -1) >= 0;
        if (isFirst)
          first.set(record.partition, { offset: Number(record.offset), timestamp: Number(record.timestamp) });
        if (first.size === wanted.length) break;
      }
      await consumer.close(true);
    }
    for (const [partition, offset] of found) {
      tell({ partition, offset: offset < 0 ? null : offset, first: first.get(partition) ?? null });
    }
  },
  member: async (
    { group, topic, instanceId, protocol = "classic", sessionTimeoutMs = 10_000, ...connection },
    stopped,
  ) => {
    const consumer = openConsumer(connection, group, {
      ...(protocol === "consumer"
        ? { groupProtocol: "consumer" as const }
        : {
            sessionTimeout: sessionTimeoutMs,
            heartbeatInterval: Math.floor(sessionTimeoutMs / 10),
            rebalanceTimeout: Math.max(10_000, sessionTimeoutMs),
          }),
      ...(instanceId === undefined ? {} : { groupInstanceId: instanceId }),
      autocommit: false,
    });
    const assigned = (): readonly number[] =>
      (consumer.assignments ?? []).filter((each) => each.topic === topic).flatMap((each) => each.partitions);
    let told = "";
    const tellAssignment = (): void => {
      const now = assigned().join(" ");
      if (now !== told) tell({ assigned: assigned() });
      told = now;
    };
    consumer.on("consumer:group:join", tellAssignment);
    // By the newer protocol an assignment changes some time after a heartbeat, without an event of its own.
    const watch = setInterval(tellAssignment, ASSIGNMENT_POLL_MS);
    const stream = await consumer.consume({
      topics: [topic],
      mode: "committed",
      fallbackMode: "earliest",
      autocommit: false,
    });
    consumer.on("error", (error: Error) => stream.destroy(error));
    let isStopped = false;
    void stopped.then(() => {
      isStopped = true;
      stream.destroy();
    });
    try {
      for await (const { partition, offset, value, leaderEpoch } of stream) {
        // Fetched before a rebalance gave the partition away.
        if (!assigned().includes(partition)) continue;
        tell({ record: [partition, Number(offset), value] });
        const next = offset + 1n;
        try {
          await consumer.commit({ offsets: [{ topic, partition, offset: next, leaderEpoch }] });
          tell({ committed: { [partition]: Number(next) } });
        } catch (error) {
          process.stderr.write(`commit: ${String(error)}\n`);
        }
      }
    } catch (error) {
      if (!isStopped) throw error;
    }
    clearInterval(watch);
    await consumer.close(true);
    tell({ left: true });
  },
  admin: calls,
});
