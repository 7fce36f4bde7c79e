/** The link is cut after every byte of a small session: the outcome of what was on its way is never known, and never matters. */
import assert from "node:assert/strict";
import test from "node:test";
import type { TestContext } from "node:test";
import type { Acks } from "../../../shared/record.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";

const TOPIC = "readings";
/** The upgrade is plain HTTP: a cut there is tried every so many bytes. */
const UPGRADE_STRIDE = 40;
const UPGRADE_BYTES = 400;
const AT_ONCE = 8;

type Cleanup = { after(work: () => unknown): void; end(): Promise<void> };

/** Resources of one session, freed at its end rather than at the test's. */
function scope(): Cleanup {
  const work: (() => unknown)[] = [];
  return {
    after: (each) => void work.push(each),
    end: async () => {
      for (const each of work.toReversed()) await each();
    },
  };
}

/** Two stored batches before the connection and one after: three produces, three acks. Returns the bytes that passed. */
async function session(cutAfterBytes: number, acks: Acks): Promise<number> {
  const t = scope();
  const hub = await startUplinkHub(t);
  const proxy = await TcpProxy.start(t, hub.port);
  if (Number.isFinite(cutAfterBytes)) proxy.cutAfter(cutAfterBytes);
  const log = new VirtualLog();
  log.joinMax = 1;
  log.createTopic(TOPIC, 1);
  const partition = log.partition(TOPIC, 0);
  log.append(partition, [1, 2, 3]);
  log.append(partition, [4]);
  await startUplinkAgent(t, proxy.port, { log, policyOf: () => ({ acks, priority: 0, catchUp: "in-order" }) });
  await untilStored(hub.engine, TOPIC, 0, 4);
  log.append(partition, [5, 6]);
  await untilStored(hub.engine, TOPIC, 0, 6);
  const { bytes } = proxy;
  await t.end();
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1, 2, 3, 4, 5, 6], `cut after ${cutAfterBytes} bytes`);
  assert.deepEqual(hub.losses, []);
  return bytes;
}

for (const acks of ["all", "none"] as const) {
  test(`uplink: cut after every byte of a session with acks ${acks} -> stored once, in order`, async (t: TestContext) => {
    const bytes = await session(Infinity, acks);
    const cuts: number[] = [];
    for (let cut = 0; cut < bytes; cut += cut < UPGRADE_BYTES ? UPGRADE_STRIDE : 1) cuts.push(cut);
    t.diagnostic(`${cuts.length} cuts in ${bytes} bytes`);
    const workers = Array.from({ length: AT_ONCE }, async () => {
      for (let cut = cuts.pop(); cut !== undefined; cut = cuts.pop()) await session(cut, acks);
    });
    await Promise.all(workers);
  });
}
