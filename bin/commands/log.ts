import type { Command } from "commander";
import { StreamError } from "../../shared/errors.ts";
import { UsageError } from "../failure.ts";
import { paintFor, write, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { formatRecord } from "../hub-client/consumed-record.ts";
import type { BatchInspection, LogInspection, PartitionSummary } from "../log-inspection.ts";
import { formatBytes, formatCount, formatCountOf, formatTimestamp, renderTable, right, writeTable } from "../table.ts";
import { parseCount, parseWholeNumber } from "./options.ts";

type InspectOptions = {
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly count: number;
  readonly records: boolean;
  readonly json: boolean;
};

const DEFAULT_COUNT = 20;

const EXAMPLES = `
Examples:
  tributary log inspect data/hub                                           what is stored
  tributary log inspect data/hub --topic climate                           its batches
  tributary log inspect data/hub --topic climate --partition 2 --offset 1000 --records
  tributary log verify data/agent                                          check every batch

Works on the data directory of an agent or a hub, also while it runs, and changes nothing.`;

export function defineLog(command: Command, context: CommandContext): void {
  command
    .description("Show and check what an agent or a hub has stored in its data directory.")
    .addHelpText("after", EXAMPLES);
  command
    .command("inspect")
    .description("Show topics and partitions; with --topic, their batches; with --records, what is in them.")
    .argument("<dir>", "data directory")
    .option("--topic <topic>", "show the batches of this topic")
    .option("--partition <number>", "only this partition", parseWholeNumber)
    .option("--offset <number>", "begin at this offset", parseWholeNumber)
    .option("--count <count>", "show at most this many batches or records", parseCount, DEFAULT_COUNT)
    .option("--records", "show records instead of batches", false)
    .option("--json", "JSON instead of a table; records one a line", false)
    .action((directory: string, options: InspectOptions) => inspect(directory, options, context));
  command
    .command("verify")
    .description("Check the CRC, place and size of every batch. Ends with 1 when something is damaged.")
    .argument("<dir>", "data directory")
    .action((directory: string) => verify(directory, context));
  for (const each of command.commands) each.addHelpText("after", EXAMPLES);
}

async function inspect(directory: string, options: InspectOptions, context: CommandContext): Promise<void> {
  const choosesWithin = options.records || options.partition !== undefined || options.offset !== undefined;
  if (options.topic === undefined && choosesWithin) {
    throw new UsageError("--partition, --offset and --records look into one topic: add --topic");
  }
  const { LogInspection } = await import("../log-inspection.ts");
  const log = new LogInspection(directory);
  try {
    if (options.topic === undefined) await showPartitions(log.partitions(), options, context);
    else if (options.records) await showRecords(log, options, context);
    else await showBatches(log, options, context);
  } finally {
    log.close();
  }
}

function showPartitions(partitions: readonly PartitionSummary[], options: InspectOptions, context: CommandContext) {
  if (options.json) return writeLine(context.stdout, JSON.stringify(partitions, null, 2));
  if (partitions.length === 0) return writeLine(context.stdout, "The log has no topics yet.");
  const rows = partitions.map((at) => [
    at.topic,
    String(at.partition),
    String(at.logStartOffset),
    String(at.logEndOffset),
    formatCount(at.logEndOffset - at.logStartOffset),
    formatCount(at.batchCount),
    formatBytes(at.bytes),
  ]);
  const titles = ["PARTITION", "START", "END", "RECORDS", "BATCHES", "BYTES"].map(right);
  return writeTable([{ title: "TOPIC" }, ...titles], rows, context);
}

async function showBatches(log: LogInspection, options: InspectOptions, context: CommandContext): Promise<void> {
  const batches: BatchInspection[] = [];
  for (const batch of log.batches(options)) {
    if (batches.push(batch) === options.count) break;
  }
  if (options.json) return writeLine(context.stdout, JSON.stringify(batches.map(batchJson), null, 2));
  if (batches.length === 0) return writeLine(context.stdout, "No batches there.");
  const rows = batches.map((batch) => [
    String(batch.partition),
    `${batch.baseOffset}-${batch.lastOffset}`,
    formatCount(batch.lastOffset - batch.baseOffset + 1),
    formatBytes(batch.bytes),
    batch.codec ?? "?",
    batch.maxTimestamp === undefined ? "?" : formatTimestamp(batch.maxTimestamp),
    producerText(batch),
    batch.damage ?? "ok",
  ]);
  const numbers = [right("PARTITION"), right("OFFSETS"), right("RECORDS"), right("BYTES")];
  const texts = ["CODEC", "NEWEST", "PRODUCER", "CHECK"].map((title) => ({ title }));
  await writeTable([...numbers, ...texts], rows, context);
}

/** id/epoch/sequence of a producer that is recognised by its numbers. */
function producerText({ header }: BatchInspection): string {
  if (header === undefined || header.producerId < 0n) return "-";
  return `${header.producerId}/${header.producerEpoch}/${header.baseSequence}`;
}

function batchJson(batch: BatchInspection): object {
  const { topic, partition, baseOffset, lastOffset, bytes, codec, header, damage } = batch;
  const producer = header === undefined || header.producerId < 0n ? null : producerText(batch);
  return {
    topic,
    partition,
    baseOffset,
    lastOffset,
    bytes,
    codec: codec ?? null,
    maxTimestamp: batch.maxTimestamp ?? null,
    producer,
    damage: damage ?? null,
  };
}

async function showRecords(log: LogInspection, options: InspectOptions, context: CommandContext): Promise<void> {
  const { recordsOf } = await import("../log-inspection.ts");
  let left = options.count;
  for (const batch of log.batches(options)) {
    if (batch.damage !== undefined) {
      const where = `${batch.partition}/${batch.baseOffset}-${batch.lastOffset}`;
      await writeLine(context.stderr, `${where} is damaged and left out: ${batch.damage}`);
      continue;
    }
    for (const record of recordsOf(batch, options.offset ?? 0, log.sessions)) {
      const { topic, partition } = batch;
      const line = formatRecord({ topic, partition, ...record }, options.json ? "json" : "text");
      await write(context.stdout, line.toString("utf8"));
      left--;
      if (left === 0) return;
    }
  }
}

async function verify(directory: string, context: CommandContext): Promise<void> {
  const { LogInspection } = await import("../log-inspection.ts");
  const log = new LogInspection(directory);
  const damaged: string[][] = [];
  let batchCount = 0;
  let bytes = 0;
  try {
    for (const batch of log.batches({})) {
      batchCount++;
      bytes += batch.bytes;
      if (batch.damage === undefined) continue;
      damaged.push([batch.topic, String(batch.partition), `${batch.baseOffset}-${batch.lastOffset}`, batch.damage]);
    }
  } finally {
    log.close();
  }
  const checked = `checked ${formatCountOf(batchCount, "batch")}, ${formatBytes(bytes)}`;
  if (damaged.length === 0) {
    const paint = paintFor(context.stdout, context.env);
    return writeLine(context.stdout, `${checked}: ${paint.good("all sound")}`);
  }
  const columns = [{ title: "TOPIC" }, right("PARTITION"), right("OFFSETS"), { title: "DAMAGE" }];
  await writeLine(context.stdout, renderTable(columns, damaged).join("\n"));
  throw new StreamError("CORRUPT_RECORD", `${checked}: ${formatCount(damaged.length)} damaged`, {
    hint: "A damaged batch is never served. If it happens more than once, suspect the disk or the memory.",
  });
}
