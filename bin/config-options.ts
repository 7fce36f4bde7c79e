/** The options of commands that load a configuration, made from the configuration's own table of flags. */
import { Option } from "commander";
import type { Command } from "commander";
import type { ConfigFlags, ConfigSources, LoadedConfig } from "../shared/config/load-config.ts";
import type { CommandContext } from "./context.ts";

/** What commander made of the command line: values by the camel-case names of the options. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** A program whose configuration is loaded: its flags and its loader. */
export type Configurable<Config> = {
  readonly flags: ConfigFlags;
  readonly load: (sources: ConfigSources) => LoadedConfig<Config>;
};

/** An option whose default belongs to the configuration, which is only asked when somebody wants help. */
export class ConfigOption extends Option {
  readonly defaultText: () => string | undefined;

  constructor(flags: string, description: string, defaultText: () => string | undefined) {
    super(flags, description);
    this.defaultText = defaultText;
  }
}

/**
 * Adds the flags and `--config`. Their defaults are shown but not set, because a flag that was not given must not
 * outrank the environment and the file.
 */
export function addConfigOptions<Config>(command: Command, { flags, load }: Configurable<Config>): Command {
  let defaults: ReadonlyMap<string, string> | undefined;
  const defaultOf = (path: string): string | undefined => {
    defaults ??= new Map(load({ flags: {}, env: {} }).explained.map((each) => [each.path, each.value]));
    return defaults.get(path);
  };
  for (const [name, { path, placeholder, description }] of Object.entries(flags)) {
    command.addOption(new ConfigOption(`--${name} <${placeholder}>`, description, () => defaultOf(path)));
  }
  return command.option("--config <FILE>", "YAML file; flags and TRIBUTARY_* variables outrank it");
}

/** @throws StreamError CONFIG_INVALID or LISTENER_NOT_PROTECTED, with every mistake in its message. */
export function loadFrom<Config>(
  { flags, load }: Configurable<Config>,
  options: GivenOptions,
  context: CommandContext,
): LoadedConfig<Config> {
  return load(sourcesOf(flags, options, context));
}

export function sourcesOf(flags: ConfigFlags, options: GivenOptions, context: CommandContext): ConfigSources {
  const given = Object.keys(flags).map((name) => [name, textOf(options, new Option(`--${name} <x>`).attributeName())]);
  return {
    flags: Object.fromEntries(given) as ConfigSources["flags"],
    env: context.env,
    file: textOf(options, "config"),
  };
}

function textOf(options: GivenOptions, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}
