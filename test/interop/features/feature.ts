/** One feature of Kafka's that users' clients need, tried with one client against one hub. */
import type { Admin } from "kafkajs";
import type { After } from "../../support/clean-up.ts";
import type { About, ClientDriver } from "../../support/client-driver.ts";
import type { HubProgram } from "../../support/programs.ts";

export type Trial = {
  readonly t: After;
  readonly hub: HubProgram;
  /** KafkaJS's, for looking at the hub from outside. */
  readonly admin: Admin;
  readonly driver: ClientDriver;
  readonly about: About;
  /** Unique to this client and feature: for topics and groups. */
  readonly name: string;
};

export type Feature = {
  /** As the drivers' `without` and the table name it. */
  readonly key: string;
  readonly title: string;
  /** Returns what the table should say instead of "yes", if there is something to say. @throws when it does not work. */
  readonly run: (trial: Trial) => Promise<string | void>;
};

export const DEADLINE_MS = 60_000;

export async function createTopic(
  { admin, name }: Trial,
  { suffix = "", partitions }: { readonly suffix?: string; readonly partitions: number },
): Promise<string> {
  const topic = `${name}${suffix}`;
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: false });
  return topic;
}

/** `i` of a record that a driver produced. */
export function numberOf(value: string | null): number {
  const found = /-(\d+)-x*$/.exec(value ?? "");
  if (found === null) throw new Error(`not a value of ours: ${value}`);
  return Number(found[1]);
}

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export const byNumber = (a: number, b: number): number => a - b;
