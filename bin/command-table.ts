/** Every command: what the overview says of it, and where its definition is, loaded only when it is asked for. */
import type { Command } from "commander";
import type { CommandContext } from "./context.ts";

export type DefineCommand = (command: Command, context: CommandContext) => void;

export type CommandRow = {
  readonly name: string;
  readonly group: "Run:" | "Work with a hub:" | "Look inside:";
  readonly summary: string;
  /** A process is an agent or a hub or neither: it loads one command, not all of them. */
  readonly load: () => Promise<DefineCommand>;
};

export const commandTable: readonly CommandRow[] = [
  {
    name: "demo",
    group: "Run:",
    summary: "hub, agent and 20 simulated sensors, to try everything",
    load: async () => (await import("./commands/demo.ts")).defineDemo,
  },
  {
    name: "hub",
    group: "Run:",
    summary: "run a hub: keeps events and serves Kafka clients",
    load: async () => (await import("./commands/hub.ts")).defineHub,
  },
  {
    name: "agent",
    group: "Run:",
    summary: "run an agent: takes MQTT at the edge and forwards it",
    load: async () => (await import("./commands/agent.ts")).defineAgent,
  },
  {
    name: "topics",
    group: "Work with a hub:",
    summary: "list, describe, create and delete topics",
    load: async () => (await import("./commands/topics.ts")).defineTopics,
  },
  {
    name: "groups",
    group: "Work with a hub:",
    summary: "list, describe, reset and delete consumer groups",
    load: async () => (await import("./commands/groups.ts")).defineGroups,
  },
  {
    name: "agents",
    group: "Work with a hub:",
    summary: "list the agents, their books and what they lost",
    load: async () => (await import("./commands/agents.ts")).defineAgents,
  },
  {
    name: "produce",
    group: "Work with a hub:",
    summary: "send records to a topic",
    load: async () => (await import("./commands/produce.ts")).defineProduce,
  },
  {
    name: "consume",
    group: "Work with a hub:",
    summary: "read a topic, alone or as a member of a group",
    load: async () => (await import("./commands/consume.ts")).defineConsume,
  },
  {
    name: "users",
    group: "Work with a hub:",
    summary: "make entries for the hub's users out of passwords",
    load: async () => (await import("./commands/users.ts")).defineUsers,
  },
  {
    name: "check",
    group: "Look inside:",
    summary: "validate a configuration, show every value and its origin",
    load: async () => (await import("./commands/check.ts")).defineCheck,
  },
  {
    name: "route",
    group: "Look inside:",
    summary: "show where an MQTT message would go",
    load: async () => (await import("./commands/route.ts")).defineRoute,
  },
  {
    name: "log",
    group: "Look inside:",
    summary: "look into a log on disk, also while its program runs",
    load: async () => (await import("./commands/log.ts")).defineLog,
  },
];
