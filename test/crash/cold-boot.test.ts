/** A gateway that boots before its network: the agent takes messages, says what is missing, and drains when all is there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import { exactRoute } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { ip, labSuite } from "./network/lab.ts";
import { NameServer, useNameServer } from "./network/name-server.ts";

const DEADLINE_MS = 60_000;
const waiting = { deadlineMs: DEADLINE_MS } as const;
const CLIENTS = 5;
const MESSAGES_EACH = 20;
const HUB_NAME = "hub.example";
/** TEST-NET-1: an address outside of this machine, until it gets it. */
const HUB_ADDRESS = "192.0.2.1";

labSuite("a boot before the network", import.meta.url, () => {
  test("no name server, no name, no answer, no route, no hub: each is told, and in the end everything arrives", async (t) => {
    ip("link set lo up");
    useNameServer(t);
    const hub = await HubProgram.prepare(t, { httpHost: "0.0.0.0", config: { http: { insecure: true } } });
    const uplink = { retryMinMs: 50, retryMaxMs: 500, connectTimeoutMs: 1_000 };
    const uplinkUrl = `ws://${HUB_NAME}:${hub.httpPort}`;
    const agent = await startAgent(t, { hub: { uplinkUrl }, config: { routes: [exactRoute], uplink } });
    const topicOf = (clientId: string): string => `exact/${clientId}/value`;
    const histories: ReturnType<typeof startFleet>["histories"][number][] = [];
    /** Messages are taken, and the agent says why they stay. */
    const untilTold = async (stage: string, code: string, says: RegExp): Promise<void> => {
      const load = { clients: CLIENTS, qos: 2, messagesEach: MESSAGES_EACH, windowMax: 5, topicOf } as const;
      const fleet = startFleet(t, { ...load, name: stage, port: agent.mqttPort });
      await fleet.finish(DEADLINE_MS);
      fleet.close();
      histories.push(...fleet.histories);
      let told: unknown;
      const isTold = async (): Promise<boolean> => {
        const error = (await agent.status()).uplink?.lastError;
        told = error;
        return error?.code === code && says.test(error.message);
      };
      await waitUntil(isTold, { what: stage, ...waiting, describe: () => JSON.stringify(told) });
    };

    await untilTold("server", "HUB_UNREACHABLE", /the name server does not answer \(EAI_AGAIN\)/);
    const names = await NameServer.start(t);
    await untilTold("silence", "TIMEOUT", /the name server did not tell the hub's address within/);
    names.answer = "unknown";
    await untilTold("name", "HUB_UNREACHABLE", /the hub's name is not known \(ENOTFOUND\)/);
    names.answer = { address: HUB_ADDRESS };
    await untilTold("route", "HUB_UNREACHABLE", /there is no network \(ENETUNREACH\)/);
    ip(`addr add ${HUB_ADDRESS}/32 dev lo`);
    await untilTold("hub", "HUB_UNREACHABLE", /nothing listens at the hub's address \(ECONNREFUSED\)/);
    assert.equal((await agent.status()).log.pendingRecords, histories.length * MESSAGES_EACH);

    await hub.start();
    const isDrained = async (): Promise<boolean> => (await agent.status()).log.pendingRecords === 0;
    await waitUntil(isDrained, { what: "everything to be delivered", ...waiting });
    const checker = new Checker(histories);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic: exactRoute.topic })) checker.add(record);
    const verdict = checker.verdict();
    assertFlawless(verdict);
    assert.equal(verdict.recordCount, histories.length * MESSAGES_EACH);
    assert.equal((await agent.status()).uplink?.lastError, null);
    await assertBooksAgree([agent], hub);
  });
});
