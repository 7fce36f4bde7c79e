import type { Command } from "commander";
import { hubFlags, loadHubConfig } from "../../hub/config.ts";
import { createLogger } from "../../shared/logger.ts";
import { addConfigOptions, loadFrom } from "../config-options.ts";
import type { GivenOptions } from "../config-options.ts";
import type { CommandContext } from "../context.ts";
import { serve } from "../serve.ts";

const hub = { flags: hubFlags, load: loadHubConfig } as const;

const EXAMPLES = `
Examples:
  tributary hub                                             on loopback, data in ./data/hub
  tributary hub --data /var/lib/tributary --config hub.yaml
  tributary hub --http 127.0.0.1:0 --kafka 127.0.0.1:0      any free ports; the ready line tells which

When it runs, one line on stdout says so: {"ready":"hub","http":"127.0.0.1:7070","kafka":"127.0.0.1:9092"}
Logs go to stderr, one JSON object a line. SIGTERM stops it in order.
A listener on an address other than loopback is refused unless the configuration says that the network is trusted;
the Kafka listener also takes \`users\` (see \`tributary users\`), who then have to log in. kafka.tls encrypts.
\`tributary check hub\` shows every setting.`;

export function defineHub(command: Command, context: CommandContext): void {
  addConfigOptions(command, hub)
    .description(
      "Run a hub. Agents connect to its HTTP port and bring events, Kafka clients of any language read them from its " +
        "Kafka port. Everything is kept in one directory.",
    )
    .addHelpText("after", EXAMPLES)
    .action((options: GivenOptions) => runHub(options, context));
}

async function runHub(options: GivenOptions, context: CommandContext): Promise<void> {
  const { config, unusedVariables } = loadFrom(hub, options, context);
  const logger = createLogger("hub", config.logLevel);
  if (unusedVariables.length > 0) logger.info({ unusedVariables }, "variables that are not the hub's");
  const { startHubOrReader } = await import("../../hub/read-only/read-only-hub.ts");
  await serve("hub", () => startHubOrReader(config, { logger, clock: context.clock }), context);
}
