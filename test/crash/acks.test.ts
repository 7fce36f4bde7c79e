/**
 * What `acks` of a route promises, told apart by killing the hub on the way of a batch:
 *
 *   agent ──batch──▶ hub ─▶ append ─▶ (leader: answer) ─▶ flush ─▶ (all: answer)
 *     └ none: delivered when written to the socket
 *
 * `delivered` below means that the agent holds the records for delivered, and would not send them again.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import type { CrashPoint } from "../../shared/crash-point.ts";
import type { Acks } from "../../shared/record.ts";
import { assertBooksAgree } from "../support/books.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 15_000;
const { topic } = eventsRoute;

type Row = {
  readonly acks: Acks;
  readonly crashAt: CrashPoint;
  /** Messages that the crash point lets pass first. The first one on a connection is answered, whatever `acks` says. */
  readonly passes?: number;
  /** What the agent thinks of the message while the hub is dead. */
  readonly agentThinks: "delivered" | "pending";
  readonly hubHas: "it" | "nothing";
};

const rows: readonly Row[] = [
  { acks: "none", crashAt: "hub-before-append", passes: 1, agentThinks: "delivered", hubHas: "nothing" },
  { acks: "leader", crashAt: "hub-before-append", agentThinks: "pending", hubHas: "nothing" },
  { acks: "leader", crashAt: "hub-before-ack", agentThinks: "pending", hubHas: "it" },
  { acks: "leader", crashAt: "hub-before-fsync", agentThinks: "delivered", hubHas: "it" },
  { acks: "all", crashAt: "hub-before-append", agentThinks: "pending", hubHas: "nothing" },
  { acks: "all", crashAt: "hub-before-fsync", agentThinks: "pending", hubHas: "nothing" },
  { acks: "all", crashAt: "hub-before-ack", agentThinks: "pending", hubHas: "it" },
];

/** One QoS 1 message, acknowledged by the agent. */
async function publishOne(t: TestContext, agent: AgentProgram, name: string): Promise<void> {
  const one = { port: agent.mqttPort, clients: 1, qos: 1, messagesEach: 1, windowMax: 1 } as const;
  const fleet = startFleet(t, { ...one, name, topicOf: () => "sensors/one/value" });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
}

async function waitForPending(agent: AgentProgram, count: number): Promise<void> {
  let pending = -1;
  await waitUntil(
    async () => {
      pending = (await agent.status()).log.pendingRecords;
      return pending === count;
    },
    { what: `${count} pending records`, deadlineMs: DEADLINE_MS, describe: () => `there are ${pending}` },
  );
}

async function waitForConnection(agent: AgentProgram, isConnected: boolean): Promise<void> {
  await waitUntil(async () => (await agent.status()).uplink?.isConnected === isConnected, {
    what: isConnected ? "the agent to find the hub" : "the agent to miss the hub",
    deadlineMs: DEADLINE_MS,
  });
}

suite("acks", () => {
  for (const { acks, crashAt, passes = 0, agentThinks, hubHas } of rows) {
    test(`${acks}, the hub dies at ${crashAt}: the agent thinks ${agentThinks}, the hub has ${hubHas}`, async (t) => {
      const hub = await startHub(t);
      const agent = await startAgent(t, { hub, config: { routes: [{ ...eventsRoute, acks }], uplink: quickUplink } });
      const clientsAtHub = async (): Promise<readonly string[]> =>
        (await readAll(t, { address: hub.kafkaAddress, topic })).map(({ client }) => client);
      // Topic and connection are there before: the crash is to hit a batch and nothing else.
      await publishOne(t, agent, "first");
      await waitForPending(agent, 0);
      await hub.term();
      await hub.start({ TRIBUTARY_CRASH_AT: `${crashAt}:${passes + 1}` });
      await waitForConnection(agent, true);
      for (let pass = 0; pass < passes; pass++) {
        await publishOne(t, agent, "passing");
        await waitForPending(agent, 0);
      }

      await publishOne(t, agent, "second");
      const { signal } = await hub.process.exitWithin(DEADLINE_MS);
      assert.equal(signal, "SIGKILL", "the hub died at the crash point");
      await waitForConnection(agent, false);
      await waitForPending(agent, agentThinks === "pending" ? 1 : 0);

      // The hub alone, before the agent can send anything again.
      await agent.term();
      await hub.start();
      const before = ["first0", ...Array.from({ length: passes }, () => "passing0")];
      assert.deepEqual(await clientsAtHub(), hubHas === "it" ? [...before, "second0"] : before);

      await agent.start();
      await publishOne(t, agent, "third");
      await waitForPending(agent, 0);
      await waitUntil(async () => (await clientsAtHub()).includes("third0"), {
        what: "the last message at the hub",
        deadlineMs: DEADLINE_MS,
      });
      const complete = [...before, "second0", "third0"];
      const found = await clientsAtHub();
      // With none, an agent that happens to have the message still may send it again, and owes nothing.
      const isLost = acks === "none" && !found.includes("second0");
      assert.deepEqual(found, isLost ? [...before, "third0"] : complete);
      // What `none` has lost is in the ledger, or the books would differ.
      await assertBooksAgree([agent], hub);
    });
  }
});
