/** The drivers' common protocol (../README.md) for those written in TypeScript. */
import { createInterface } from "node:readline";
import type { Connection, MemberArguments, ProduceArguments } from "../../../support/client-driver.ts";

export type TopicCount = Connection & { readonly topic: string; readonly count: number };
export type TopicTime = Connection & { readonly topic: string; readonly timestamp: number };
export type TopicGroup = Connection & { readonly topic: string; readonly group: string };

export type DriverCommands = {
  readonly about: () => object | Promise<object>;
  readonly produce: (args: ProduceArguments) => Promise<void>;
  readonly consume: (args: TopicCount) => Promise<void>;
  readonly "seek-timestamp": (args: TopicTime) => Promise<void>;
  readonly member: (args: MemberArguments, stopped: Promise<void>) => Promise<void>;
  readonly admin: (args: TopicGroup) => Promise<void>;
};

export function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Resolves when stdin ends. */
function inputEnd(): Promise<void> {
  return new Promise((resolve) => createInterface({ input: process.stdin }).once("close", () => resolve()));
}

/** Runs the command of the command line, and ends the process as the protocol says. */
export async function serveDriver(commands: DriverCommands): Promise<void> {
  const [name = "", json = "{}"] = process.argv.slice(2);
  try {
    const args: unknown = JSON.parse(json);
    if (name === "about") tell(await commands.about());
    else if (name === "produce") await commands.produce(args as ProduceArguments);
    else if (name === "consume") await commands.consume(args as TopicCount);
    else if (name === "seek-timestamp") await commands["seek-timestamp"](args as TopicTime);
    else if (name === "member") await commands.member(args as MemberArguments, inputEnd());
    else if (name === "admin") await commands.admin(args as TopicGroup);
    else throw new Error(`there is no command ${name}`);
    end(0);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    tell({ error: messageOf(error) });
    end(1);
  }
}

/** Not before everything that was told has left the process. */
function end(code: number): void {
  process.stdout.write("", () => process.exit(code));
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Does one call of `admin`, and tells how it went. */
export async function tellCall(call: string, work: () => unknown): Promise<void> {
  try {
    tell({ call, result: (await work()) ?? null });
  } catch (error) {
    process.stderr.write(`${call}: ${error instanceof Error ? error.stack : String(error)}\n`);
    tell({ call, error: messageOf(error) });
  }
}

export function recordsOf({ count, prefix, partition }: Pick<ProduceArguments, "count" | "prefix" | "partition">) {
  return Array.from({ length: count }, (_, i) => ({
    key: `${prefix}-${i}`,
    value: `${prefix}-${i}-${"x".repeat(80)}`,
    headers: { n: String(i) },
    ...(partition === undefined ? {} : { partition }),
  }));
}

/** In runs of `size`, in order. */
export function* runsOf<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
