/** Commands of the tributary command line inside the test's process: short ones, and programs that run until stopped. */
import { once } from "node:events";
import { runCommandLine } from "../../bin/program.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { fakeContext } from "./command.ts";
import type { FakeContext } from "./command.ts";

export type CommandResult = { readonly exitCode: number; readonly out: string; readonly err: string };

export async function runCommand(args: readonly string[], options: { stdin?: string } = {}): Promise<CommandResult> {
  const { context, out, err } = fakeContext(options);
  const exitCode = await runCommandLine(args, context);
  return { exitCode, out: out(), err: err() };
}

export type RunningCommand = FakeContext & {
  /** Sends SIGTERM and resolves with the exit code. */
  readonly stop: () => Promise<number>;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
  /** Resolves once stdout contains a match; rejects when the command ends first. */
  readonly saw: (pattern: RegExp) => Promise<RegExpMatchArray>;
  /** The same of stderr. */
  readonly sawError: (pattern: RegExp) => Promise<RegExpMatchArray>;
};

/** Starts a command that runs until it is told to stop, which happens after the test at the latest. */
export function startCommand(t: After, args: readonly string[]): RunningCommand {
  const fake = fakeContext();
  const ended = runCommandLine(args, fake.context);
  let hasEnded = false;
  void ended.then(() => {
    hasEnded = true;
    fake.stdout.end();
  });
  const stop = (): Promise<number> => {
    if (!hasEnded) fake.signals.emit("SIGTERM");
    return ended;
  };
  onCleanUp(t, stop);
  const see = async (name: "out" | "err", pattern: RegExp): Promise<RegExpMatchArray> => {
    const stream = name === "out" ? fake.stdout : fake.stderr;
    for (;;) {
      const match = pattern.exec(fake[name]());
      if (match !== null) return match;
      if (hasEnded) throw new Error(`the command ended without ${String(pattern)}: ${fake.err()}`);
      await Promise.race([once(stream, "data"), ended]);
    }
  };
  const saw = (pattern: RegExp): Promise<RegExpMatchArray> => see("out", pattern);
  const sawError = (pattern: RegExp): Promise<RegExpMatchArray> => see("err", pattern);
  return { ...fake, stop, ended, saw, sawError };
}

/** Starts `tributary hub` on free ports, or the given one, with its data in `directory`. */
export async function startHubCommand(
  t: After,
  directory: string,
  kafkaAddress = "127.0.0.1:0",
): Promise<RunningCommand & { readonly http: string; readonly kafka: string }> {
  const listen = ["--http", "127.0.0.1:0", "--kafka", kafkaAddress, "--log-level", "silent"];
  const command = startCommand(t, ["hub", "--data", directory, ...listen]);
  const [line] = await command.saw(/^\{.*\}\n/);
  const ready = JSON.parse(line) as { http: string; kafka: string };
  return { ...command, ...ready };
}
