/** Kafka's own command-line tools, run as bin/kafka-*.sh of Kafka's distribution run them, and what they print. */
import { TestChild } from "./child-process.ts";
import type { After } from "./clean-up.ts";
import { kafkaTool } from "./java.ts";

/** By the names of the scripts, without "kafka-" and ".sh". */
const mainClasses = {
  acls: "org.apache.kafka.tools.AclCommand",
  "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
  "client-compatibility-test": "org.apache.kafka.tools.ClientCompatibilityTest",
  configs: "kafka.admin.ConfigCommand",
  "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
  "console-producer": "org.apache.kafka.tools.ConsoleProducer",
  "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
  "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
  "e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
  "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
  groups: "org.apache.kafka.tools.GroupsCommand",
  "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
  "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
  "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
  topics: "org.apache.kafka.tools.TopicCommand",
  transactions: "org.apache.kafka.tools.TransactionsCommand",
  "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
  "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
} as const;

export type Tool = keyof typeof mainClasses;

/** A tool takes a second or two; the machine may be busy. */
const TOOL_MS_MAX = 60_000;

export type ToolOutput = {
  readonly code: number | null;
  /** Of stdout, without the empty ones. */
  readonly lines: readonly string[];
  /** stdout and stderr as one text: where a tool complains differs from tool to tool. */
  readonly text: string;
};

export type ToolOptions = {
  /** What it reads from stdin. */
  readonly input?: string;
};

export class KafkaTools {
  readonly #bootstrap: string;

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap;
  }

  /** Whatever becomes of it: tools tell many a failure only in what they print. */
  async run(t: After, tool: Tool, args: readonly string[], { input = "" }: ToolOptions = {}): Promise<ToolOutput> {
    const program = await kafkaTool(mainClasses[tool]);
    const lines: string[] = [];
    const child = await TestChild.start(t, {
      command: program.command,
      args: [...program.args, "--bootstrap-server", this.#bootstrap, ...args],
      hasInput: true,
      onLine: (line) => {
        if (line.trim() !== "") lines.push(line);
      },
    });
    child.endInput(input);
    const { code } = await child.exitWithin(TOOL_MS_MAX);
    return { code, lines, text: [...lines, child.stderrTail].join("\n") };
  }

  /** @returns what it printed. @throws unless it ends with 0. */
  async succeed(t: After, tool: Tool, args: readonly string[], options: ToolOptions = {}): Promise<readonly string[]> {
    const { code, lines, text } = await this.run(t, tool, args, options);
    if (code !== 0) throw new Error(`${tool} ${args.join(" ")} ended with ${code}: ${text}`);
    return lines;
  }

  /** @returns its complaint. @throws when it ends with 0. */
  async fail(t: After, tool: Tool, args: readonly string[]): Promise<string> {
    const { code, text } = await this.run(t, tool, args);
    if (code === 0) throw new Error(`${tool} ${args.join(" ")} succeeded: ${text}`);
    return text;
  }
}

export type TableRow = Readonly<Record<string, string>>;

/**
 * By heading, the rows of the tables whose first heading is `first`, all of the same shape. Their cells hold no blanks;
 * lines with another number of cells, such as rows with an empty one, are left out.
 */
export function tableOf(lines: readonly string[], first: string): readonly TableRow[] {
  const rows = lines.map((line) => cellsOf(line));
  const headings = rows.find((cells) => cells[0] === first);
  if (headings === undefined) throw new Error(`there is no table that starts with ${first}: ${lines.join("\n")}`);
  return rows
    .slice(rows.indexOf(headings) + 1)
    .filter((cells) => cells.length === headings.length && cells[0] !== first)
    .map((cells) => Object.fromEntries(headings.map((heading, i) => [heading, cells[i] ?? ""])));
}

function cellsOf(line: string): readonly string[] {
  return line.trim().split(/\s+/);
}
