import { Option } from "commander";
import type { Command } from "commander";
import { UsageError } from "../failure.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { hubAccess } from "../hub-client/access.ts";
import type { HubOptions } from "../hub-client/access.ts";
import { formatRecord, recordFormats } from "../hub-client/consumed-record.ts";
import type { RecordFormat } from "../hub-client/consumed-record.ts";
import type { RecordSink } from "../hub-client/reading.ts";
import { interruptSignal, isBrokenPipe } from "../interrupt.ts";
import { START_POSITION_FORMS, parseStartPosition } from "../start-position.ts";
import { formatCountOf } from "../table.ts";
import { addHubOptions, parseCount } from "./options.ts";

type ConsumeOptions = HubOptions & {
  readonly group?: string;
  readonly from: string;
  readonly count?: number;
  readonly untilEnd: boolean;
  readonly format: RecordFormat;
};

const EXAMPLES = `
Examples:
  tributary consume climate                              everything there is, then what comes
  tributary consume climate --from latest                only what comes from now on
  tributary consume climate --from 15m --until-end       the last quarter of an hour
  tributary consume climate --group billing              as a member of a group; start two and they share the work
  tributary consume climate --format json | jq .value    for programs

Without --group nothing is remembered. With --group the offset of a record is committed after it is printed, and the
next run goes on behind it. Ctrl-C commits, leaves the group and ends.`;

export function defineConsume(command: Command, context: CommandContext): void {
  addHubOptions(command)
    .description("Print a topic's records as they come, one a line.")
    .argument("<topic>")
    .option("--group <group>", "read as a member of this consumer group")
    .option("--from <position>", `where to begin: ${START_POSITION_FORMS}`, "earliest")
    .option("--count <count>", "stop after this many records", parseCount)
    .option("--until-end", "stop at the end of the topic instead of waiting for more", false)
    .addOption(
      new Option("--format <format>", "text: partition/offset, key, value; value: only the value; json: everything")
        .choices(recordFormats)
        .default("text"),
    )
    .addHelpText("after", EXAMPLES)
    .action((topic: string, options: ConsumeOptions) => consume(topic, options, context));
}

async function consume(topic: string, options: ConsumeOptions, context: CommandContext): Promise<void> {
  const position = parseStartPosition(options.from, context.clock.wallMs());
  const paint = paintFor(context.stderr, context.env);
  const stop = interruptSignal(context);
  const notice = (text: string): void => void context.stderr.write(`${paint.faint(text)}\n`);
  let recordCount = 0;
  const sink: RecordSink = async (records) => {
    const bytes = Buffer.concat(records.map((record) => formatRecord(record, options.format)));
    await print(bytes, context, stop.end);
    recordCount += records.length;
  };
  const reading = {
    address: hubAccess(options, context),
    sink,
    signal: stop.signal,
    notice,
    recordCountMax: options.count,
  };
  try {
    if (options.group === undefined) {
      const { readTopic } = await import("../hub-client/topic-reader.ts");
      await readTopic({ ...reading, topic, position, untilEnd: options.untilEnd });
    } else {
      if (position.type === "offset" || position.type === "timestamp") {
        throw new UsageError(
          "with --group, --from is where a new group begins: earliest or latest. " +
            `To move a group: tributary groups reset ${options.group} --topic ${topic} --to ${options.from}`,
        );
      }
      if (options.untilEnd) throw new UsageError("--until-end does not go with --group, which shares the topic");
      const { readAsGroup } = await import("../hub-client/group-reader.ts");
      await readAsGroup({ ...reading, group: options.group, topics: [topic], fallback: position.type });
    }
  } finally {
    stop.dispose();
  }
  if (context.stderr.isTTY === true) await writeLine(context.stderr, paint.faint(formatCountOf(recordCount, "record")));
}

/** Resolves when the records are out; a reader that closed the pipe (`| head`) has had enough, which is no failure. */
function print(bytes: Buffer, context: CommandContext, end: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    context.stdout.write(bytes, (error) => {
      if (error === null || error === undefined) return resolve();
      if (!isBrokenPipe(error)) return reject(error);
      end();
      resolve();
    });
  });
}
