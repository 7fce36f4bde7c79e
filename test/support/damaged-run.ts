/** Runs in which a program's log is damaged while it is down: the load, the harm, and what came of it. */
import { readFileSync, writeFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { Checker } from "./checker.ts";
import type { Verdict } from "./checker.ts";
import { startFleet } from "./fleet.ts";
import type { FleetOptions } from "./fleet.ts";
import { readAll } from "./kcat.ts";
import type { AgentProgram, HubProgram } from "./programs.ts";
import type { PublishHistory } from "./publish-history.ts";
import { eventsRoute } from "./test-routes.ts";
import { waitUntil } from "./wait-until.ts";

export const CLIENTS = 10;
export const MESSAGES_EACH = 300;
export const PAGE_BYTES = 1024;
const DEADLINE_MS = 60_000;
const { topic } = eventsRoute;

export const overwrite = (file: string, change: (bytes: Buffer) => void): void => {
  const bytes = readFileSync(file);
  change(bytes);
  writeFileSync(file, bytes);
};
/** Every 40th page from the middle on. */
export const somePages = (bytes: Buffer, fill: (page: Buffer) => void): void => {
  const pages = Math.floor(bytes.length / PAGE_BYTES);
  for (let page = Math.floor(pages / 2); page < pages; page += 40) {
    fill(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
  }
};

export async function publish(
  t: TestContext,
  agent: AgentProgram,
  name: string,
  load: Partial<FleetOptions> = {},
): Promise<readonly PublishHistory[]> {
  // Some thousand pages, of which a WAL can make good for a few only.
  const size = { messagesEach: MESSAGES_EACH, payloadBytes: 500, isIncompressible: true } as const;
  const usual = { clients: CLIENTS, qos: 1, windowMax: 20, ...size } as const;
  const fleet = startFleet(t, { port: agent.mqttPort, ...usual, ...load, name });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
  return fleet.histories;
}

export async function drained(agent: AgentProgram): Promise<void> {
  await waitUntil(
    async () => {
      const { log, uplink } = await agent.status();
      return uplink?.isConnected === true && log.pendingRecords === 0;
    },
    { what: "the agent to know that all is delivered or declared", deadlineMs: DEADLINE_MS },
  );
}

export async function verdictOf(
  t: TestContext,
  hub: HubProgram,
  histories: readonly PublishHistory[],
): Promise<Verdict> {
  const checker = new Checker(histories);
  for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
  return checker.verdict();
}
