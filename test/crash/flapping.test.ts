/** A link that flaps all day: neither program keeps anything of the connections that are gone. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../bin/demo/random.ts";
import { assertBooksAgree } from "../support/books.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import { rssBytes } from "../support/rss.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { exactRoute } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const CYCLES = Number(process.env["CYCLES"] ?? 500);
/** Until then the programs fill their caches and compile themselves; after some 500 memory stays where it is. */
const WARM_CYCLES = CYCLES / 2;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const DEADLINE_MS = 60_000;
const waiting = { deadlineMs: DEADLINE_MS } as const;
/** Of a connection: a cut in its greeting, or in the midst of its batches. */
const CUT_BYTES_MAX = 4_000;
/** What the heap takes and gives back as it likes is of this size; uplink/leaks.test.ts measures finer, after a collection. */
const RSS_GROWTH_MIB_MAX = 24;
/**
 * As an agent gives it to itself. A hub lets its young space grow to 48 MiB as garbage comes, at some time of the run or not,
 * in which a leak of half of that would not be seen.
 */
const SMALL_YOUNG_SPACE = "--max-semi-space-size=1";
const MIB = 1024 * 1024;

/** Kinds of what the process has open, without the numbers: "socket", "/…/log.db-wal". */
function openFiles(pid: number): readonly string[] {
  const directory = `/proc/${pid}/fd`;
  const kinds = readdirSync(directory).flatMap((fd) => {
    try {
      return [readlinkSync(`${directory}/${fd}`).replace(/:\[\d+\]$/, "")];
    } catch {
      // Closed in between.
      return [];
    }
  });
  return kinds.toSorted();
}

suite("flapping", () => {
  test(`${CYCLES} connections, seed ${SEED}: as many files and as much memory as before, each message once`, async (t) => {
    assert.ok(process.platform === "linux", "open files are counted in /proc");
    const random = seededRandom(SEED);
    const hub = await startHub(t, { env: { NODE_OPTIONS: SMALL_YOUNG_SPACE } });
    const proxy = await TcpProxy.start(t, hub.httpPort);
    const uplinkUrl = `ws://127.0.0.1:${proxy.port}`;
    const uplink = { retryMinMs: 10, retryMaxMs: 100 };
    const agent = await startAgent(t, { hub: { uplinkUrl }, config: { routes: [exactRoute], uplink } });
    const load = { name: "x", clients: 5, qos: 2, messagesEach: Infinity, windowMax: 20, perSecond: 100 } as const;
    const topicOf = (clientId: string): string => `exact/${clientId}/value`;
    const fleet = startFleet(t, { ...load, port: agent.mqttPort, topicOf });
    const programs = { agent, hub };
    const open = () => ({ agent: openFiles(agent.process.pid), hub: openFiles(hub.process.pid) });
    const rss = () => ({ agent: rssBytes(agent.process.pid), hub: rssBytes(hub.process.pid) });
    const isConnected = async (): Promise<boolean> => (await agent.status()).uplink?.isConnected === true;

    const flapUntil = async (connections: number): Promise<void> => {
      while (proxy.connections < connections) {
        proxy.cutAfter(1 + Math.floor(random.next() * CUT_BYTES_MAX));
        await delay(20);
      }
      proxy.heal();
      await waitUntil(isConnected, { what: "the agent", ...waiting });
    };
    await flapUntil(WARM_CYCLES);
    const [openBefore, rssBefore] = [open(), rss()];
    await flapUntil(CYCLES);

    const isSame = (): boolean => JSON.stringify(open()) === JSON.stringify(openBefore);
    const describe = (): string => JSON.stringify({ before: openBefore, after: open() }, null, 1);
    await waitUntil(isSame, { what: "the same files", ...waiting, describe });
    for (const name of ["agent", "hub"] as const) {
      const grownMib = (rss()[name] - rssBefore[name]) / MIB;
      t.diagnostic(`${name}: ${openBefore[name].length} files, ${grownMib.toFixed(1)} MiB more than after the first`);
      assert.ok(grownMib < RSS_GROWTH_MIB_MAX, `${name}: ${grownMib} MiB, ${programs[name].process.describe()}`);
    }

    await fleet.stop(DEADLINE_MS);
    const isDrained = async (): Promise<boolean> => (await agent.status()).log.pendingRecords === 0;
    await waitUntil(isDrained, { what: "everything to be delivered", ...waiting });
    const checker = new Checker(fleet.histories);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic: exactRoute.topic })) checker.add(record);
    assertFlawless(checker.verdict());
    await assertBooksAgree([agent], hub);
    t.diagnostic(`${proxy.connections} connections, ${checker.verdict().recordCount} messages`);
  });
});
