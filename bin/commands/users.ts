import { randomBytes } from "node:crypto";
import { Option } from "commander";
import type { Command } from "commander";
import { stringify } from "yaml";
import { isUnambiguous } from "../../hub/access/saslprep.ts";
import {
  ITERATIONS_MAX,
  ITERATIONS_MIN,
  deriveCredential,
  formatCredential,
  scramMechanismNames,
} from "../../hub/access/scram-credential.ts";
import { userNameProblem } from "../../hub/access/users-config.ts";
import { writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { UsageError } from "../failure.ts";
import { askPassword } from "../password-prompt.ts";
import { asArgument } from "./options.ts";

type HashOptions = { readonly iterations: number };

const SALT_BYTES = 16;

const EXAMPLES = `
Examples:
  tributary users hash telegraf >> hub.yaml              asks for the password
  openssl rand -base64 24 | tee telegraf.password | tributary users hash telegraf

The first line of the standard input is the password. What is printed belongs into the hub's configuration; the password
cannot be read from it, but it should be guarded all the same. Add \`acls\`, or \`superuser: true\`, by hand.`;

export function defineUsers(command: Command, context: CommandContext): void {
  command
    .description("The users of a hub: who may log in with a Kafka client, and as whom. They are in its configuration.")
    .addHelpText("after", EXAMPLES);
  command
    .command("hash")
    .description("Make a user's entry for the hub's configuration out of a password.")
    .argument("<name>", "what clients log in as", asArgument(checkName))
    .addOption(
      new Option("--iterations <count>", "hashes that one guess costs, and one login too")
        .default(ITERATIONS_MIN)
        .argParser(asArgument(parseIterations)),
    )
    .addHelpText("after", EXAMPLES)
    .action((name: string, options: HashOptions) => hashPassword(name, options, context));
}

async function hashPassword(name: string, { iterations }: HashOptions, context: CommandContext): Promise<void> {
  const password = await askPassword(name, context);
  if (password === "") throw new UsageError("the password is empty");
  if (!isUnambiguous(password)) {
    throw new UsageError(
      "the password has characters that clients may send in more than one form (control characters, other spaces than " +
        "the common one, ligatures, letters with separate accents); choose others",
    );
  }
  const credentials = await Promise.all(
    scramMechanismNames.map((mechanism) =>
      deriveCredential({ mechanism, password, salt: randomBytes(SALT_BYTES), iterations }),
    ),
  );
  const users = [{ name, credentials: credentials.map(formatCredential) }];
  await writeLine(context.stdout, stringify({ users }, { lineWidth: 0 }).trimEnd());
}

function checkName(name: string): string {
  const problem = userNameProblem(name);
  if (problem !== undefined) throw new UsageError(`'${name}' cannot be a user's name: ${problem}.`);
  return name;
}

function parseIterations(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < ITERATIONS_MIN || count > ITERATIONS_MAX) {
    throw new UsageError(`Give a whole number from ${ITERATIONS_MIN} to ${ITERATIONS_MAX}.`);
  }
  return count;
}
