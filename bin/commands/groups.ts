import type { Admin } from "@platformatic/kafka";
import type { Command } from "commander";
import { StreamError } from "../../shared/errors.ts";
import { UsageError } from "../failure.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import type { TopicRange } from "../hub-client/topic-offsets.ts";
import { START_POSITION_FORMS, parseStartPosition } from "../start-position.ts";
import { formatCount, formatCountOf, right, writeTable } from "../table.ts";
import { hubOption, parseWholeNumber } from "./options.ts";
import type { HubOptions } from "./options.ts";

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
    .description("Show every group and its state.")
    .addOption(hubOption())
    .option("--json", "one JSON document instead of a table", false)
    .action((options: ListOptions) => listGroups(options, context));
  command
    .command("describe")
    .description("Show a group's members and, for each partition, the committed offset and the lag.")
    .argument("<group>")
    .addOption(hubOption())
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
    .addOption(hubOption())
    .action((group: string, options: ResetOptions) => resetGroup(group, options, context));
  command
    .command("delete")
    .description("Delete a group and its committed offsets. The group must have no members.")
    .argument("<group>")
    .addOption(hubOption())
    .option("--yes", "really delete", false)
    .action((group: string, options: DeleteOptions) => deleteGroup(group, options, context));
  for (const each of command.commands) each.addHelpText("after", EXAMPLES);
}

