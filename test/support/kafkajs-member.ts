/**
 * A KafkaJS consumer as a program of its own, so that a test can kill it: ADDRESS GROUP TOPIC. It commits after every few
 * records, and tells on stdout what it did, after it did it:
 *
 *   assigned 0 2        partitions, after each join of the group
 *   read 2 1234         partition, offset
 *   committed 2 1250    partition, next offset to read
 */
import { setTimeout as delay } from "node:timers/promises";
import { Kafka, logLevel } from "kafkajs";

const SESSION_TIMEOUT_MS = 2000;
const HEARTBEAT_INTERVAL_MS = 300;
const RECORDS_PER_COMMIT = 50;
/** Slow enough that the test finds it in the middle of its work. */
const PAUSE_MS = 5;

const [address = "", groupId = "", topic = ""] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "kafkajs-member", brokers: [address], logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({
  groupId,
  sessionTimeout: SESSION_TIMEOUT_MS,
  heartbeatInterval: HEARTBEAT_INTERVAL_MS,
  rebalanceTimeout: 10_000,
  // It sends its heartbeats between two fetches.
  maxWaitTimeInMs: HEARTBEAT_INTERVAL_MS,
});

function tell(...words: readonly (string | number)[]): void {
  process.stdout.write(`${words.join(" ")}\n`);
}

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => tell("assigned", ...(payload.memberAssignment[topic] ?? [])));
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  // All its partitions at once, so that it is in the middle of each.
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch, heartbeat, isRunning, isStale, resolveOffset }) => {
    const { partition, messages } = batch;
    for (let from = 0; from < messages.length; from += RECORDS_PER_COMMIT) {
      const part = messages.slice(from, from + RECORDS_PER_COMMIT);
      if (!isRunning() || isStale()) return;
      for (const { offset } of part) tell("read", partition, offset);
      const next = Number(part.at(-1)?.offset) + 1;
      await delay(PAUSE_MS);
      await consumer.commitOffsets([{ topic, partition, offset: String(next) }]);
      tell("committed", partition, next);
      resolveOffset(String(next - 1));
      await heartbeat();
    }
  },
});
