/** How far a topic has grown at a hub, asked as any Kafka client would ask. */
import { Kafka, logLevel } from "kafkajs";
import type { Admin } from "kafkajs";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { waitUntil } from "./wait-until.ts";

export function kafkaJs(address: string): Kafka {
  // A hub that was killed is back within a second or so, time and again.
  const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 50 };
  return new Kafka({ clientId: "tributary-test", brokers: [address], logLevel: logLevel.NOTHING, retry });
}

export async function openAdmin(t: After, address: string): Promise<Admin> {
  const admin = kafkaJs(address).admin();
  onCleanUp(t, () => admin.disconnect());
  await admin.connect();
  return admin;
}

/** The next offset of each partition; empty when there is no such topic yet. */
export async function topicEnds(admin: Admin, topic: string): Promise<ReadonlyMap<number, number>> {
  if (!(await admin.listTopics()).includes(topic)) return new Map();
  const offsets = await admin.fetchTopicOffsets(topic);
  return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]));
}

export async function recordCount(admin: Admin, topic: string): Promise<number> {
  return [...(await topicEnds(admin, topic)).values()].reduce((sum, end) => sum + end, 0);
}

/** What a group committed, by partition; -1 where nothing. */
export async function committedOffsets(
  admin: Admin,
  { group, topic }: { readonly group: string; readonly topic: string },
): Promise<ReadonlyMap<number, number>> {
  const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  return new Map((answer?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]));
}

/** Waits until the topic holds `count` records or more. */
export async function waitForRecords(
  admin: Admin,
  { topic, count, deadlineMs }: { readonly topic: string; readonly count: number; readonly deadlineMs: number },
): Promise<void> {
  let found = 0;
  await waitUntil(
    async () => {
      found = await recordCount(admin, topic);
      return found >= count;
    },
    { what: `${count} records in ${topic}`, deadlineMs, describe: () => `${found} are there` },
  );
}
