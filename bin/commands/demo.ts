import type { Command } from "commander";
import type { CommandContext } from "../context.ts";
import { parseCount } from "./options.ts";

type Options = { readonly data: string; readonly seed: number };

const DEFAULT_SEED = 1;

export function defineDemo(command: Command, context: CommandContext): void {
  command
    .description(
      "Run a hub, an agent and 20 simulated sensors in one process, and show what flows. The sensors of four sites " +
        "publish temperatures, humidity, power, doors and machine vibration over MQTT.",
    )
    .option("--data <dir>", "where hub and agent keep their data", "data")
    .option("--seed <number>", "another number makes other sensors", parseCount, DEFAULT_SEED)
    .addHelpText(
      "after",
      "\nThe usual ports are used, or free ones where those are taken; the demo says which. The data stays when it ends.",
    )
    .action(async (options: Options) => {
      const { runDemo } = await import("../demo/demo.ts");
      await runDemo(options, context);
    });
}
