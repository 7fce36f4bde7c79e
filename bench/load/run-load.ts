/** Starts the load's process: it is connected and waits when this returns, so that connecting is not measured. */
import { fileURLToPath } from "node:url";
import { TestChild } from "../../test/support/child-process.ts";
import type { After } from "../../test/support/clean-up.ts";
import type { Load, LoadResult } from "./load-program.ts";

const PROGRAM = fileURLToPath(new URL("load-program.ts", import.meta.url));

export type PreparedLoad = { readonly run: () => Promise<LoadResult> };

export async function prepareLoad(t: After, load: Load): Promise<PreparedLoad> {
  const ready = Promise.withResolvers<"ready">();
  const lines: string[] = [];
  const child = await TestChild.start(t, {
    command: process.execPath,
    args: [PROGRAM, JSON.stringify(load)],
    hasInput: true,
    onLine: (line) => (line === "ready" ? ready.resolve("ready") : void lines.push(line)),
  });
  const first = await Promise.race([ready.promise, child.exited]);
  if (first !== "ready") throw new Error(`the load could not connect: ${child.describe()}`);
  const run = async (): Promise<LoadResult> => {
    child.endInput();
    const { code } = await child.exited;
    if (code !== 0 || lines[0] === undefined) throw new Error(`the load failed: ${child.describe()}`);
    return JSON.parse(lines[0]) as LoadResult;
  };
  return { run };
}

export async function runLoad(t: After, load: Load): Promise<LoadResult> {
  return (await prepareLoad(t, load)).run();
}
