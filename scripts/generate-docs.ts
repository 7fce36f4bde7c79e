/**
 * `npm run docs`: the pages that are made from tables in the code, so that they cannot say anything else.
 *
 *   agent/config.ts, hub/config.ts          ▶  docs/configuration.md, docs/{agent,hub}.schema.json for editors
 *   shared/errors.ts, shared/errors/        ▶  docs/errors.md
 *   agent/admin/metrics.ts, hub/http/metrics.ts  ▶  docs/metrics.md
 *   hub/kafka/schemas/, hub/kafka/dispatch.ts  ▶  docs/kafka-apis.md
 *   bench/recorded/                         ▶  docs/performance.md
 *
 * test/tidy.test.ts compares what is there with what would be written.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { agentMetrics } from "../agent/admin/metrics.ts";
import { agentFlags } from "../agent/config-flags.ts";
import { agentSchema } from "../agent/config.ts";
import { performancePage } from "../bench/report/performance-page.ts";
import { readRecorded } from "../bench/report/recorded.ts";
import { hubFlags, hubSchema } from "../hub/config.ts";
import { hubMetrics } from "../hub/http/metrics.ts";
import { handlers } from "../hub/kafka/dispatch.ts";
import { configRows, schemaNode } from "../shared/config/config-rows.ts";
import type { ConfigRow, SchemaNode } from "../shared/config/config-rows.ts";
import type { ConfigFlags } from "../shared/config/load-config.ts";
import { errorTable } from "../shared/errors.ts";

/** By file name in docs/. */
export function generatedDocs(): ReadonlyMap<string, string> {
  return new Map([
    ["configuration.md", configurationPage()],
    ["errors.md", errorsPage()],
    ["metrics.md", metricsPage()],
    ["kafka-apis.md", kafkaApisPage()],
    ["performance.md", performancePage(readRecorded())],
    ["agent.schema.json", editorSchema("agent", schemaNode(agentSchema))],
    ["hub.schema.json", editorSchema("hub", schemaNode(hubSchema))],
  ]);
}

const notice = (source: string): string =>
  `<!-- Generated from ${source} by \`npm run docs\`; a change here would be lost. -->`;

function configurationPage(): string {
  return page([
    "# Configuration",
    notice("agent/config.ts and hub/config.ts"),
    [
      "Each program reads one YAML file (`--config FILE`, or `TRIBUTARY_CONFIG`). A flag wins over a `TRIBUTARY_*`",
      "variable, a variable over the file, the file over the default. An unknown key is a mistake; all mistakes are",
      "listed at once, and the program ends with 78. `tributary check agent` and `tributary check hub` show every",
      "value and where it came from.",
    ].join("\n"),
    [
      "Editors that know YAML schemas complete and check the file when it begins with",
      "`# yaml-language-server: $schema=docs/agent.schema.json` (or `hub.schema.json`).",
    ].join("\n"),
    [
      "Each key has a variable: `mqtt.webSocketListen` is `TRIBUTARY_MQTT_WEB_SOCKET_LISTEN`. Lists and maps are written",
      "as YAML there. A variable that is empty counts as not set.",
    ].join("\n"),
    "## Agent",
    flagTable(agentFlags),
    keyTable(schemaNode(agentSchema)),
    "## Hub",
    flagTable(hubFlags),
    keyTable(schemaNode(hubSchema)),
  ]);
}

function flagTable(flags: ConfigFlags): string {
  const rows = Object.entries(flags).map(([name, { path: key, placeholder }]) => [
    `\`--${name} ${placeholder}\``,
    `\`${key}\``,
  ]);
  return table(["flag", "sets"], rows);
}

function keyTable(root: SchemaNode): string {
  const rows = configRows(root).map((row) => [`\`${row.path}\``, defaultOf(row), row.allowed, row.description]);
  return table(["key", "default", "allowed", "what it is for"], rows);
}

function defaultOf(row: ConfigRow): string {
  if (row.default === undefined) return row.defaultText ?? (row.isRequired ? "has to be given" : "none");
  const text = typeof row.default === "string" ? row.default : JSON.stringify(row.default);
  const readable = typeof row.default === "number" ? inUnits(row.path, row.default) : undefined;
  return readable === undefined ? `\`${text}\`` : `\`${text}\` (${readable})`;
}

const byteUnits: readonly [number, string][] = [
  [1024 ** 3, "GiB"],
  [1024 ** 2, "MiB"],
  [1024, "KiB"],
];
const timeUnits: readonly [number, string][] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"],
];

