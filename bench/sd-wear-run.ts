/**
 * One row of sd-wear.ts, in a process of its own: starts an agent on an empty directory, publishes to it as the one
 * argument (JSON) says, ends it in order, and prints as one line of JSON what the agent wrote.
 *
 * What a process has written is lost with it, except that Linux adds it to its parent's own account when the parent
 * hears of its end. This process writes nothing itself, so its account is the agent's, with the last checkpoint.
 */
import { setTimeout as delay } from "node:timers/promises";
import { startFleet } from "../test/support/fleet.ts";
import { startAgent } from "../test/support/programs.ts";
import { readUsage } from "./measure/process-usage.ts";

export type WearRun = {
  readonly uplinkUrl: string;
  /** Names the topic at the hub. */
  readonly name: string;
  readonly commitIntervalMs: number;
  readonly clients: number;
  readonly windowMax: number;
  readonly payloadBytes: number;
  /** Of all clients together. */
  readonly perSecond: number;
  readonly seconds: number;
};

export type WearResult = { readonly records: number; readonly writtenBytes: number };

/** Topics are made and the hub is found: what happens once is not measured. */
const WARM_UP_SECONDS = 3;
const ANSWERS_MS_MAX = 30_000;
/** The hub confirms what it got and the agent deletes it. */
const SETTLE_MS = 2000;

const run = JSON.parse(process.argv[2] ?? "{}") as WearRun;
const cleanUps: (() => unknown)[] = [];
const t = { after: (cleanUp: () => unknown) => void cleanUps.push(cleanUp) };

async function publish(seconds: number, perSecond: number): Promise<number> {
  const { clients, windowMax, payloadBytes, name } = run;
  const shape = { clients, windowMax, payloadBytes, qos: 1, messagesEach: Infinity } as const;
  const topicOf = (clientId: string): string => `wear/${name}/${clientId}`;
  const fleet = startFleet(t, { port: agent.mqttPort, name: "sensor", ...shape, perSecond, topicOf });
  await delay(seconds * 1000);
  await fleet.stop(ANSWERS_MS_MAX);
  fleet.close();
  return fleet.ackedCount;
}

const agent = await startAgent(t, {
  hub: { uplinkUrl: run.uplinkUrl },
  config: {
    log: { commitIntervalMs: run.commitIntervalMs },
    routes: [{ match: "wear/{run}/{sensor}", topic: "wear-{run}", key: "{sensor}" }],
  },
});
try {
  // As many clients as there will be, so that all partitions are in use.
  await publish(WARM_UP_SECONDS, 20);
  await delay(SETTLE_MS);
  const before = readUsage(agent.process.pid).diskBytes;
  const records = await publish(run.seconds, run.perSecond);
  await delay(SETTLE_MS);
  await agent.term();
  const writtenBytes = readUsage(process.pid).diskBytes - before;
  process.stdout.write(`${JSON.stringify({ records, writtenBytes } satisfies WearResult)}\n`);
} finally {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
}
