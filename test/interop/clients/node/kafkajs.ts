/** KafkaJS. */
import { readFileSync } from "node:fs";
import kafkajs from "kafkajs";
import type {
  Consumer,
  CompressionTypes as CompressionType,
  Kafka as KafkaJs,
  KafkaConfig,
  SASLOptions,
} from "kafkajs";
import type { Codec, Connection } from "../../../support/client-driver.ts";
import { recordsOf, runsOf, serveDriver, tell, tellCall } from "./protocol.ts";
import type { TopicGroup } from "./protocol.ts";

// Of a CommonJS package, Node finds only some of the names by itself.
const {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  CompressionTypes,
  ConfigResourceTypes,
  Kafka,
  ResourcePatternTypes,
  logLevel,
} = kafkajs;
const packageJson = JSON.parse(readFileSync(new URL(import.meta.resolve("kafkajs/package.json")), "utf8")) as {
  readonly version: string;
};
const compression: Readonly<Partial<Record<Codec, CompressionType>>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
};
const MECHANISMS = { PLAIN: "plain", "SCRAM-SHA-256": "scram-sha-256", "SCRAM-SHA-512": "scram-sha-512" } as const;

function open({ bootstrap, sasl, tls }: Connection, backoffMs = 100): KafkaJs {
  const config: KafkaConfig = {
    clientId: "driver",
    brokers: [bootstrap],
    logLevel: logLevel.ERROR,
    logCreator: () => (entry) => process.stderr.write(`${entry.log.message}\n`),
    retry: { initialRetryTime: backoffMs, maxRetryTime: backoffMs, retries: 1000 },
  };
  if (sasl !== undefined) {
    const { username, password } = sasl;
    config.sasl = { mechanism: MECHANISMS[sasl.mechanism], username, password } as SASLOptions;
  }
  if (tls !== undefined) config.ssl = { ca: [readFileSync(tls.caFile, "utf8")] };
  return new Kafka(config);
}

/** Reads without committing, under a group of its own that nobody sees: KafkaJS has no other way. */
async function readAll(
  kafka: KafkaJs,
  topic: string,
  start: (consumer: Consumer) => void,
  onRecord: (
    partition: number,
    message: {
      offset: string;
      timestamp: string;
      key: Buffer | null;
      value: Buffer | null;
      headers: Readonly<Record<string, string>>;
    },
  ) => boolean,
) {
  const consumer = kafka.consumer({ groupId: `driver-${process.pid}-${Date.now()}`, maxWaitTimeInMs: 200 });
  const end = Promise.withResolvers<void>();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: ({ partition, message }) => {
      const headers = Object.fromEntries(
        Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
      );
      if (onRecord(partition, { ...message, headers })) end.resolve();
      return Promise.resolve();
    },
  });
  start(consumer);
  await end.promise;
  await consumer.disconnect();
}

async function calls({ topic, group, ...connection }: TopicGroup): Promise<void> {
  const kafka = open(connection);
  const admin = kafka.admin();
  await admin.connect();
  const describe = async (name: string): Promise<Record<string, string>> => {
    const answer = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }],
    });
    return Object.fromEntries(
      (answer.resources[0]?.configEntries ?? []).map((entry) => [entry.configName, entry.configValue]),
    );
  };
  const earliest = async () =>
    Number((await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0)?.low);
  await tellCall("createTopics", () =>
    admin
      .createTopics({
        topics: [{ topic, numPartitions: 3, configEntries: [{ name: "retention.ms", value: "3600000" }] }],
      })
      .then(() => null),
  );
  await tellCall("listTopics", async () => (await admin.listTopics()).toSorted());
  await tellCall("describeTopics", async () => ({
    partitions: (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions.length,
  }));
  await tellCall("describeConfigs", () => describe("retention.ms"));
  await tellCall("alterConfigs", async () => {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topic,
          configEntries: [{ name: "max.message.bytes", value: "2000000" }],
        },
      ],
    });
    return describe("max.message.bytes");
  });
  await tellCall("createPartitions", () =>
    admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] }).then(() => null),
  );
  await tellCall("produce", async () => {
    const producer = kafka.producer();
    await producer.connect();
    const messages = recordsOf({ count: 10, prefix: "admin", partition: 0 });
    await producer.send({ topic, messages });
    await producer.disconnect();
    return messages.length;
  });
  await tellCall("listOffsets", async () => {
    const found = (await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0);
    return { earliest: Number(found?.low), latest: Number(found?.high) };
  });
  await tellCall("deleteRecords", async () => {
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "4" }] });
    return earliest();
  });
  await tellCall("commitOffsets", () =>
    admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "7" }] }).then(() => null),
  );
  await tellCall("listGroups", async () => (await admin.listGroups()).groups.some(({ groupId }) => groupId === group));
  await tellCall("describeGroups", async () => {
    const [found] = (await admin.describeGroups([group])).groups;
    return { state: found?.state, members: found?.members.length };
  });
  await tellCall("listGroupOffsets", async () => {
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    return Object.fromEntries(
      (found?.partitions ?? [])
        .filter(({ offset }) => offset !== "-1")
        .map(({ partition, offset }) => [partition, Number(offset)]),
    );
  });
  await tellCall("deleteGroups", () => admin.deleteGroups([group]).then(() => null));
  await tellCall("describeCluster", async () => ({ brokers: (await admin.describeCluster()).brokers.length }));
  const anyAcl = {
    resourceType: AclResourceTypes.ANY,
    resourcePatternType: ResourcePatternTypes.ANY,
    operation: AclOperationTypes.ANY,
    permissionType: AclPermissionTypes.ANY,
  };
  await tellCall("describeAcls", async () => (await admin.describeAcls(anyAcl)).resources.length);
  await tellCall("createAcls", () =>
    admin.createAcls({
      acl: [
        {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: topic,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: "User:driver",
          host: "*",
          operation: AclOperationTypes.READ,
          permissionType: AclPermissionTypes.ALLOW,
        },
      ],
    }),
  );
  await tellCall("deleteTopics", () => admin.deleteTopics({ topics: [topic] }).then(() => null));
  await admin.disconnect();
}

