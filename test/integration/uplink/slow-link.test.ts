/** A link so slow that it breaks before a batch is through: batches get smaller until they arrive. */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import test from "node:test";
import { onCleanUp } from "../../support/clean-up.ts";
import type { After } from "../../support/clean-up.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";

const TOPIC = "readings";
const RECORDS = 6000;
const BYTES_PER_SECOND = 40_000;
const LINK_LASTS_MS = 400;
const TICK_MS = 10;
/** What a link holds; beyond it nothing more is taken from the agent. */
const LINK_BYTES_MAX = 8192;

/** Carries so many bytes a second to the hub, all of its answers, and breaks every so often. */
async function startSlowLink(t: After, hubPort: number) {
  const counts = { connections: 0 };
  const server = createServer((agent) => {
    counts.connections++;
    const hub = connect(hubPort, "127.0.0.1");
    hub.pipe(agent);
    const ends: Socket[] = [agent, hub];
    let held = Buffer.alloc(0);
    agent.on("data", (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      if (held.length > LINK_BYTES_MAX) agent.pause();
    });
    const ticks = setInterval(() => {
      const share = (BYTES_PER_SECOND * TICK_MS) / 1000;
      if (held.length > 0) hub.write(held.subarray(0, share));
      held = held.subarray(share);
      if (held.length <= LINK_BYTES_MAX) agent.resume();
    }, TICK_MS);
    const cut = setTimeout(() => agent.destroy(), LINK_LASTS_MS);
    for (const end of ends) {
      end.on("error", () => undefined);
      end.on("close", () => {
        clearInterval(ticks);
        clearTimeout(cut);
        for (const other of ends) other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, () => server.close());
  return { counts, port: (server.address() as AddressInfo).port };
}

test("uplink: a link that breaks before a batch is through -> smaller ones arrive, each record once and in order", async (t) => {
  const hub = await startUplinkHub(t);
  const { counts, port } = await startSlowLink(t, hub.port);
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  const numbers = Array.from({ length: RECORDS }, (_, index) => index + 1);
  // As one stored batch: it takes the link some four times as long as it lasts.
  log.append(log.partition(TOPIC, 0), numbers);
  await startUplinkAgent(t, port, { log });
  await untilStored(hub.engine, TOPIC, 0, RECORDS);
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), numbers);
  assert.ok(counts.connections > 3, `${counts.connections} connections`);
  assert.deepEqual(hub.losses, []);
});
