/** Two hundred agents behind one address, as at a site with one NAT, and a hub that was away. */
import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { WebSocket } from "ws";
import { defaultUplinkServerOptions } from "../../../hub/uplink/server.ts";
import { UPLINK_SUBPROTOCOL } from "../../../shared/uplink/frames.ts";
import { MemoryEngine } from "../../support/memory-engine.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers } from "../../support/uplink-pair.ts";
import type { TestHub } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const AGENTS = 200;
const SITE = "192.0.2.7";
/** Most of it is what 200 uplinks in one process cost. */
const ALL_BACK_MS_MAX = 30_000;
const STRANGERS = 30;
const FAILURES_MAX = defaultUplinkServerOptions.loginFailuresPerMinuteMax;

async function strangerStatus(hub: TestHub): Promise<number> {
  const headers = { authorization: "Bearer guess" };
  const socket = new WebSocket(`ws://127.0.0.1:${hub.port}/uplink`, [UPLINK_SUBPROTOCOL], { headers });
  socket.on("error", () => undefined);
  const [, response] = await once(socket, "unexpected-response");
  socket.terminate();
  return response.statusCode;
}

for (const token of ["secret", undefined]) {
  const kind = token === undefined ? "without a token" : "with a token";
  test(`uplink: ${AGENTS} agents behind one address, hub ${kind} restarted -> all are back, each record once`, async (t) => {
    const engine = new MemoryEngine();
    const setup = { engine, peerAddress: SITE, options: token === undefined ? {} : { token } };
    let hub = await startUplinkHub(t, setup);
    const logs = Array.from({ length: AGENTS }, (_, index) => {
      const log = new VirtualLog();
      log.createTopic(`agent-${index}`, 1);
      log.append(log.partition(`agent-${index}`, 0), [1]);
      return log;
    });
    const options = { retryMinMs: 100, retryMaxMs: 2_000, connectTimeoutMs: 20_000 };
    const uplinks = await Promise.all(logs.map((log) => startUplinkAgent(t, hub.port, { log, token, options })));
    const connected = (): number => uplinks.filter((uplink) => uplink.status().isConnected).length;
    const all = { deadlineMs: ALL_BACK_MS_MAX, describe: () => `${connected()} connected` };
    await waitUntil(() => connected() === AGENTS, { what: "all agents", ...all });

    await hub.stop();
    await waitUntil(() => connected() === 0, { what: "all agents to notice", ...all });
    for (const [index, log] of logs.entries()) log.append(log.partition(`agent-${index}`, 0), [2]);
    hub = await startUplinkHub(t, { ...setup, port: hub.port });
    const has = (index: number): boolean => storedNumbers(engine, `agent-${index}`, 0).length === 2;
    await waitUntil(() => connected() === AGENTS && logs.every((_, index) => has(index)), { what: "all back", ...all });
    for (const index of logs.keys()) assert.deepEqual(storedNumbers(engine, `agent-${index}`, 0), [1, 2]);
    if (token === undefined) return;

    // One of them has a wrong token, or somebody guesses: that ends after ten, and nobody else feels it.
    const statuses: number[] = [];
    for (let attempt = 0; attempt < STRANGERS; attempt++) statuses.push(await strangerStatus(hub));
    const refusals = [Array(FAILURES_MAX).fill(401), Array(STRANGERS - FAILURES_MAX).fill(429)].flat();
    assert.deepEqual(statuses, refusals);
    const late = new VirtualLog();
    const uplink = await startUplinkAgent(t, hub.port, { log: late, token, options });
    await waitUntil(() => uplink.status().isConnected, { what: "one more agent", ...all });
  });
}
