import type { Command } from "commander";
import { agentFlags } from "../../agent/config-flags.ts";
import { createLogger } from "../../shared/logger.ts";
import { loadAside, loadHere } from "../agent-config.ts";
import { addConfigOptions, sourcesOf } from "../config-options.ts";
import type { GivenOptions } from "../config-options.ts";
import type { CommandContext } from "../context.ts";
import { serve } from "../serve.ts";

const agent = { flags: agentFlags, load: loadHere } as const;

const EXAMPLES = `
Examples:
  tributary agent --hub ws://127.0.0.1:7070                 on loopback, data in ./data/agent
  tributary agent --data /var/lib/tributary --hub wss://hub.example --config agent.yaml
  tributary agent --mqtt 127.0.0.1:0 --admin 127.0.0.1:0    stores only; any free ports, the ready line tells which

When it runs, one line on stdout says so: {"ready":"agent","mqtt":"127.0.0.1:1883","admin":"127.0.0.1:7071"}
Logs go to stderr, one JSON object a line. SIGTERM stops it in order. It needs no network to start: what it cannot
forward stays on its disk until the hub is there.
A listener on an address other than loopback is refused unless the configuration says that the network is trusted.
\`tributary check agent\` shows every setting, \`tributary route test TOPIC\` where a message goes.`;

export function defineAgent(command: Command, context: CommandContext): void {
  addConfigOptions(command, agent)
    .description(
      "Run an agent. MQTT clients publish to it; a message is acknowledged when it is on the disk, and forwarded to " +
        "the hub in order, exactly once, whenever the hub can be reached.",
    )
    .addHelpText("after", EXAMPLES)
    .action((options: GivenOptions) => runAgent(options, context));
}

async function runAgent(options: GivenOptions, context: CommandContext): Promise<void> {
  const { config, unusedVariables } = await loadAside(sourcesOf(agentFlags, options, context));
  const logger = createLogger("agent", config.logLevel);
  if (unusedVariables.length > 0) logger.info({ unusedVariables }, "variables that are not the agent's");
  const { startAgentOrForward } = await import("../../agent/forward-only/forward-only.ts");
  await serve("agent", () => startAgentOrForward(config, { logger, clock: context.clock }), context);
}
