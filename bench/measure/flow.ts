/** Load in, messages out: one flow through a pipeline, seen through to the last message. */
import type { After } from "../../test/support/clean-up.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { warnIfLimit } from "../load/busy.ts";
import { prepareLoad } from "../load/run-load.ts";
import type { Load, LoadResult } from "../load/load-program.ts";
import type { Pipeline, Reader } from "../peers/pipeline.ts";
import { costPerMessage, readPair } from "./usage-pair.ts";
import type { Values } from "../report/results.ts";

const DRAIN_MS_MAX = 120_000;

export type Flow = { readonly load: LoadResult; readonly readSeconds: number; readonly cost: Values };

/** @throws when a message that was acknowledged does not arrive in time. */
export async function runFlow(
  t: After,
  { name, pipeline, reader }: { readonly name: string; readonly pipeline: Pipeline; readonly reader: Reader },
  shape: Omit<Load, "port">,
): Promise<Flow> {
  const prepared = await prepareLoad(t, { ...shape, port: pipeline.mqttPort });
  const readBefore = reader.count();
  const before = readPair(pipeline);
  const startMs = performance.now();
  const load = await prepared.run();
  await waitUntil(() => reader.count() - readBefore >= load.acked - reader.heldBackMax, {
    what: `all messages at ${name}'s reader`,
    deadlineMs: DRAIN_MS_MAX,
    describe: () => `${reader.count() - readBefore} of ${load.acked}`,
  });
  const readSeconds = (performance.now() - startMs) / 1000;
  warnIfLimit(name, load);
  return { load, readSeconds, cost: costPerMessage(before, readPair(pipeline), load.acked) };
}
