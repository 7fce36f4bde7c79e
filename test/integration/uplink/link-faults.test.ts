import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import test from "node:test";
import { StreamError } from "../../../shared/errors.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { MemoryEngine } from "../../support/memory-engine.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
const waiting = { deadlineMs: 10_000 } as const;

function newLog(...numbers: number[]): VirtualLog {
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  if (numbers.length > 0) log.append(log.partition(TOPIC, 0), numbers);
  return log;
}

test("uplink: a hub that comes later gets everything, reconnecting alone starts it", async (t) => {
  const placeholder = await startUplinkHub(t);
  const { port } = placeholder;
  await placeholder.stop();
  const log = newLog(1, 2, 3);
  const uplink = await startUplinkAgent(t, port, { log });
  await waitUntil(() => uplink.status().failures > 2, { what: "failed attempts", ...waiting });
  assert.equal(uplink.status().lastError?.code, "HUB_UNREACHABLE");
  const hub = await startUplinkHub(t, { port });
  await untilStored(hub.engine, TOPIC, 0, 3);
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1, 2, 3]);
});

test("uplink: a hub that restarts again and again gets each record once", async (t) => {
  const engine = new MemoryEngine();
  let hub = await startUplinkHub(t, { engine });
  const log = newLog();
  const partition = log.partition(TOPIC, 0);
  await startUplinkAgent(t, hub.port, { log });
  for (let round = 0; round < 5; round++) {
    for (let number = 1; number <= 20; number++) log.append(partition, [round * 20 + number]);
    await untilStored(engine, TOPIC, 0, round * 20 + 5);
    await hub.stop();
    hub = await startUplinkHub(t, { engine, port: hub.port });
  }
  await untilStored(engine, TOPIC, 0, 100);
  assert.deepEqual(
    storedNumbers(engine, TOPIC, 0),
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
});

for (const direction of ["down", "up"] as const) {
  test(`uplink: nothing passes ${direction} any more -> noticed by the silence, stored once after the reconnect`, async (t) => {
    const hub = await startUplinkHub(t, { options: { pingMs: 50, silenceMsMax: 200 } });
    const proxy = await TcpProxy.start(t, hub.port);
    const log = newLog(1);
    const uplink = await startUplinkAgent(t, proxy.port, { log, options: { silenceMsMax: 200 } });
    await untilStored(hub.engine, TOPIC, 0, 1);
    proxy.halfOpen(direction);
    log.append(log.partition(TOPIC, 0), [2, 3]);
    await waitUntil(() => !uplink.status().isConnected, { what: "the agent to notice", ...waiting });
    proxy.heal();
    proxy.reset();
    await untilStored(hub.engine, TOPIC, 0, 3);
    assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1, 2, 3]);
  });
}

test("uplink: a dead link is noticed by the hub too", async (t) => {
  const hub = await startUplinkHub(t, { options: { pingMs: 30, silenceMsMax: 100 } });
  const proxy = await TcpProxy.start(t, hub.port);
  await startUplinkAgent(t, proxy.port, { log: newLog(1) });
  await untilStored(hub.engine, TOPIC, 0, 1);
  proxy.partition();
  await waitUntil(() => hub.server.agents()[0]?.isConnected === false, { what: "the hub to notice", ...waiting });
});

test("uplink: a flapping link slows the agent down, each record arrives once", async (t) => {
  const hub = await startUplinkHub(t);
  const proxy = await TcpProxy.start(t, hub.port);
  const log = newLog();
  const partition = log.partition(TOPIC, 0);
  const uplink = await startUplinkAgent(t, proxy.port, { log });
  for (let flap = 1; flap <= 10; flap++) {
    log.append(partition, [flap]);
    await untilStored(hub.engine, TOPIC, 0, flap);
    proxy.reset();
  }
  await waitUntil(() => uplink.status().failures >= 5, { what: "the failures to count", ...waiting });
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("uplink: a wrong token -> UNAUTHORIZED, the data stays, and the right one lets it through", async (t) => {
  const hub = await startUplinkHub(t, { options: { token: "secret" } });
  const log = newLog(1, 2);
  const wrong = await startUplinkAgent(t, hub.port, { log, token: "wrong" });
  await waitUntil(() => wrong.status().lastError ?? false, { what: "a refusal", ...waiting });
  assert.equal(wrong.status().lastError?.code, "UNAUTHORIZED");
  assert.equal(hub.server.agents().length, 0);
  await wrong.close();
  await startUplinkAgent(t, hub.port, { log, token: "secret" });
  await untilStored(hub.engine, TOPIC, 0, 2);
});

test("uplink: something else answers at the address -> told so, the data stays", async (t) => {
  const portal = createServer((_request, response) => response.writeHead(302, { location: "/login" }).end());
  await new Promise<void>((resolve) => portal.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, () => new Promise((resolve) => portal.close(resolve)));
  onCleanUp(t, () => portal.closeAllConnections());
  const uplink = await startUplinkAgent(t, (portal.address() as AddressInfo).port, { log: newLog(1) });
  await waitUntil(() => uplink.status().lastError ?? false, { what: "a refusal", ...waiting });
  assert.match(uplink.status().lastError?.message ?? "", /something else than a hub/);
});

test("uplink: a hub that never says welcome is given up after the connect timeout", async (t) => {
  const engine = new MemoryEngine();
  engine.producerPositions = () => new Promise(() => undefined);
  const hub = await startUplinkHub(t, { engine, options: { closeMsMax: 50 } });
  const uplink = await startUplinkAgent(t, hub.port, { log: newLog(1), options: { connectTimeoutMs: 100 } });
  await waitUntil(() => uplink.status().lastError ?? false, { what: "a timeout", ...waiting });
  assert.equal(uplink.status().lastError?.code, "TIMEOUT");
});

/** The data directory of `log`, copied. */
function cloneOf(log: VirtualLog): VirtualLog {
  const clone = newLog();
  clone.restore(log.takeImage());
  return clone;
}

test("uplink: a second agent with the same data is refused and told so; the first goes on undisturbed", async (t) => {
  const hub = await startUplinkHub(t);
  const log = newLog(1);
  const first = await startUplinkAgent(t, hub.port, { log });
  await untilStored(hub.engine, TOPIC, 0, 1);
  const clone = cloneOf(log);
  const second = await startUplinkAgent(t, hub.port, { log: clone });
  await waitUntil(() => second.status().lastError ?? false, { what: "the second to be refused", ...waiting });
  assert.equal(second.status().lastError?.code, "AGENT_RUNS_TWICE");
  assert.match(
    second.status().lastError?.message ?? "",
    /runs twice with the same data: the other one is at 127\.0\.0\.1/,
  );
  clone.append(clone.partition(TOPIC, 0), [66]);
  log.append(log.partition(TOPIC, 0), [2]);
  await untilStored(hub.engine, TOPIC, 0, 2);
  assert.deepEqual([first.status().isConnected, first.status().connections], [true, 1]);
  // When the first one ends, the second may go on: nothing of either is lost or taken for the other's.
  await first.close();
  await untilStored(hub.engine, TOPIC, 0, 3);
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1, 2, 66]);
});

