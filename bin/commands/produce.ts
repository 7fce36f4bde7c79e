import { Option } from "commander";
import type { Command } from "commander";
import { createInterface } from "node:readline";
import { codecs } from "../../shared/batch/record-batch.ts";
import type { Codec } from "../../shared/batch/record-batch.ts";
import type { Acks } from "../../shared/record.ts";
import { UsageError } from "../failure.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { hubAccess } from "../hub-client/access.ts";
import type { HubOptions } from "../hub-client/access.ts";
import type { RecordToSend } from "../hub-client/record-sender.ts";
import { formatCountOf } from "../table.ts";
import { collect, addHubOptions, parseWholeNumber } from "./options.ts";

type ProduceOptions = HubOptions & {
  readonly message: readonly string[];
  readonly key?: string;
  readonly keySeparator?: string;
  readonly header: readonly string[];
  readonly partition?: number;
  readonly acks: Acks;
  readonly compression: Codec;
};

const acksLevels = ["all", "leader", "none"] as const satisfies readonly Acks[];

const EXAMPLES = `
Examples:
  tributary produce orders -m '{"id": 7}' --key customer-3
  tributary produce orders -m one -m two --header source=shell
  tail -f app.log | tributary produce logs --compression zstd
  printf 'a=1\\nb=2\\n' | tributary produce pairs --key-separator =

Without -m every line of the standard input becomes a record, sent as it comes. Records with the same key go to the
same partition and keep their order. The command ends well only when every record is acknowledged.`;

export function defineProduce(command: Command, context: CommandContext): void {
  addHubOptions(command)
    .description("Send records to a topic: the given messages, or the lines of the standard input.")
    .argument("<topic>")
    .option("-m, --message <text>", "value of a record; may be repeated", collect, [])
    .option("--key <key>", "key of every record (default: none, records go round the partitions)")
    .option("--key-separator <text>", "each line is KEY<text>VALUE")
    .option("--header <name=value>", "header of every record; may be repeated", collect, [])
    .option("--partition <number>", "send to this partition instead of the one the key chooses", parseWholeNumber)
    .addOption(new Option("--acks <level>", "when a record counts as sent").choices(acksLevels).default("all"))
    .addOption(new Option("--compression <codec>", "compression of the batches").choices(codecs).default("none"))
    .addHelpText("after", EXAMPLES)
    .action((topic: string, options: ProduceOptions) => produce(topic, options, context));
}

async function produce(topic: string, options: ProduceOptions, context: CommandContext): Promise<void> {
  if (options.key !== undefined && options.keySeparator !== undefined) {
    throw new UsageError("--key and --key-separator both give the key; choose one");
  }
  if (options.keySeparator === "") throw new UsageError("--key-separator must not be empty");
  const headers = options.header.map(parseHeader);
  const toRecord = (line: string): RecordToSend => ({ ...splitKey(line, options), headers });
  const { RecordSender } = await import("../hub-client/record-sender.ts");
  const sender = await RecordSender.open({
    address: hubAccess(options, context),
    topic,
    acks: options.acks,
    compression: options.compression,
    partition: options.partition,
  });
  try {
    for await (const line of linesOf(options, context)) await sender.add(toRecord(line));
    await sender.flush();
  } finally {
    await sender.close();
  }
  const paint = paintFor(context.stderr, context.env);
  await writeLine(context.stderr, paint.faint(`sent ${formatCountOf(sender.sentCount, "record")} to ${topic}`));
}

function linesOf(options: ProduceOptions, context: CommandContext): AsyncIterable<string> | Iterable<string> {
  if (options.message.length > 0) return options.message;
  if (context.stdin.isTTY === true) {
    context.stderr.write("Reading from the terminal: one record a line, Ctrl-D to end.\n");
  }
  return createInterface({ input: context.stdin, crlfDelay: Number.POSITIVE_INFINITY });
}

function parseHeader(pair: string): RecordToSend["headers"][number] {
  const at = pair.indexOf("=");
  if (at < 1) throw new UsageError(`--header '${pair}' is not NAME=VALUE`);
  return { key: pair.slice(0, at), value: pair.slice(at + 1) };
}

function splitKey(line: string, options: ProduceOptions): { key: string | undefined; value: string } {
  if (options.keySeparator === undefined) return { key: options.key, value: line };
  const at = line.indexOf(options.keySeparator);
  if (at === -1) throw new UsageError(`the line '${line}' has no '${options.keySeparator}' between key and value`);
  return { key: line.slice(0, at), value: line.slice(at + options.keySeparator.length) };
}
