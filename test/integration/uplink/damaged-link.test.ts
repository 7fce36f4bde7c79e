/** Bits that flip behind TCP's checksum: what arrives wrong is refused, sent again, and stored once. */
import assert from "node:assert/strict";
import test from "node:test";
import { silentLogger } from "../../../shared/logger.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
const waiting = { deadlineMs: 30_000 } as const;
const FLIPS_MIN = 20;
const RECORDS_MIN = 500;
/** At once; then the link gets its turn. */
const RECORDS_PER_TURN = 20;

for (const direction of ["up", "down"] as const) {
  test(`uplink: bits flip on the way ${direction} -> told, nothing wrong is stored, each record once and in order`, async (t) => {
    const limits = { silenceMsMax: 300 };
    const hub = await startUplinkHub(t, { options: { pingMs: 50, ...limits } });
    const proxy = await TcpProxy.start(t, hub.port);
    const log = new VirtualLog();
    log.createTopic(TOPIC, 1);
    const partition = log.partition(TOPIC, 0);
    const codes = new Set<unknown>();
    const logger = silentLogger();
    logger.warn = (fields: unknown) => void codes.add((fields as { code?: string }).code);
    await startUplinkAgent(t, proxy.port, { log, logger, options: limits });
    log.append(partition, [1]);
    await untilStored(hub.engine, TOPIC, 0, 1);
    proxy.flipBits(direction, direction === "up" ? 997 : 211);
    let records = 1;
    const isEnough = (): boolean => records >= RECORDS_MIN && proxy.flips >= FLIPS_MIN && codes.has("FRAME_CORRUPT");
    const publish = (): boolean => {
      for (let turn = 0; turn < RECORDS_PER_TURN; turn++) log.append(partition, [++records]);
      return isEnough();
    };
    await waitUntil(publish, { what: "a damaged frame", ...waiting, describe: () => [...codes].join() });
    proxy.heal();
    proxy.reset();
    await untilStored(hub.engine, TOPIC, 0, records);
    const expected = Array.from({ length: records }, (_, index) => index + 1);
    assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), expected);
    assert.deepEqual(hub.losses, []);
    t.diagnostic(`${proxy.flips} bits, ${proxy.connections} connections, ${records} records`);
  });
}
