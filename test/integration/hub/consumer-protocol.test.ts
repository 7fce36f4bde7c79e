/** An unmodified client of the newer group protocol (KIP-848) against the listener, the groups and a log in memory. */
import { test, type TestContext } from "node:test";
import { Consumer, Producer, stringDeserializers, stringSerializers } from "@platformatic/kafka";
import { systemClock } from "../../../shared/clock.ts";
import { silentLogger } from "../../../shared/logger.ts";
import { GroupCoordinator } from "../../../hub/group/coordinator-runner.ts";
import { systemTimers } from "../../../hub/group/deadline-timers.ts";
import { KafkaListener } from "../../../hub/kafka/listener.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { MemoryEngine } from "../../support/memory-engine.ts";
import { waitUntil } from "../../support/wait-until.ts";

const PARTITION_COUNT = 4;
const RECORD_COUNT = 40;
const DEADLINE_MS = 30_000;

async function startHub(t: TestContext) {
  const engine = new MemoryEngine();
  await engine.createTopic({ name: "readings", partitionCount: PARTITION_COUNT });
  const logger = silentLogger();
  const options = { consumerHeartbeatIntervalMs: 100, consumerSessionTimeoutMs: 10_000 };
  const groups = await GroupCoordinator.open({ engine, clock: systemClock, timers: systemTimers, logger, options });
  const listener = new KafkaListener({ engine, groups, clock: systemClock, logger, options: { port: 0 } });
  onCleanUp(t, async () => {
    await listener.close();
    await groups.close();
  });
  const { host, port } = await listener.start();
  return { groups, address: `${host}:${port}` };
}

async function produce(t: TestContext, address: string): Promise<void> {
  const producer = new Producer({ clientId: "p", bootstrapBrokers: [address], serializers: stringSerializers });
  onCleanUp(t, () => producer.close());
  const messages = Array.from({ length: RECORD_COUNT }, (_, index) => ({
    topic: "readings",
    key: String(index),
    value: String(index),
    partition: index % PARTITION_COUNT,
  }));
  await producer.send({ messages });
}

async function consume(t: TestContext, address: string, seen: Set<string>) {
  const consumer = new Consumer({
    clientId: "c",
    groupId: "g",
    groupProtocol: "consumer",
    bootstrapBrokers: [address],
    deserializers: stringDeserializers,
  });
  const stream = await consumer.consume({ topics: ["readings"], mode: "earliest", autocommit: 100 });
  stream.on("data", ({ value }) => seen.add(value));
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await stream.close();
    await consumer.close();
  };
  onCleanUp(t, close);
  return { close };
}

test("two consumers share the partitions; when one goes, the other has them all, and every record is read", async (t) => {
  const { groups, address } = await startHub(t);
  const seen = new Set<string>();
  const partitionCounts = (): readonly number[] => {
    const members = groups.describeConsumer("g")?.members ?? [];
    const counts = members.map(({ assignment }) => assignment.flatMap(({ partitions }) => partitions).length);
    return counts.toSorted((left, right) => left - right);
  };
  const isStable = (...counts: number[]): boolean =>
    groups.describeConsumer("g")?.state === "Stable" && partitionCounts().join(" ") === counts.join(" ");
  await consume(t, address, seen);
  await waitUntil(() => isStable(4), { what: "one member has everything", deadlineMs: DEADLINE_MS });
  const second = await consume(t, address, seen);
  await waitUntil(() => isStable(2, 2), { what: "two members share", deadlineMs: DEADLINE_MS });
  await produce(t, address);
  await waitUntil(() => seen.size === RECORD_COUNT, { what: "every record is read", deadlineMs: DEADLINE_MS });
  const isCommitted = (): boolean =>
    [...(groups.committed("g").get("readings")?.values() ?? [])].reduce((sum, { offset }) => sum + offset, 0) ===
    RECORD_COUNT;
  await waitUntil(isCommitted, { what: "every offset is committed", deadlineMs: DEADLINE_MS });
  await second.close();
  await waitUntil(() => isStable(4), { what: "the other one has everything", deadlineMs: DEADLINE_MS });
});
