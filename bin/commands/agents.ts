import type { Command } from "commander";
import { Option } from "commander";
import { z } from "zod";
import { writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { DEFAULT_HUB_URL, fetchFromHub, parseHubUrl } from "../hub-client/hub-http.ts";
import { formatAge, formatCount, formatTimestamp, right, writeTable } from "../table.ts";
import { asArgument } from "./options.ts";

type ListOptions = { readonly hub: string; readonly json: boolean };
type LossOptions = ListOptions & { readonly agent?: string };

const EXAMPLES = `
Examples:
  tributary agents list
  tributary agents list --hub https://hub.example:7070
  tributary agents losses --agent gateway-7`;

export function defineAgents(command: Command, context: CommandContext): void {
  command
    .description(
      "Agents forward what they accept to the hub. Whatever an agent accepted is delivered, pending, or lost with a " +
        "reason; agent and hub count it each for itself, and the books must agree.",
    )
    .addHelpText("after", EXAMPLES);
  command
    .command("list")
    .description("Show the agents that the hub has heard of since its start, and their books.")
    .option("--json", "one JSON document instead of a table", false)
    .action((options: ListOptions) => listAgents(options, context));
  command
    .command("losses")
    .description("Show the newest entries of the loss ledger: what was lost, when and why.")
    .option("--agent <name>", "only of this agent")
    .option("--json", "one JSON document instead of a table", false)
    .action((options: LossOptions) => listLosses(options, context));
  for (const each of command.commands) addHubUrl(each).addHelpText("after", EXAMPLES);
}

function addHubUrl(command: Command): Command {
  const hub = new Option("--hub <url>", "HTTP address of the hub").default(DEFAULT_HUB_URL);
  return command.addOption(hub.argParser(asArgument(parseHubUrl)));
}

/** What is needed of the hub's /status. An agent that has just connected has not told its figures yet. */
const agentView = z.object({
  agent: z.string(),
  producer: z.string(),
  isConnected: z.boolean(),
  connectedSince: z.number(),
  lastSeen: z.number(),
  declaredLost: z.record(z.string(), z.number()),
  status: z
    .object({
      accepted: z.number().optional(),
      delivered: z.number().optional(),
      pending: z.number().optional(),
      historyRecords: z.number().optional(),
      dropped: z.number().optional(),
      unreconciledPartitions: z.number().optional(),
      runway: z.object({ hours: z.number().nullable(), hoursIfOffline: z.number().nullable() }).partial().optional(),
    })
    .nullable(),
});
type AgentView = z.infer<typeof agentView>;

async function listAgents({ hub, json }: ListOptions, context: CommandContext): Promise<void> {
  const { agents } = z.object({ agents: z.array(agentView) }).parse(await fetchFromHub(hub, "/status"));
  if (json) return writeLine(context.stdout, JSON.stringify(agents, null, 2));
  if (agents.length === 0) return writeLine(context.stdout, "No agent has connected since the hub started.");
  const now = context.clock.wallMs();
  const columns = [
    ...[{ title: "AGENT" }, { title: "STATE" }, right("SINCE"), right("ACCEPTED"), right("DELIVERED")],
    ...[right("PENDING"), right("HISTORY"), right("LOST"), right("RUNWAY"), { title: "BOOKS" }],
  ];
  const rows = agents.toSorted((one, other) => one.agent.localeCompare(other.agent)).map((each) => agentRow(each, now));
  return writeTable(columns, rows, context);
}

function agentRow({ agent, isConnected, connectedSince, lastSeen, declaredLost, status }: AgentView, now: number) {
  const count = (value: number | undefined): string => (value === undefined ? "-" : formatCount(value));
  const declared = Object.values(declaredLost).reduce((sum, records) => sum + records, 0);
  return [
    agent,
    isConnected ? "connected" : "away",
    formatAge(now - (isConnected ? connectedSince : lastSeen)),
    count(status?.accepted),
    count(status?.delivered),
    count(status?.pending),
    count(status?.historyRecords),
    count(status?.dropped ?? declared),
    runwayOf(status),
    booksOf(status),
  ];
}

/** How long the agent's disk lasts: as it goes now, or if the link went down now. */
function runwayOf(status: AgentView["status"]): string {
  const hours = status?.runway?.hours ?? status?.runway?.hoursIfOffline;
  return hours === undefined || hours === null ? "-" : formatAge(hours * 3_600_000);
}

function booksOf(status: AgentView["status"]): string {
  const count = status?.unreconciledPartitions;
  if (count === undefined) return "-";
  return count === 0 ? "agree" : `differ in ${count} partition${count === 1 ? "" : "s"}`;
}

const lossView = z.object({
  agent: z.string(),
  topic: z.string(),
  partition: z.number(),
  from: z.number(),
  to: z.number(),
  records: z.number(),
  reason: z.string(),
  since: z.number(),
  until: z.number(),
});

async function listLosses({ hub, json, agent }: LossOptions, context: CommandContext): Promise<void> {
  const all = z.array(lossView).parse(await fetchFromHub(hub, "/losses"));
  const losses = agent === undefined ? all : all.filter((each) => each.agent === agent);
  if (json) return writeLine(context.stdout, JSON.stringify(losses, null, 2));
  if (losses.length === 0) return writeLine(context.stdout, "No losses were declared.");
  const columns = [
    ...[{ title: "AGENT" }, { title: "TOPIC" }, right("PARTITION"), { title: "OFFSETS" }, right("RECORDS")],
    ...[{ title: "REASON" }, { title: "FROM" }, { title: "UNTIL" }],
  ];
  const rows = losses.map(({ topic, partition, from, to, records, reason, since, until, ...loss }) => [
    loss.agent,
    topic,
    String(partition),
    to < from ? `before ${from}` : `${from}-${to}`,
    formatCount(records),
    reason,
    formatTimestamp(since),
    formatTimestamp(until),
  ]);
  return writeTable(columns, rows, context);
}
