import type { Command } from "commander";
import { loadAgentConfig } from "../../agent/config.ts";
import { compileRoutes, originHeaders, policyOf, resolveRoute } from "../../agent/ingest/route.ts";
import type { Route } from "../../agent/ingest/route.ts";
import { partitionForKey } from "../../shared/batch/partitioner.ts";
import { UsageError } from "../failure.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";

type TestOptions = { readonly config?: string; readonly qos: string; readonly retain: boolean; readonly json: boolean };

const EXAMPLES = `
Examples:
  tributary route test sensors/hall-a/climate-1/temperature --config agent.yaml
  tributary route test anything/else                        without routes it goes to the topic 'mqtt'

Routes are tried in their order and the first whose filter matches takes the message.`;

export function defineRoute(command: Command, context: CommandContext): void {
  command
    .description("Try an agent's routes without running it.")
    .addHelpText("after", EXAMPLES)
    .command("test")
    .description("Show the topic, key, partition and headers that a message would get.")
    .argument("<mqtt-topic>", "topic the message is published to")
    .option("--config <file>", "configuration of the agent (YAML)")
    .option("--qos <0|1|2>", "QoS of the message", "1")
    .option("--retain", "the message has the retain flag", false)
    .option("--json", "JSON instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((mqttTopic: string, options: TestOptions) => testRoute(mqttTopic, options, context));
}

async function testRoute(mqttTopic: string, options: TestOptions, context: CommandContext): Promise<void> {
  if (!/^[012]$/.test(options.qos)) throw new UsageError(`--qos is 0, 1 or 2, not '${options.qos}'`);
  const problem = topicProblem(mqttTopic);
  if (problem !== undefined) throw new UsageError(problem);
  const { config } = loadAgentConfig({ flags: {}, env: context.env, file: options.config });
  const { routes } = compileRoutes(config.routes);
  const routed = routeMessage(routes, { mqttTopic, qos: options.qos, retain: options.retain });
  if (options.json) return writeLine(context.stdout, JSON.stringify(routed, null, 2));
  const paint = paintFor(context.stdout, context.env);
  const lines = describe(routed).map(([name, value]) => `${paint.faint(name.padEnd(11))}${value}`);
  return writeLine(context.stdout, lines.join("\n"));
}

/** What a PUBLISH must not be sent to [MQTT-3.3.2-2]. */
function topicProblem(mqttTopic: string): string | undefined {
  if (mqttTopic === "") return "an MQTT topic must not be empty";
  if (/[+#]/.test(mqttTopic)) return `'${mqttTopic}' has a wildcard: messages are published to topics, not to filters`;
  return undefined;
}

export type RoutedMessage = {
  readonly mqttTopic: string;
  /** Number of the route in the configuration; null when none takes the message. */
  readonly routeIndex: number | null;
  readonly match: string | null;
  readonly captures: Readonly<Record<string, string>>;
  readonly topic: string;
  readonly key: string | null;
  /** Null without a key: then the partitions are taken in turn. */
  readonly partition: number | null;
  readonly partitionCount: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly acks: string;
  readonly durability: string;
  readonly overflow: string;
  readonly priority: number;
};

export function routeMessage(
  routes: readonly Route[],
  message: { readonly mqttTopic: string; readonly qos: string; readonly retain: boolean },
): RoutedMessage {
  const { route, captures, topic, key = null, headers } = resolveRoute(routes, message.mqttTopic);
  const { acks, overflow, priority, partitions } = policyOf(routes, topic);
  const index = routes.indexOf(route);
  return {
    mqttTopic: message.mqttTopic,
    routeIndex: index === -1 ? null : index,
    match: route.filter?.source ?? null,
    captures: Object.fromEntries(captures),
    topic,
    key,
    partition: key === null ? null : partitionForKey(Buffer.from(key, "utf8"), partitions),
    partitionCount: partitions,
    headers: {
      [originHeaders.topic]: message.mqttTopic,
      [originHeaders.qos]: message.qos,
      [originHeaders.retain]: String(message.retain),
      ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    },
    acks,
    durability: route.durability,
    overflow,
    priority,
  };
}

function describe(routed: RoutedMessage): [string, string][] {
  const { partition, partitionCount } = routed;
  const pairs = (record: Readonly<Record<string, string>>): string =>
    Object.entries(record)
      .map(([name, value]) => `${name}=${value}`)
      .join("  ");
  const rows: [string, string][] = [
    ["message", routed.mqttTopic],
    [
      "route",
      routed.routeIndex === null ? "none matches: the default" : `routes[${routed.routeIndex}] ${routed.match}`,
    ],
  ];
  if (Object.keys(routed.captures).length > 0) rows.push(["captures", pairs(routed.captures)]);
  rows.push(
    ["topic", routed.topic],
    ["key", routed.key ?? "none"],
    ["partition", partition === null ? `in turn, 0 to ${partitionCount - 1}` : `${partition} of ${partitionCount}`],
    ["headers", pairs(routed.headers)],
    ["acks", routed.acks],
    ["durability", routed.durability],
    ["overflow", `${routed.overflow}, priority ${routed.priority}`],
  );
  return rows;
}