test("uplink: an agent that starts again while its old connection hangs waits a moment and takes over", async (t) => {
  const hub = await startUplinkHub(t);
  const proxy = await TcpProxy.start(t, hub.port);
  const log = newLog(1);
  await startUplinkAgent(t, proxy.port, { log });
  await untilStored(hub.engine, TOPIC, 0, 1);
  proxy.partition();
  const again = await startUplinkAgent(t, hub.port, { log: cloneOf(log) });
  await waitUntil(() => again.status().isConnected, { what: "the agent to be let in", ...waiting });
  assert.equal(hub.server.agents().length, 1);
});

test("uplink: the hub has more partitions than the log -> the agent is told", async (t) => {
  const hub = await startUplinkHub(t);
  await hub.engine.createTopic({ name: TOPIC, partitionCount: 3 });
  const log = newLog(1);
  await startUplinkAgent(t, hub.port, { log });
  await waitUntil(() => log.topics.get(TOPIC)?.partitions.length === 3, { what: "the partitions", ...waiting });
  log.append(log.partition(TOPIC, 2), [9]);
  await untilStored(hub.engine, TOPIC, 2, 1);
});

test("uplink: what the hub has is trimmed from the log at the latest when the uplink closes", async (t) => {
  const hub = await startUplinkHub(t);
  const log = newLog(1, 2, 3);
  const partition = log.partition(TOPIC, 0);
  const uplink = await startUplinkAgent(t, hub.port, { log });
  await waitUntil(() => uplink.pendingFrom(partition) === 3, { what: "the acknowledgement", ...waiting });
  assert.deepEqual(uplink.status().delivered[TOPIC], { none: 0, leader: 0, all: 3 });
  await uplink.close();
  assert.equal(partition.logStartOffset, 3);
});

test("uplink: closing answers what is on its way", async (t) => {
  const engine = new MemoryEngine();
  const hub = await startUplinkHub(t, { engine });
  const log = newLog(1);
  const partition = log.partition(TOPIC, 0);
  const uplink = await startUplinkAgent(t, hub.port, { log, options: { closeMsMax: 5_000 } });
  await waitUntil(() => uplink.pendingFrom(partition) === 1, { what: "the first acknowledgement", ...waiting });
  engine.holdCommits();
  log.append(partition, [2]);
  await waitUntil(() => engine.appends.length === 2, { what: "the batch to reach the hub", ...waiting });
  const closed = uplink.close();
  engine.releaseCommits();
  await closed;
  assert.equal(uplink.pendingFrom(partition), 2);
});

test("uplink: closing ends in time although the hub does not answer", async (t) => {
  const engine = new MemoryEngine();
  const hub = await startUplinkHub(t, { engine, options: { closeMsMax: 50 } });
  engine.holdCommits();
  const uplink = await startUplinkAgent(t, hub.port, { log: newLog(1), options: { closeMsMax: 50 } });
  await waitUntil(() => engine.appends.length === 1, { what: "the batch to reach the hub", ...waiting });
  await uplink.close();
  await hub.stop();
});

test("uplink: the hub's log is full for a while -> the agent waits and delivers later", async (t) => {
  class FullEngine extends MemoryEngine {
    isFull = true;
    override append(request: Parameters<MemoryEngine["append"]>[0]) {
      if (this.isFull) return Promise.reject(new StreamError("LOG_FULL", "the disk is full"));
      return super.append(request);
    }
  }
  const engine = new FullEngine();
  const hub = await startUplinkHub(t, { engine });
  await startUplinkAgent(t, hub.port, { log: newLog(1, 2) });
  await waitUntil(() => (hub.server.agents()[0]?.refused ?? 0) > 0, { what: "a refusal", ...waiting });
  engine.isFull = false;
  await untilStored(engine, TOPIC, 0, 2);
});

test("uplink: a log that is full at the start does not stop the agent, which forwards once there is room", async (t) => {
  const hub = await startUplinkHub(t);
  const log = newLog(1, 2);
  log.callFailure = new StreamError("LOG_FULL", "no room");
  const uplink = await startUplinkAgent(t, hub.port, { log });
  await waitUntil(() => uplink.status().failures > 2, { what: "failed attempts", ...waiting });
  assert.equal(uplink.status().lastError?.code, "LOG_FULL");
  log.callFailure = undefined;
  await untilStored(hub.engine, TOPIC, 0, 2);
});
