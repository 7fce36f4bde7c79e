/** Runs the tributary command inside the test's process, with what it writes kept in memory. */
import { EventEmitter } from "node:events";
import { PassThrough, Readable } from "node:stream";
import type { CommandContext, Environment } from "../../bin/context.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Clock } from "../../shared/clock.ts";

export type FakeContext = {
  readonly context: CommandContext;
  readonly signals: EventEmitter;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  /** What was written so far. */
  readonly out: () => string;
  readonly err: () => string;
};

export function fakeContext(options: { stdin?: string; env?: Environment; clock?: Clock } = {}): FakeContext {
  const signals = new EventEmitter();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const out = collected(stdout);
  const err = collected(stderr);
  const context: CommandContext = {
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    stdout,
    stderr,
    env: options.env ?? {},
    clock: options.clock ?? systemClock,
    signals,
    exitNow: (exitCode) => {
      throw new Error(`the command would have ended the process with ${exitCode}`);
    },
  };
  return { context, signals, stdout, stderr, out, err };
}

function collected(stream: PassThrough): () => string {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString("utf8");
}
