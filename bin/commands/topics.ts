import type { Command } from "commander";
import { UsageError } from "../failure.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { hubAccess } from "../hub-client/access.ts";
import type { HubOptions } from "../hub-client/access.ts";
import type { PartitionRange, TopicRange } from "../hub-client/topic-offsets.ts";
import { formatCount, formatCountOf, right, writeTable } from "../table.ts";
import { collect, addHubOptions, parseCount } from "./options.ts";

type ListOptions = HubOptions & { readonly json: boolean };
type CreateOptions = HubOptions & { readonly partitions?: number; readonly config: readonly string[] };
type DeleteOptions = HubOptions & { readonly yes: boolean };

const EXAMPLES = `
Examples:
  tributary topics list
  tributary topics create orders --partitions 8
  tributary topics create audit --config retention.ms=604800000
  tributary topics describe orders --json
  tributary topics delete orders --yes`;

export function defineTopics(command: Command, context: CommandContext): void {
  command
    .description(
      "Topics are the named streams of a hub. Each is divided into partitions: order is kept within a partition, " +
        "and the members of a consumer group share the partitions among them.",
    )
    .addHelpText("after", EXAMPLES);
  command
    .command("list")
    .description("Show every topic with the number of records it keeps.")
    .option("--json", "one JSON document instead of a table", false)
    .action((options: ListOptions) => listTopics(options, context));
  command
    .command("describe")
    .description("Show a topic's partitions, their offsets, and its configuration.")
    .argument("<topic>")
    .option("--json", "one JSON document instead of tables", false)
    .action((topic: string, options: ListOptions) => describeTopic(topic, options, context));
  command
    .command("create")
    .description("Create a topic.")
    .argument("<topic>", "1 to 249 characters of A-Z a-z 0-9 . _ -")
    .option("--partitions <count>", "number of partitions (default: what the hub is configured to use)", parseCount)
    .option("--config <key=value>", "topic configuration under Kafka's keys; may be repeated", collect, [])
    .action((topic: string, options: CreateOptions) => createTopic(topic, options, context));
  command
    .command("delete")
    .description("Delete a topic with all its records and committed offsets. They cannot be brought back.")
    .argument("<topic>")
    .option("--yes", "really delete", false)
    .action((topic: string, options: DeleteOptions) => deleteTopic(topic, options, context));
  for (const each of command.commands) addHubOptions(each).addHelpText("after", EXAMPLES);
}

async function listTopics(options: ListOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const { readTopicRanges } = await import("../hub-client/topic-offsets.ts");
  const ranges = await withAdmin(hubAccess(options, context), async (admin) => {
    const names = await admin.listTopics();
    return readTopicRanges(admin, names.toSorted());
  });
  if (options.json) return writeLine(context.stdout, JSON.stringify(ranges.map(topicJson), null, 2));
  if (ranges.length === 0) return writeLine(context.stdout, "The hub has no topics yet.");
  const rows = ranges.map((range) => [range.name, String(range.partitions.length), formatCount(recordCount(range))]);
  const columns = [{ title: "TOPIC" }, right("PARTITIONS"), right("RECORDS")];
  return writeTable(columns, rows, context);
}

async function describeTopic(topic: string, options: ListOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const { readTopicRanges } = await import("../hub-client/topic-offsets.ts");
  const { ConfigResourceTypes } = await import("@platformatic/kafka");
  const { range, config } = await withAdmin(hubAccess(options, context), async (admin) => {
    const [found] = await readTopicRanges(admin, [topic]);
    const described = await admin.describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }],
    });
    return { range: found, config: described.flatMap(({ configs }) => configs) };
  });
  if (range === undefined) return;
  const settings = config
    .map(({ name, value, configSource }) => ({ name, value, isOverride: configSource === TOPIC_CONFIG_SOURCE }))
    .toSorted((a, b) => a.name.localeCompare(b.name));
  if (options.json) {
    const document = { ...topicJson(range), id: range.id, config: settings };
    return writeLine(context.stdout, JSON.stringify(document, null, 2));
  }
  const paint = paintFor(context.stdout, context.env);
  const summary = `${formatCountOf(range.partitions.length, "partition")}, ${formatCountOf(recordCount(range), "record")} kept`;
  await writeLine(context.stdout, `${paint.strong(range.name)}  ${summary}\n`);
  const rows = range.partitions.map((partition) => [
    String(partition.partition),
    String(partition.start),
    String(partition.end),
    formatCount(partition.end - partition.start),
  ]);
  await writeTable([right("PARTITION"), right("START"), right("END"), right("RECORDS")], rows, context);
  if (settings.length === 0) return;
  await writeLine(context.stdout, "");
  const shown = settings.filter(({ name, isOverride }) => isOverride || notableSettings.has(name));
  const configRows = shown.map(({ name, value, isOverride }) => [
    name,
    value ?? "",
    isOverride ? "set for this topic" : "default",
  ]);
  await writeTable([{ title: "CONFIGURATION" }, { title: "VALUE" }, { title: "ORIGIN" }], configRows, context);
  const hiddenCount = settings.length - shown.length;
  if (hiddenCount > 0)
    await writeLine(context.stdout, paint.faint(`and ${hiddenCount} more defaults, shown by --json`));
}

/** Shown also while they are at their defaults: what decides how long and in which form records are kept. */
const notableSettings: ReadonlySet<string> = new Set([
  "cleanup.policy",
  "compression.type",
  "max.message.bytes",
  "message.timestamp.type",
  "retention.bytes",
  "retention.ms",
]);

/** Kafka's DescribeConfigs source for a topic's own setting. */
const TOPIC_CONFIG_SOURCE = 1;

async function createTopic(topic: string, options: CreateOptions, context: CommandContext): Promise<void> {
  const configs = options.config.map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`--config '${pair}' is not KEY=VALUE`);
    return { name: pair.slice(0, at), value: pair.slice(at + 1) };
  });
  const { withAdmin } = await import("../hub-client/connect.ts");
  const { readTopicRanges } = await import("../hub-client/topic-offsets.ts");
  const partitions = await withAdmin(hubAccess(options, context), async (admin) => {
    await admin.createTopics({ topics: [topic], partitions: options.partitions ?? -1, replicas: -1, configs });
    const [created] = await readTopicRanges(admin, [topic]);
    return created?.partitions.length ?? 0;
  });
  await writeLine(context.stdout, `created ${topic} with ${formatCountOf(partitions, "partition")}`);
}

async function deleteTopic(topic: string, options: DeleteOptions, context: CommandContext): Promise<void> {
  const { withAdmin } = await import("../hub-client/connect.ts");
  const { readTopicRanges } = await import("../hub-client/topic-offsets.ts");
  const records = await withAdmin(hubAccess(options, context), async (admin) => {
    const [range] = await readTopicRanges(admin, [topic]);
    const count = range === undefined ? 0 : recordCount(range);
    if (!options.yes) {
      throw new UsageError(
        `this deletes '${topic}' with ${formatCountOf(count, "record")} for good; add --yes to do it`,
      );
    }
    await admin.deleteTopics({ topics: [topic] });
    return count;
  });
  await writeLine(context.stdout, `deleted ${topic} with ${formatCountOf(records, "record")}`);
}

function recordCount(range: TopicRange): number {
  return range.partitions.reduce((sum, partition) => sum + partition.end - partition.start, 0);
}

function topicJson(range: TopicRange): { name: string; partitions: Omit<PartitionRange, "leader">[] } {
  return {
    name: range.name,
    partitions: range.partitions.map(({ partition, start, end }) => ({ partition, start, end })),
  };
}
