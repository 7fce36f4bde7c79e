/** Some hundred connections one after the other, cut wherever they stand: nothing of them is left on either side. */
import assert from "node:assert/strict";
import { createHook } from "node:async_hooks";
import test from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { seededRandom } from "../../../bin/demo/random.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import type { After } from "../../support/clean-up.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
/** One that leaves something behind shows at once; real programs have 500 of them in test/crash/flapping.test.ts. */
const CYCLES = 200;
/** Until then V8 compiles and fills its caches. */
const WARM_CYCLES = 100;
/** A connection that is kept has 20 KiB and more; the records themselves, which the hub's engine keeps, have two. */
const HEAP_BYTES_PER_CYCLE_MAX = 10 * 1024;
/** A session with its upgrade has some 800: a cut in the upgrade, in the greeting, with a batch on its way, or after it. */
const CUT_BYTES_MAX = 900;
/** A batch of one record and its answer. */
const EXCHANGE_BYTES = 200;
const MS_PER_CUT = 8;
/** What has ended a moment ago is told in one of the next. */
const TURNS_TO_SETTLE = 20;
const waiting = { deadlineMs: 30_000 } as const;

/** Of this process: timers, whether they keep it alive or not, and sockets. */
const watched: ReadonlySet<string> = new Set(["Timeout", "TCPWRAP", "TCPCONNECTWRAP", "HTTPCLIENTREQUEST"]);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Counts what has been made since and is not gone. */
function countResources(t: After): () => Readonly<Record<string, number>> {
  const alive = new Map<number, string>();
  const hook = createHook({
    init: (id, type) => {
      if (watched.has(type)) alive.set(id, type);
    },
    destroy: (id) => void alive.delete(id),
  });
  hook.enable();
  onCleanUp(t, () => hook.disable());
  return () => {
    const counts: Record<string, number> = {};
    for (const type of alive.values()) counts[type] = (counts[type] ?? 0) + 1;
    return counts;
  };
}

test(`uplink: ${CYCLES} connections cut anywhere -> no socket and no timer is left, each record once`, async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = seededRandom(seed);
  const hub = await startUplinkHub(t);
  const proxy = await TcpProxy.start(t, hub.port);
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  const partition = log.partition(TOPIC, 0);
  const counted = countResources(t);
  const uplink = await startUplinkAgent(t, proxy.port, { log });
  let records = 0;
  const untilSteady = async (): Promise<void> => {
    log.append(partition, [++records]);
    await untilStored(hub.engine, TOPIC, 0, records);
    await waitUntil(() => uplink.status().isConnected, { what: "the agent", ...waiting });
  };
  const deadlineMs = performance.now() + waiting.deadlineMs;
  const cutUntil = async (goal: number): Promise<void> => {
    while (proxy.connections < goal) {
      const { connections } = proxy;
      for (let ms = 0; proxy.connections === connections; ms++) {
        assert.ok(performance.now() < deadlineMs, `seed ${seed}: ${proxy.connections} connections`);
        // A cut that was on its way may have taken this one's place; and a link that carries nothing is not cut by bytes.
        if (ms % MS_PER_CUT === 0) {
          proxy.cutAfter(1 + Math.floor(random.next() * (ms === 0 ? CUT_BYTES_MAX : EXCHANGE_BYTES)));
          log.append(partition, [++records]);
        }
        await delay(1);
      }
    }
    proxy.heal();
    await untilSteady();
  };
  await cutUntil(WARM_CYCLES);
  await turns(TURNS_TO_SETTLE);
  const before = counted();
  const heapBefore = heapBytes();
  assert.ok((before["Timeout"] ?? 0) > 0 && (before["TCPWRAP"] ?? 0) > 0, "what is there is seen");
  await cutUntil(WARM_CYCLES + CYCLES);
  const left = (): string[] =>
    Object.entries(counted()).flatMap(([type, count]) => {
      return count > (before[type] ?? 0) ? [`${count} ${type} where ${before[type] ?? 0} were`] : [];
    });
  while (left().length > 0) {
    assert.ok(performance.now() < deadlineMs, `seed ${seed}: ${left().join()}`);
    await turns(1);
  }
  const expected = Array.from({ length: records }, (_, index) => index + 1);
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), expected);
  const grown = Math.round((heapBytes() - heapBefore) / CYCLES);
  assert.ok(grown < HEAP_BYTES_PER_CYCLE_MAX, `${grown} bytes a connection`);
  t.diagnostic(
    `seed ${seed}, ${proxy.connections} connections, ${JSON.stringify(counted())}, ${grown} bytes of heap each`,
  );
});

/** Of the event loop: waiting by the clock would be a timer, too. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
