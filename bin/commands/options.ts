/** Options that several commands share, and the parsers of their values. */
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { UsageError } from "../failure.ts";
import { PASSWORD_VARIABLE, USER_VARIABLE } from "../hub-client/access.ts";
import { DEFAULT_KAFKA_ADDRESS, parseHubAddress } from "../hub-client/address.ts";

/** How to reach the hub, the same for every command that talks to one. */
export function addHubOptions(command: Command): Command {
  const kafka = new Option("--kafka <host:port>", "Kafka address of the hub")
    .default(parseHubAddress(DEFAULT_KAFKA_ADDRESS), DEFAULT_KAFKA_ADDRESS)
    .argParser(asArgument(parseHubAddress));
  return command
    .addOption(kafka)
    .option("--user <name>", `log in as this user, or as ${USER_VARIABLE} says`)
    .option("--password-file <file>", `file that holds the user's password; without it ${PASSWORD_VARIABLE} does`)
    .option("--tls", "speak TLS; the hub's certificate must be of an issuer that this machine trusts", false)
    .option("--ca-file <file>", "speak TLS; PEM file of who issued the hub's certificate");
}

/** A parser whose complaints commander prints with the name of the option. */
export function asArgument<Value>(parse: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof UsageError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

/** @throws InvalidArgumentError unless `text` is a whole number above zero. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || !Number.isSafeInteger(count)) {
    throw new InvalidArgumentError("Give a whole number above zero.");
  }
  return count;
}

/** @throws InvalidArgumentError unless `text` is a whole number. */
export function parseWholeNumber(text: string): number {
  const offset = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(offset)) throw new InvalidArgumentError("Give a whole number.");
  return offset;
}
