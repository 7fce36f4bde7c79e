import type { Command } from "commander";
import { agentFlags } from "../../agent/config-flags.ts";
import { loadAgentConfig } from "../../agent/config.ts";
import { hubFlags, loadHubConfig } from "../../hub/config.ts";
import type { ExplainedValue, Origin } from "../../shared/config/load-config.ts";
import { addConfigOptions, loadFrom } from "../config-options.ts";
import type { Configurable, GivenOptions } from "../config-options.ts";
import { paintFor, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { renderTable } from "../table.ts";

const EXAMPLES = `
Examples:
  tributary check agent --config agent.yaml
  tributary check hub --changed                    only what is not at its default
  TRIBUTARY_KAFKA_LISTEN=127.0.0.1:0 tributary check hub

A flag outranks a TRIBUTARY_* variable, that the file, that the default. Secrets are shown as ***.
Ends with 78, and lists every mistake, when the configuration is wrong.`;

export function defineCheck(command: Command, context: CommandContext): void {
  command
    .description("Validate a configuration as the program would load it, and show each value with where it came from.")
    .addHelpText("after", EXAMPLES);
  defineProgram(command, context, { name: "agent", program: { flags: agentFlags, load: loadAgentConfig } });
  defineProgram(command, context, { name: "hub", program: { flags: hubFlags, load: loadHubConfig } });
}

function defineProgram<Config>(
  command: Command,
  context: CommandContext,
  { name, program }: { readonly name: string; readonly program: Configurable<Config> },
): void {
  addConfigOptions(command.command(name), program)
    .description(`Check the configuration of the ${name}.`)
    .option("--changed", "only what is not at its default", false)
    .option("--json", "JSON instead of a table", false)
    .action(async (options: GivenOptions) => {
      const { explained, unusedVariables } = loadFrom(program, options, context);
      const isShown = ({ origin }: ExplainedValue): boolean => options["changed"] !== true || origin.type !== "default";
      const shown = itemByItem(explained.filter(isShown));
      if (options["json"] === true) return writeLine(context.stdout, JSON.stringify(shown.map(valueJson), null, 2));
      await writeLine(context.stdout, renderValues(shown, context).join("\n"));
      if (unusedVariables.length > 0) {
        await writeLine(context.stderr, `not used by the ${name}: ${unusedVariables.join(", ")}`);
      }
      await writeLine(
        context.stderr,
        paintFor(context.stderr, context.env).good(`The configuration of the ${name} is valid.`),
      );
    });
}

/** Items of a list one after another, each with all its keys: as they stand in the file. */
export function itemByItem(values: readonly ExplainedValue[]): ExplainedValue[] {
  const listOf = ({ path }: ExplainedValue): string | undefined => /^[^[]*\[/.exec(path)?.[0];
  const indexOf = ({ path }: ExplainedValue): number => Number(/\[(\d+)\]/.exec(path)?.[1]);
  return [...Map.groupBy(values, (value) => listOf(value) ?? value.path).values()].flatMap((group) =>
    group[0] === undefined || listOf(group[0]) === undefined
      ? group
      : group.toSorted((a, b) => indexOf(a) - indexOf(b)),
  );
}

/** Values at their defaults step back, so that the others are seen. */
function renderValues(values: readonly ExplainedValue[], context: CommandContext): string[] {
  const paint = paintFor(context.stdout, context.env);
  const rows = values.map(({ path, value, origin }) => [path, value, formatOrigin(origin)]);
  const [titles = "", ...lines] = renderTable([{ title: "KEY" }, { title: "VALUE" }, { title: "FROM" }], rows);
  const painted = lines.map((line, index) => (values[index]?.origin.type === "default" ? paint.faint(line) : line));
  return [paint.strong(titles), ...painted];
}

export function formatOrigin(origin: Origin): string {
  switch (origin.type) {
    case "flag":
      return origin.flag;
    case "variable":
      return origin.variable;
    case "file":
      return origin.line === undefined ? origin.file : `${origin.file}:${origin.line}`;
    case "default":
      return "default";
  }
}

function valueJson({ path, value, origin, description }: ExplainedValue): object {
  return { key: path, value, from: formatOrigin(origin), description };
}
