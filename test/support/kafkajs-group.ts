/** A group of KafkaJS consumers as programs of their own (kafkajs-member.ts), and a hub where they die within seconds. */
import { fileURLToPath } from "node:url";
import type { Admin } from "kafkajs";
import { TestChild } from "./child-process.ts";
import type { After } from "./clean-up.ts";
import { startFleet } from "./fleet.ts";
import { startAgent, startHub } from "./programs.ts";
import type { HubProgram } from "./programs.ts";
import { eventsRoute } from "./test-routes.ts";
import { committedOffsets, openAdmin, waitForRecords } from "./topic-ends.ts";

const MEMBER = fileURLToPath(new URL("./kafkajs-member.ts", import.meta.url));
const DEADLINE_MS = 60_000;
export const GROUP = "readers";
const { topic } = eventsRoute;

/** What a member said of itself. */
export type Member = {
  readonly child: TestChild;
  assigned: readonly number[];
  /** Offsets in the order of reading, by partition. */
  readonly read: Map<number, number[]>;
  readonly committed: Map<number, number>;
  readonly readCount: () => number;
};

export async function startMember(t: After, hub: HubProgram): Promise<Member> {
  const read = new Map<number, number[]>();
  const committed = new Map<number, number>();
  const onLine = (line: string): void => {
    const [what, ...numbers] = line.split(" ");
    const [partition = -1, offset = -1] = numbers.map(Number);
    if (what === "assigned") member.assigned = numbers.map(Number);
    else if (what === "read") (read.get(partition) ?? newList(read, partition)).push(offset);
    else committed.set(partition, offset);
  };
  const args = [MEMBER, hub.kafkaAddress, GROUP, topic];
  const child = await TestChild.start(t, { command: process.execPath, args, onLine });
  const readCount = (): number => [...read.values()].reduce((sum, offsets) => sum + offsets.length, 0);
  const member: Member = { child, assigned: [], read, committed, readCount };
  return member;
}

function newList(lists: Map<number, number[]>, key: number): number[] {
  const list: number[] = [];
  lists.set(key, list);
  return list;
}

export const describeMembers = (members: readonly Member[]): string =>
  members.map(({ assigned, readCount }) => `[${assigned.join(" ")}] ${readCount()}`).join(", ");

/** Hub and agent, and `count` messages that went all the way. */
export async function startWithEvents(t: After, count: number) {
  // Members die within seconds here; by default the hub asks for six of silence before it believes it.
  const groups = { sessionTimeoutMinMs: 500, initialRebalanceDelayMs: 500 };
  const hub = await startHub(t, { config: { groups } });
  const agent = await startAgent(t, { hub, config: { routes: [eventsRoute] } });
  await publish(t, agent.mqttPort, { name: "c", count });
  const admin = await openAdmin(t, hub.kafkaAddress);
  await waitForRecords(admin, { topic, count, deadlineMs: DEADLINE_MS });
  return { hub, agent, admin };
}

export async function publish(
  t: After,
  port: number,
  { name, count }: { readonly name: string; readonly count: number },
) {
  const clients = 20;
  const fleet = startFleet(t, { port, name, clients, qos: 1, messagesEach: count / clients, windowMax: 20 });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
}

/** Asks for the group's committed offsets again and again. `end` resolves with where one has gone back, if any has. */
export function watchCommits(admin: Admin): { end(): Promise<readonly string[]> } {
  const steps: string[] = [];
  const last = new Map<number, number>();
  let isEnded = false;
  const watching = (async () => {
    while (!isEnded) {
      for (const [partition, offset] of await committedOffsets(admin, { group: GROUP, topic })) {
        const before = last.get(partition) ?? -1;
        if (offset < before) steps.push(`partition ${partition}: ${before} to ${offset}`);
        last.set(partition, offset);
      }
    }
  })();
  return {
    end: async () => {
      isEnded = true;
      await watching;
      return steps;
    },
  };
}
