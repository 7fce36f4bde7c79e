/** All commands under one name; the texts of `--help` are part of the product. */
import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { Command, CommanderError } from "commander";
import type { Option } from "commander";
import { commandTable } from "./command-table.ts";
import { ConfigOption } from "./config-options.ts";
import { paintFor } from "./context.ts";
import type { CommandContext } from "./context.ts";
import { describeFailure, exitCodeFor, exitCodes } from "./failure.ts";
import { isBrokenPipe } from "./interrupt.ts";

const DESCRIPTION =
  "Carries events from sensors to the people and programs that need them. An agent at the edge takes MQTT, stores " +
  "every event on its disk before it acknowledges it, and forwards it; a hub keeps the events in topics and serves " +
  "them to any Kafka client.";

const EXAMPLES = `
Start here:
  tributary demo                                       hub, agent and 20 sensors; everything below works beside it
  tributary consume climate                            what the sensors measure
  tributary topics list                                what the hub keeps

In earnest:
  tributary hub --data /var/lib/tributary/hub
  tributary agent --data /var/lib/tributary/agent --hub ws://hub.example:7070
  tributary check agent --config agent.yaml            validate a configuration before you use it

\`tributary COMMAND --help\` explains each command with examples.

Exit codes: 0 done, 1 failed, 64 wrong usage, 69 port, directory or hub not available, 78 wrong configuration,
130 interrupted twice.`;

/** The program with the command that `args` ask for defined in full, the others by name. */
export async function buildProgram(args: readonly string[], context: CommandContext): Promise<Command> {
  const paint = paintFor(context.stdout, context.env);
  const program = new Command("tributary")
    .description(DESCRIPTION)
    .version(packageVersion(), "-V, --version", "print the version")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      getOutHelpWidth: () => context.stdout.columns ?? HELP_COLUMNS,
      getErrHelpWidth: () => context.stderr.columns ?? HELP_COLUMNS,
      // Commander would colour by its own rules; ours are in paintFor.
      getOutHasColors: () => true,
      getErrHasColors: () => true,
    })
    .configureHelp({ styleTitle: (title) => paint.strong(title), optionDescription: describeOption })
    .addHelpText("after", EXAMPLES);
  for (const { name, group, summary, load } of commandTable) {
    const command = program.command(name).summary(summary).helpGroup(group);
    if (args.includes(name)) (await load())(command, context);
  }
  // Added last, so that it stands last among its group.
  program.addHelpCommand(
    new Command("help").argument("[command]").description("explain a command").helpGroup("Look inside:"),
  );
  return program;
}

const HELP_COLUMNS = 100;

/** As commander's own, but without the defaults that say nothing: `false` of a switch, `[]` of what may be repeated. */
function describeOption(option: Option): string {
  const { description, argChoices, defaultValue, defaultValueDescription } = option;
  const notes: string[] = [];
  if (argChoices !== undefined) notes.push(`one of ${argChoices.join(", ")}`);
  const hasDefault = defaultValue !== undefined && defaultValue !== false && !Array.isArray(defaultValue);
  const ownDefault = hasDefault ? (defaultValueDescription ?? String(defaultValue)) : undefined;
  const text = option instanceof ConfigOption ? option.defaultText() : ownDefault;
  if (text !== undefined) notes.push(`default: ${text}`);
  return notes.length === 0 ? description : `${description} (${notes.join("; ")})`;
}

/** Runs one command line, without the name of the program, and returns the exit code. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    const program = await buildProgram(args, context);
    if (args.length === 0) {
      program.outputHelp();
      return exitCodes.success;
    }
    await program.parseAsync([...args], { from: "user" });
    return exitCodes.success;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
    // Whoever closed the pipe has seen enough: `tributary topics list | head -1`.
    if (error instanceof Error && isBrokenPipe(error)) return exitCodes.success;
    context.stderr.write(`${describeFailure(error, paintFor(context.stderr, context.env))}\n`);
    return exitCodeFor(error);
  }
}

function packageVersion(): string {
  const file = findPackageJSON(import.meta.url);
  if (file === undefined) return "unknown";
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}
