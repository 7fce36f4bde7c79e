/** What a command may touch of the world around it; tests give their own. */
import type { Readable, Writable } from "node:stream";
import { styleText } from "node:util";
import { systemClock } from "../shared/clock.ts";
import type { Clock } from "../shared/clock.ts";

/** A stream that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where SIGINT and SIGTERM come from: `process`, or a test's emitter. */
export type SignalSource = {
  on(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
};

export type CommandContext = {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Environment;
  readonly clock: Clock;
  readonly signals: SignalSource;
  /** Ends the process at once, for the signal of an impatient operator. */
  readonly exitNow: (exitCode: number) => void;
};

export function processContext(): CommandContext {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    clock: systemClock,
    signals: process,
    exitNow: (exitCode) => process.exit(exitCode),
  };
}

export type Paint = {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly warning: (text: string) => string;
  readonly bad: (text: string) => string;
};

/** Colours on a terminal only, and never where NO_COLOR is set (no-color.org). */
export function paintFor(output: Output, env: Environment): Paint {
  const isColoured = output.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  const painter = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    isColoured ? styleText(format, text, { validateStream: false }) : text;
  return {
    strong: painter("bold"),
    faint: painter("dim"),
    good: painter("green"),
    warning: painter("yellow"),
    bad: painter("red"),
  };
}

/** Writes a line and resolves once the stream has taken it, so that a slow reader slows the command down. */
export function writeLine(output: Output, line: string): Promise<void> {
  return write(output, `${line}\n`);
}

export function write(output: Output, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    output.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
