import type { Admin } from "@platformatic/kafka";
import type { Command } from "commander";
import { UsageError } from "../failure.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { hubAccess } from "../hub-client/access.ts";
import type { HubOptions } from "../hub-client/access.ts";
import { formatMove } from "../hub-client/assigned-partitions.ts";
import type { DescribedGroup } from "../hub-client/groups.ts";
import type { TopicRange } from "../hub-client/topic-offsets.ts";
import { START_POSITION_FORMS, parseStartPosition } from "../start-position.ts";
import { formatCount, formatCountOf, right, writeTable } from "../table.ts";
import { addHubOptions, parseWholeNumber } from "./options.ts";

type ListOptions = HubOptions & { readonly json: boolean };
type ResetOptions = HubOptions & {
  readonly topic: string;
  readonly partition?: number;
  readonly to: string;
  readonly dryRun: boolean;
};
type DeleteOptions = HubOptions & { readonly yes: boolean };

const EXAMPLES = `
Examples:
  tributary groups list
  tributary groups describe billing
  tributary groups reset billing --topic orders --to earliest     read everything again
  tributary groups reset billing --topic orders --to 2h           from two hours ago
  tributary groups delete billing --yes`;

export function defineGroups(command: Command, context: CommandContext): void {
  command
    .description(
      "A consumer group is a set of readers that share a topic's partitions. The hub keeps the group's committed " +
        "offsets, so that it goes on where it stopped; its lag is what it has still to read.",
    )
    .addHelpText("after", EXAMPLES);
  command
    .command("list")
    .description("Show every group, its type and its state.")
    .option("--json", "one JSON document instead of a table", false)
    .action((options: ListOptions) => listGroups(options, context));
  command
    .command("describe")
    .description(
      "Show a group's members with what they read and, for each partition, the committed offset and the lag.",
    )
    .argument("<group>")
    .option("--json", "one JSON document instead of tables", false)
    .action((group: string, options: ListOptions) => describeGroup(group, options, context));
  command
    .command("reset")
    .description("Move a group's committed offsets, to read again or to skip. The group must have no members.")
    .argument("<group>")
    .requiredOption("--topic <topic>", "topic whose offsets move")
    .option("--partition <number>", "only this partition (default: all)", parseWholeNumber)
    .requiredOption("--to <position>", START_POSITION_FORMS)
    .option("--dry-run", "show what would change and change nothing", false)
    .action((group: string, options: ResetOptions) => resetGroup(group, options, context));
  command
    .command("delete")
    .description("Delete a group and its committed offsets. The group must have no members.")
    .argument("<group>")
    .option("--yes", "really delete", false)
    .action((group: string, options: DeleteOptions) => deleteGroup(group, options, context));
  for (const each of command.commands) addHubOptions(each).addHelpText("after", EXAMPLES);
}

async function listGroups(options: ListOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const client = await import("../hub-client/groups.ts");
  const groups = await withAdmin(hubAccess(options, context), client.listGroups);
  if (options.json) return writeLine(context.stdout, JSON.stringify(groups, null, 2));
  if (groups.length === 0) return writeLine(context.stdout, "The hub has no consumer groups yet.");
  const rows = groups.map(({ group, type, state, memberCount }) => [group, type, state, String(memberCount ?? "-")]);
  return writeTable([{ title: "GROUP" }, { title: "TYPE" }, { title: "STATE" }, right("MEMBERS")], rows, context);
}

type GroupPartition = {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number | null;
  readonly start: number;
  readonly end: number;
  readonly lag: number | null;
  readonly member: string | null;
};

type GroupView = DescribedGroup & { readonly partitions: readonly GroupPartition[] };

async function describeGroup(id: string, options: ListOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const view = await withAdmin(hubAccess(options, context), (admin) => loadGroup(admin, id));
  if (options.json) return writeLine(context.stdout, JSON.stringify(view, null, 2));
  await writeLine(context.stdout, `${paintFor(context.stdout, context.env).strong(id)}  ${summaryOf(view)}`);
  await writeMembers(view, context);
  await writePartitions(view, context);
}

function summaryOf({ type, state, assignor, members, partitions }: GroupView): string {
  const lag = partitions.reduce((sum, partition) => sum + (partition.lag ?? 0), 0);
  const openCount = partitions.filter(({ committed, start, end }) => committed === null && end > start).length;
  return [
    type,
    state,
    formatCountOf(members.length, "member"),
    ...(members.length === 0 || assignor === "" ? [] : [`assignor ${assignor}`]),
    `lag ${formatCount(lag)}`,
    ...(openCount === 0 ? [] : [`${formatCountOf(openCount, "partition")} not read yet`]),
  ].join(", ");
}

