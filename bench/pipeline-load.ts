/**
 * The load of pipeline.ts, in a process of its own: publishes as the one argument (JSON) says, then prints what it did as
 * one line of JSON.
 */
import { setTimeout as delay } from "node:timers/promises";
import { startFleet } from "../test/support/fleet.ts";

export type Load = {
  readonly port: number;
  readonly clients: number;
  readonly windowMax: number;
  readonly payloadBytes: number;
  readonly seconds: number;
  /** Of all clients together; without it, as fast as the windows let them. */
  readonly perSecond?: number;
  /** First levels of the MQTT topics; the client id follows. */
  readonly topicPrefix: string;
};

export type LoadResult = { readonly acked: number; readonly resent: number; readonly seconds: number };

const ANSWERS_MS_MAX = 15_000;

const load = JSON.parse(process.argv[2] ?? "{}") as Load;
const { port, clients, windowMax, payloadBytes, perSecond, topicPrefix } = load;
const startMs = performance.now();
const cleanUps: (() => unknown)[] = [];
const fleet = startFleet(
  { after: (cleanUp: () => unknown) => void cleanUps.push(cleanUp) },
  {
    port,
    name: "c",
    clients,
    qos: 1,
    messagesEach: Infinity,
    windowMax,
    payloadBytes,
    topicOf: (clientId) => `${topicPrefix}/${clientId}`,
    ...(perSecond === undefined ? {} : { perSecond }),
  },
);
await delay(load.seconds * 1000);
await fleet.stop(ANSWERS_MS_MAX);
const seconds = (performance.now() - startMs) / 1000;
const result: LoadResult = { acked: fleet.ackedCount, resent: fleet.resentCount, seconds };
process.stdout.write(`${JSON.stringify(result)}\n`);
for (const cleanUp of cleanUps) cleanUp();
