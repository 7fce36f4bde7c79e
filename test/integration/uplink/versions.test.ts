/** An agent and a hub of different times: both say so, nothing is lost, and the right version gets everything. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import test from "node:test";
import type { TestContext } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { silentLogger } from "../../../shared/logger.ts";
import { PACK_MARK } from "../../../shared/uplink/frame-pack.ts";
import { UPLINK_SUBPROTOCOL, UPLINK_SUBPROTOCOL_WITHOUT_PACKS } from "../../../shared/uplink/frames.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { startUplinkAgent, startUplinkHub, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
const waiting = { deadlineMs: 10_000 } as const;

type Fields = Readonly<Record<string, unknown>>;

/** A hub as it refuses what it does not speak. */
async function startOtherHub(t: TestContext, spoken: string) {
  const server = createServer();
  let attempts = 0;
  server.on("upgrade", (_request, socket) => {
    attempts++;
    socket.end(`HTTP/1.1 426 Upgrade Required\r\nsec-websocket-protocol: ${spoken}\r\ncontent-length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  onCleanUp(t, stop);
  return { port: (server.address() as AddressInfo).port, stop, attempts: () => attempts };
}

function newLog(): VirtualLog {
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  log.append(log.partition(TOPIC, 0), [1]);
  return log;
}

for (const { name, spoken } of [
  { name: "older", spoken: "tributary.v1" },
  { name: "newer", spoken: "tributary.v4" },
]) {
  test(`uplink: a hub that is ${name} -> both versions are told once, data stays, a hub that fits gets it`, async (t) => {
    const other = await startOtherHub(t, spoken);
    const log = newLog();
    const waits: number[] = [];
    const logger = silentLogger();
    logger.warn = (fields: unknown) => void waits.push(Number((fields as Fields)["retryMs"]));
    const uplink = await startUplinkAgent(t, other.port, { log, logger, options: { retryMinMs: 10, retryMaxMs: 300 } });
    await waitUntil(() => uplink.status().failures >= 4, { what: "attempts", ...waiting });
    const { code, message, hint } = uplink.status().lastError ?? {};
    assert.equal(code, "UPLINK_VERSION");
    assert.equal(message, `UPLINK_VERSION: the hub speaks "${spoken}", this agent ${UPLINK_SUBPROTOCOL}`);
    assert.match(hint ?? "", /Update the older/);
    assert.equal(waits.length, 1, "told once, not at every attempt");
    assert.ok(other.attempts() >= 4);
    log.append(log.partition(TOPIC, 0), [2]);
    await other.stop();
    const hub = await startUplinkHub(t, { port: other.port });
    await untilStored(hub.engine, TOPIC, 0, 2);
  });

  test(`uplink server: an agent that is ${name} -> 426 with the version that is spoken, told with both; others are served`, async (t) => {
    const told: Fields[] = [];
    const logger = silentLogger();
    logger.warn = (fields: unknown) => void told.push(fields as Fields);
    const hub = await startUplinkHub(t, { logger });
    const socket = new WebSocket(`ws://127.0.0.1:${hub.port}/uplink`, [spoken]);
    socket.on("error", () => undefined);
    const answered = Promise.withResolvers<{ status: number | undefined; protocol: string | undefined }>();
    socket.on("unexpected-response", (_request, { statusCode: status, headers }) => {
      answered.resolve({ status, protocol: headers["sec-websocket-protocol"] });
      socket.terminate();
    });
    assert.deepEqual(await answered.promise, { status: 426, protocol: UPLINK_SUBPROTOCOL });
    assert.equal(told[0]?.["code"], "UPLINK_VERSION");
    assert.equal(told[0]?.["reason"], `the agent speaks "${spoken}", this hub ${UPLINK_SUBPROTOCOL}`);
    assert.match(String(told[0]?.["hint"]), /Update the older/);
    await startUplinkAgent(t, hub.port, { log: newLog() });
    await untilStored(hub.engine, TOPIC, 0, 1);
  });
}

for (const { name, known } of [
  { name: "of this version", known: [UPLINK_SUBPROTOCOL] },
  { name: "that knows no packs", known: [UPLINK_SUBPROTOCOL_WITHOUT_PACKS] },
]) {
  test(`uplink: a hub ${name} -> the best that both speak, and everything is stored`, async (t) => {
    const hub = await startUplinkHub(t);
    const spoken: string[] = [];
    const isPack: boolean[] = [];
    // Passes on what a hub that knows only these would be asked for, and looks at the messages.
    const server = createServer();
    const sockets = new WebSocketServer({
      server,
      handleProtocols: (offered) => known.find((each) => offered.has(each)) ?? false,
    });
    sockets.on("connection", (agent) => {
      spoken.push(agent.protocol);
      const upstream = new WebSocket(`ws://127.0.0.1:${hub.port}/uplink`, [agent.protocol]);
      const opened = new Promise((resolve) => upstream.once("open", resolve));
      let passed: Promise<unknown> = opened;
      agent.on("message", (message: Buffer) => {
        isPack.push(message[0] === PACK_MARK);
        passed = passed.then(() => upstream.send(message));
      });
      upstream.on("message", (message: Buffer) => agent.send(message));
      upstream.on("error", () => undefined);
      upstream.on("close", () => agent.terminate());
      agent.on("close", () => upstream.terminate());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onCleanUp(t, () => new Promise((resolve) => server.close(resolve)));
    onCleanUp(t, () => sockets.close());
    const log = newLog();
    await startUplinkAgent(t, (server.address() as AddressInfo).port, { log });
    await untilStored(hub.engine, TOPIC, 0, 1);
    log.append(log.partition(TOPIC, 0), [2]);
    await untilStored(hub.engine, TOPIC, 0, 2);
    assert.deepEqual([...new Set(spoken)], known);
    assert.equal(isPack.includes(true), known.includes(UPLINK_SUBPROTOCOL));
  });
}

test("uplink: a server that speaks WebSocket and nothing of ours -> told as another protocol", async (t) => {
  const server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: () => false });
  onCleanUp(t, () => sockets.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, () => new Promise((resolve) => server.close(resolve)));
  const uplink = await startUplinkAgent(t, (server.address() as AddressInfo).port, { log: newLog() });
  await waitUntil(() => uplink.status().lastError ?? false, { what: "a refusal", ...waiting });
  assert.equal(uplink.status().lastError?.code, "UPLINK_VERSION");
});