async function writeMembers({ members }: GroupView, context: CommandContext): Promise<void> {
  if (members.length === 0) return;
  await writeLine(context.stdout, "");
  const rows = members.map(({ id, clientId, host, assigned, target }) => [
    id,
    clientId,
    host,
    formatMove(assigned, target),
  ]);
  const columns = [{ title: "MEMBER" }, { title: "CLIENT" }, { title: "HOST" }, { title: "ASSIGNED" }];
  await writeTable(columns, rows, context);
}

async function writePartitions({ partitions }: GroupView, context: CommandContext): Promise<void> {
  if (partitions.length === 0) return;
  await writeLine(context.stdout, "");
  const rows = partitions.map((at) => [
    at.topic,
    String(at.partition),
    String(at.committed ?? "-"),
    String(at.end),
    at.lag === null ? "-" : formatCount(at.lag),
    at.member ?? "-",
  ]);
  const columns = [{ title: "TOPIC" }, right("PARTITION"), right("COMMITTED"), right("END"), right("LAG")];
  await writeTable([...columns, { title: "MEMBER" }], rows, context);
}

async function loadGroup(admin: Admin, id: string): Promise<GroupView> {
  const client = await import("../hub-client/groups.ts");
  const { readTopicRanges } = await import("../hub-client/topic-offsets.ts");
  const group = await client.describeGroup(admin, id);
  const committed = await client.committedOffsets(admin, id);
  const owners = new Map<string, string>();
  for (const member of group.members) {
    for (const { topic, partitions } of member.assigned) {
      for (const partition of partitions) owners.set(`${topic}/${partition}`, member.id);
    }
  }
  const existing = new Set(await admin.listTopics());
  const wanted = [...new Set([...committed.keys(), ...owners.keys()].map((key) => key.slice(0, key.lastIndexOf("/"))))];
  const ranges = await readTopicRanges(admin, wanted.filter((topic) => existing.has(topic)).toSorted());
  return { ...group, partitions: ranges.flatMap((range) => groupPartitions(range, committed, owners)) };
}

function groupPartitions(
  range: TopicRange,
  committed: ReadonlyMap<string, number>,
  owners: ReadonlyMap<string, string>,
): GroupPartition[] {
  return range.partitions.map(({ partition, start, end }) => {
    const key = `${range.name}/${partition}`;
    const offset = committed.get(key) ?? null;
    // What retention took is no longer there to be read, so it does not count as lag.
    const lag = offset === null ? null : Math.max(0, end - Math.max(offset, start));
    return { topic: range.name, partition, committed: offset, start, end, lag, member: owners.get(key) ?? null };
  });
}

async function resetGroup(group: string, options: ResetOptions, context: CommandContext): Promise<void> {
  const position = parseStartPosition(options.to, context.clock.wallMs());
  const { withAdmin } = await import("../hub-client/connect.ts");
  const client = await import("../hub-client/groups.ts");
  const { readTopicRanges, resolvePosition } = await import("../hub-client/topic-offsets.ts");
  const { moves, readers } = await withAdmin(hubAccess(options, context), async (admin) => {
    const [range] = await readTopicRanges(admin, [options.topic]);
    if (range === undefined) return { moves: [], readers: undefined };
    if (options.partition !== undefined && options.partition >= range.partitions.length) {
      throw new UsageError(`'${options.topic}' has the partitions 0 to ${range.partitions.length - 1}`);
    }
    const before = await client.committedOffsets(admin, group);
    const targets = await resolvePosition(admin, range, position);
    const selected = [...targets].filter(([partition]) => [undefined, partition].includes(options.partition));
    const rows = selected.map(([partition, offset]) => [
      String(partition),
      String(before.get(`${options.topic}/${partition}`) ?? "-"),
      String(offset),
    ]);
    if (options.dryRun) return { moves: rows, readers: await client.describeReaders(admin, group) };
    await client.moveOffsets(admin, group, options.topic, selected);
    return { moves: rows, readers: undefined };
  });
  await writeTable([right("PARTITION"), right("BEFORE"), right("AFTER")], moves, context);
  if (!options.dryRun) return;
  await writeLine(context.stdout, "nothing changed: this was a dry run");
  if (readers !== undefined) await writeLine(context.stdout, `the hub would refuse it now: '${group}' has ${readers}`);
}

async function deleteGroup(group: string, options: DeleteOptions, context: CommandContext): Promise<void> {
  if (!options.yes) throw new UsageError(`this deletes the committed offsets of '${group}'; add --yes to do it`);
  const { withAdmin } = await import("../hub-client/connect.ts");
  await withAdmin(hubAccess(options, context), (admin) => admin.deleteGroups({ groups: [group] }));
  await writeLine(context.stdout, `deleted group ${group}`);
}
