/** 30 % of the packets lost in each direction, round trips of two seconds: what satellites and the edge of a cell are like. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import { exactRoute } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { labSuite } from "./network/lab.ts";
import { linkAddresses, LossyLink } from "./network/lossy-link.ts";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const CLIENTS = 10;
const MESSAGES_EACH = 300;
const GOOD = { lossPercent: 0, delayMs: 10 } as const;
const BAD = { lossPercent: 30, delayMs: 1000 } as const;
const DEADLINE_MS = 30_000;
/** To connect at all takes some attempts. */
const DRAIN_MS_MAX = 300_000;
const waiting = { deadlineMs: DEADLINE_MS } as const;

labSuite("a lossy link", import.meta.url, () => {
  test(`30 % loss, round trips of 2 s, seed ${SEED} -> everything arrives over it, once and in order`, async (t) => {
    const link = await LossyLink.start(t, SEED);
    await link.set(GOOD);
    const hub = await startHub(t, { httpHost: "0.0.0.0", config: { http: { insecure: true } } });
    const uplinkUrl = `ws://${linkAddresses[0]}:${hub.httpPort}`;
    const uplink = { retryMinMs: 100, retryMaxMs: 5_000 };
    const agent = await startAgent(t, { hub: { uplinkUrl }, config: { routes: [exactRoute], uplink } });
    const topicOf = (clientId: string): string => `exact/${clientId}/value`;
    const load = { clients: CLIENTS, qos: 2, messagesEach: MESSAGES_EACH, windowMax: 20, topicOf } as const;
    const publish = async (name: string): Promise<typeof fleet.histories> => {
      const fleet = startFleet(t, { ...load, name, port: agent.mqttPort, perSecond: 1000 });
      await fleet.finish(DEADLINE_MS);
      fleet.close();
      return fleet.histories;
    };
    const isDrained = async (): Promise<boolean> => (await agent.status()).log.pendingRecords === 0;
    const connections = async (): Promise<number> => (await agent.status()).uplink?.connections ?? 0;

    const good = await publish("good");
    await waitUntil(isDrained, { what: "the good link to carry it", ...waiting });
    const before = await link.set(BAD);
    const bad = await publish("bad");
    // One connection lives on, and one has to be made over the bad link.
    await waitUntil(isDrained, { what: "the bad link to carry it", deadlineMs: DRAIN_MS_MAX });
    const startMs = performance.now();
    await hub.kill9();
    await hub.start();
    const anew = await publish("anew");
    await waitUntil(isDrained, { what: "a new connection to carry it", deadlineMs: DRAIN_MS_MAX });
    const after = await link.set(GOOD);
    t.diagnostic(`drained ${Math.round((performance.now() - startMs) / 1000)} s after the hub's restart`);

    const [passed, lost] = [after.passed - before.passed, after.lost - before.lost];
    t.diagnostic(`${lost} of ${passed + lost} packets lost, ${await connections()} connections`);
    assert.ok(lost > 0.2 * (passed + lost), "the link was bad");
    const checker = new Checker([...good, ...bad, ...anew]);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic: exactRoute.topic })) checker.add(record);
    const verdict = checker.verdict();
    assertFlawless(verdict);
    assert.equal(verdict.recordCount, 3 * CLIENTS * MESSAGES_EACH);
    assert.deepEqual((await agent.status()).ledger.losses, []);
    await assertBooksAgree([agent], hub);
  });
});