await serveDriver({
  about: () => ({
    client: "KafkaJS",
    version: packageJson.version,
    codecs: ["none", "gzip"],
    // zstd because the hub unpacks it for clients as old as this one (docs/adr/0008).
    reads: ["none", "gzip", "zstd"],
    mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    without: {
      "static-member": "no group.instance.id",
      "next-generation-group": "classic protocol only",
      "cut-answers": "it keeps the half of an answer over the reconnect and ends itself on it, with any broker",
    },
  }),
  produce: async ({ topic, codec, acks, idempotent, perRequest, backoffMs, ...args }) => {
    const producer = open(args, backoffMs).producer({
      idempotent,
      maxInFlightRequests: idempotent ? 1 : 5,
      allowAutoTopicCreation: false,
    });
    await producer.connect();
    let delivered = 0;
    for (const messages of runsOf(recordsOf(args), perRequest ?? 100)) {
      await producer.send({ topic, acks, compression: compression[codec] ?? CompressionTypes.None, messages });
      delivered += messages.length;
    }
    await producer.disconnect();
    tell({ delivered });
  },
  consume: async ({ topic, count, ...connection }) => {
    let left = count;
    await readAll(
      open(connection),
      topic,
      () => undefined,
      (partition, { offset, timestamp, key, value, headers }) => {
        if (left-- > 0)
          tell({
            partition,
            offset: Number(offset),
            timestamp: Number(timestamp),
            key: key?.toString() ?? null,
            value: value?.toString() ?? null,
            headers,
          });
        return left <= 0;
      },
    );
  },
  "seek-timestamp": async ({ topic, timestamp, ...connection }) => {
    const kafka = open(connection);
    const admin = kafka.admin();
    await admin.connect();
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, timestamp);
    const ends = new Map(
      (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]),
    );
    await admin.disconnect();
    // It answers the end where no record is as late.
    const sought = new Map(found.map(({ partition, offset }) => [partition, Number(offset)]));
    const first = new Map<number, { offset: number; timestamp: number }>();
    const wanted = [...sought].filter(([partition, offset]) => offset < (ends.get(partition) ?? 0));
    if (wanted.length > 0) {
      const seekAll = (consumer: Consumer): void => {
        for (const [partition, offset] of sought) consumer.seek({ topic, partition, offset: String(offset) });
      };
      await readAll(kafka, topic, seekAll, (partition, record) => {
        const offset = Number(record.offset);
        if (offset >= (sought.get(partition) ?? 0) && !first.has(partition))
          first.set(partition, { offset, timestamp: Number(record.timestamp) });
        return wanted.every(([each]) => first.has(each));
      });
    }
    for (const [partition, offset] of sought) {
      const isFound = offset < (ends.get(partition) ?? 0);
      tell({ partition, offset: isFound ? offset : null, first: first.get(partition) ?? null });
    }
  },
  member: async ({ group, topic, sessionTimeoutMs = 10_000, ...connection }, stopped) => {
    const consumer = open(connection).consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: Math.floor(sessionTimeoutMs / 10),
      rebalanceTimeout: 10_000,
      maxWaitTimeInMs: 200,
    });
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => tell({ assigned: payload.memberAssignment[topic] ?? [] }));
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, isRunning, isStale, resolveOffset, heartbeat }) => {
        if (!isRunning() || isStale()) return;
        for (const { offset, value } of batch.messages)
          tell({ record: [batch.partition, Number(offset), value?.toString() ?? ""] });
        const next = String(Number(batch.messages.at(-1)?.offset) + 1);
        await consumer.commitOffsets([{ topic, partition: batch.partition, offset: next }]);
        tell({ committed: { [batch.partition]: Number(next) } });
        resolveOffset(String(Number(next) - 1));
        await heartbeat();
      },
    });
    await stopped;
    await consumer.disconnect();
    tell({ left: true });
  },
  admin: calls,
});
