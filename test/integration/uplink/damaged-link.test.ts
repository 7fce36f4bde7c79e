/** Bits that flip behind TCP's checksum: what arrives wrong is refused, sent again, and stored once. */
import assert from "node:assert/strict";
import test from "node:test";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
const waiting = { deadlineMs: 10_000 } as const;
const FLIPS_MIN = 5;
const RECORDS = 500;

for (const direction of ["up", "down"] as const) {
  test(`uplink: bits flip on the way ${direction} -> nothing wrong is stored, each record once and in order`, async (t) => {
    const limits = { silenceMsMax: 300 };
    const hub = await startUplinkHub(t, { options: { pingMs: 50, ...limits } });
    const proxy = await TcpProxy.start(t, hub.port);
    const log = new VirtualLog();
    log.createTopic(TOPIC, 1);
    const partition = log.partition(TOPIC, 0);
    await startUplinkAgent(t, proxy.port, { log, options: limits });
    log.append(partition, [1]);
    await untilStored(hub.engine, TOPIC, 0, 1);
    proxy.flipBits(direction, direction === "up" ? 997 : 211);
    for (let number = 2; number <= RECORDS; number++) {
      log.append(partition, [number]);
      if (number % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await waitUntil(() => proxy.flips >= FLIPS_MIN, { what: "bits to flip", ...waiting });
    proxy.heal();
    proxy.reset();
    await untilStored(hub.engine, TOPIC, 0, RECORDS);
    const expected = Array.from({ length: RECORDS }, (_, index) => index + 1);
    assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), expected);
    assert.deepEqual(hub.losses, []);
  });
}