/** The unit is in the key: `log.bytesMax`, `uplink.retryMaxMs`. */
function inUnits(key: string, value: number): string | undefined {
  const name = key.slice(key.lastIndexOf(".") + 1);
  const units = /bytes/i.test(name) ? byteUnits : /Ms(Max|Min)?$/.test(name) ? timeUnits : [];
  const unit = units.find(([size]) => value >= size && value % size === 0);
  return unit === undefined ? undefined : `${value / unit[0]} ${unit[1]}`;
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(([code, { meaning, hint, retriable, wire }]) => [
    `\`${code}\``,
    meaning,
    hint,
    retriable ? "yes" : "no",
    String(wire),
  ]);
  return page([
    "# Errors",
    notice("shared/errors.ts and shared/errors/"),
    [
      "The code is what to compare and to search for; the text beside it may change. *Again* says whether the same",
      "request may succeed later without a change. *Kafka* is the error code that Kafka clients see.",
    ].join("\n"),
    table(["code", "what it means", "what to do", "again", "Kafka"], rows),
  ]);
}

function metricsPage(): string {
  const rows = (metrics: typeof agentMetrics | typeof hubMetrics) =>
    Object.entries(metrics).map(([name, { type, help, labels }]) => [`\`${name}\``, type, labels.join(", "), help]);
  const titles = ["metric", "type", "labels", "what it counts"];
  return page([
    "# Metrics",
    notice("agent/admin/metrics.ts and hub/http/metrics.ts"),
    "Both programs answer `/metrics` in Prometheus' text format: the agent on its admin listener, the hub on HTTP.",
    "## Agent",
    table(titles, rows(agentMetrics)),
    "## Hub",
    table(titles, rows(hubMetrics)),
  ]);
}

/** What Kafka has and the hub does not, with the reason. */
const kafkaApisNotServed: readonly (readonly [names: string, reason: string])[] = [
  [
    "AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit, WriteTxnMarkers",
    "[no transactions](adr/0009-no-kafka-transactions.md)",
  ],
  ["AlterPartitionReassignments, ElectLeaders, AlterReplicaLogDirs, UnregisterBroker", "one node, one directory"],
  [
    "DescribeClientQuotas, AlterClientQuotas",
    "no quotas; the limits of the listener are in the [configuration](configuration.md)",
  ],
  [
    "DescribeUserScramCredentials, AlterUserScramCredentials, delegation tokens",
    "users are in the [configuration](configuration.md)",
  ],
  ["ListConfigResources, UpdateFeatures", "nothing to list, nothing to switch"],
  ["GetTelemetrySubscriptions, PushTelemetry", "the hub takes no metrics of clients"],
  ["share groups, streams groups (KIP-932, KIP-1071)", "consumer groups only"],
  ["everything between brokers and controllers", "there are no others"],
];

function kafkaApisPage(): string {
  const apis = Array.from(handlers.values(), ({ api }) => api).toSorted((a, b) => a.key - b.key);
  const rows = apis.map(({ key, name, first, last, note }) => [
    String(key),
    name,
    first === last ? String(first) : `${first} to ${last}`,
    note,
  ]);
  return page([
    "# Kafka APIs",
    notice("hub/kafka/schemas/"),
    [
      "What the hub answers on its Kafka listener. Other versions and APIs close the connection, as Kafka does; clients learn",
      "from ApiVersions what there is. Which permission each API needs is in [kafka-authorization.md](kafka-authorization.md).",
    ].join("\n"),
    table(["key", "API", "versions", "note"], rows),
    "## Not served",
    table(["API", "why"], kafkaApisNotServed),
  ]);
}

/** JSON Schema without what only this project reads. */
function editorSchema(program: string, root: SchemaNode): string {
  const own = new Set(["isSecret", "allowed", "defaultText"]);
  const schema = { title: `Configuration of the Tributary ${program}`, ...root };
  return `${JSON.stringify(schema, (key, value: unknown) => (own.has(key) ? undefined : value), 2)}\n`;
}

function page(parts: readonly string[]): string {
  return `${parts.join("\n\n")}\n`;
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(titles), line(titles.map(() => "---")), ...rows.map(line)].join("\n");
}

if (import.meta.main) {
  const directory = path.join(path.dirname(import.meta.dirname), "docs");
  for (const [name, text] of generatedDocs()) writeFileSync(path.join(directory, name), text);
}