async function listGroups(options: ListOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const groups = await withAdmin(options.kafka, async (admin) => {
    const listed = [...(await admin.listGroups()).keys()].toSorted();
    if (listed.length === 0) return [];
    const described = await admin.describeGroups({ groups: listed });
    return listed.map((id) => {
      const group = described.get(id);
      return { group: id, state: group?.state.toLowerCase() ?? "dead", memberCount: group?.members.size ?? 0 };
    });
  });
  if (options.json) return writeLine(context.stdout, JSON.stringify(groups, null, 2));
  if (groups.length === 0) return writeLine(context.stdout, "The hub has no consumer groups yet.");
  const rows = groups.map(({ group, state, memberCount }) => [group, state, String(memberCount)]);
  return writeTable([{ title: "GROUP" }, { title: "STATE" }, right("MEMBERS")], rows, context);
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

type GroupDescription = {
  readonly group: string;
  readonly state: string;
  readonly members: readonly { id: string; clientId: string; host: string }[];
  readonly partitions: readonly GroupPartition[];
};

async function describeGroup(id: string, options: ListOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const description = await withAdmin(options.kafka, (admin) => loadGroup(admin, id));
  if (options.json) return writeLine(context.stdout, JSON.stringify(description, null, 2));
  const { state, members, partitions } = description;
  const paint = paintFor(context.stdout, context.env);
  const lag = partitions.reduce((sum, partition) => sum + (partition.lag ?? 0), 0);
  const memberText = formatCountOf(members.length, "member");
  const openCount = partitions.filter(({ committed, start, end }) => committed === null && end > start).length;
  const openText = openCount === 0 ? "" : `, ${formatCountOf(openCount, "partition")} not read yet`;
  await writeLine(context.stdout, `${paint.strong(id)}  ${state}, ${memberText}, lag ${formatCount(lag)}${openText}`);
  if (members.length > 0) {
    await writeLine(context.stdout, "");
    const rows = members.map((member) => [member.id, member.clientId, member.host]);
    await writeTable([{ title: "MEMBER" }, { title: "CLIENT" }, { title: "HOST" }], rows, context);
  }
  if (partitions.length === 0) return;
  await writeLine(context.stdout, "");
  const rows = partitions.map((at) => [
    at.topic,
    String(at.partition),
    at.committed === null ? "-" : String(at.committed),
    String(at.end),
    at.lag === null ? "-" : formatCount(at.lag),
    at.member ?? "-",
  ]);
  const columns = [{ title: "TOPIC" }, right("PARTITION"), right("COMMITTED"), right("END"), right("LAG")];
  await writeTable([...columns, { title: "MEMBER" }], rows, context);
}

async function loadGroup(admin: Admin, id: string): Promise<GroupDescription> {
  const { readTopicRanges } = await import("../hub-client/topic-offsets.ts");
  const group = (await admin.describeGroups({ groups: [id] })).get(id);
  if (group === undefined || group.state.toLowerCase() === "dead") {
    throw new StreamError("GROUP_ID_NOT_FOUND", `there is no group '${id}'`, {
      hint: "`tributary groups list` shows what exists.",
    });
  }
  const committed = await committedOffsets(admin, id);
  const owners = new Map<string, string>();
  for (const member of group.members.values()) {
    for (const { topic, partitions } of member.assignments?.values() ?? []) {
      for (const partition of partitions) owners.set(`${topic}/${partition}`, member.id);
    }
  }
  const existing = new Set(await admin.listTopics());
  const wanted = [...new Set([...committed.keys(), ...owners.keys()].map((key) => key.slice(0, key.lastIndexOf("/"))))];
  const ranges = await readTopicRanges(admin, wanted.filter((topic) => existing.has(topic)).toSorted());
  return {
    group: id,
    state: group.state.toLowerCase(),
    members: [...group.members.values()].map(({ id: memberId, clientId, clientHost }) => ({
      id: memberId,
      clientId,
      host: clientHost.replace(/^\//, ""),
    })),
    partitions: ranges.flatMap((range) => groupPartitions(range, committed, owners)),
  };
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

/** By `topic/partition`. */
async function committedOffsets(admin: Admin, group: string): Promise<Map<string, number>> {
  const listed = await admin.listConsumerGroupOffsets({ groups: [group] });
  const entries = listed
    .flatMap(({ topics }) => topics)
    .flatMap(({ name, partitions }) =>
      partitions.map((at) => [`${name}/${at.partitionIndex}`, Number(at.committedOffset)] as const),
    );
  // -1 stands for "nothing committed".
  return new Map(entries.filter(([, offset]) => offset >= 0));
}

async function resetGroup(group: string, options: ResetOptions, context: CommandContext): Promise<void> {
  const position = parseStartPosition(options.to, context.clock.wallMs());
  const { withAdmin } = await import("../hub-client/connect.ts");
  const { readTopicRanges, resolvePosition } = await import("../hub-client/topic-offsets.ts");
  const moves = await withAdmin(options.kafka, async (admin) => {
    const [range] = await readTopicRanges(admin, [options.topic]);
    if (range === undefined) return [];
    if (options.partition !== undefined && options.partition >= range.partitions.length) {
      throw new UsageError(`'${options.topic}' has the partitions 0 to ${range.partitions.length - 1}`);
    }
    const before = await committedOffsets(admin, group);
    const targets = await resolvePosition(admin, range, position);
    const selected = [...targets].filter(([partition]) => [undefined, partition].includes(options.partition));
    if (!options.dryRun) {
      const described = (await admin.describeGroups({ groups: [group] })).get(group);
      if (described !== undefined && described.members.size > 0) {
        throw new StreamError(
          "NON_EMPTY_GROUP",
          `'${group}' has ${formatCountOf(described.members.size, "member")} reading`,
        );
      }
      const partitionOffsets = selected.map(([partition, offset]) => ({ partition, offset: BigInt(offset) }));
      await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: options.topic, partitionOffsets }] });
    }
    return selected.map(([partition, offset]) => [
      String(partition),
      String(before.get(`${options.topic}/${partition}`) ?? "-"),
      String(offset),
    ]);
  });
  await writeTable([right("PARTITION"), right("BEFORE"), right("AFTER")], moves, context);
  if (options.dryRun) await writeLine(context.stdout, "nothing changed: this was a dry run");
}

async function deleteGroup(group: string, options: DeleteOptions, context: CommandContext): Promise<void> {
  if (!options.yes) throw new UsageError(`this deletes the committed offsets of '${group}'; add --yes to do it`);
  const { withAdmin } = await import("../hub-client/connect.ts");
  await withAdmin(options.kafka, (admin) => admin.deleteGroups({ groups: [group] }));
  await writeLine(context.stdout, `deleted group ${group}`);
}
