/**
 * A link so slow that it breaks before a batch is through: batches get smaller until they arrive. And days of backlog over a
 * modem behind a satellite, twenty times as fast as they come: 256 kbit/s and round trips of 2 s.
 */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import test from "node:test";
import { seededRandom } from "../../../bin/demo/random.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import type { After } from "../../support/clean-up.ts";
import { FarLink } from "../../support/far-link.ts";
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

const SPEED_UP = 20;
const FAR = { bytesPerSecond: (256_000 / 8) * SPEED_UP, delayMs: 2000 / 2 / SPEED_UP };
/** Some five seconds of the link. */
const BACKLOG_BATCHES = 600;
const RECORDS_PER_BATCH = 800;
const BACKLOG = BACKLOG_BATCHES * RECORDS_PER_BATCH;
const BATCH_BYTES_MAX = 256 * 1024;
/** About as much. */
const BATCHES_JOINED_MAX = 24;
/** Enough for the welcome, and not for a batch of that size. */
const FLAP_BYTES = 100_000;
const FLAPS = 4;
/** Of the stored batches: frames, their answers, the hellos. */
const OVERHEAD_SHARE = 0.03;
/** At which shares of the backlog the link breaks again. */
const BREAKS_AT = [0.4, 0.6, 0.8];

test("uplink: days of backlog over a slow and far link -> batches fit it, and no break has anything sent again that the hub has", async (t) => {
  const hub = await startUplinkHub(t);
  const link = await FarLink.open(t, {
    ...FAR,
    targetPort: hub.port,
    lastsBytes: (connection) => (connection < FLAPS ? FLAP_BYTES : Infinity),
  });
  const log = new VirtualLog();
  log.joinMax = BATCHES_JOINED_MAX;
  log.createTopic(TOPIC, 1);
  // Ascending, each further by chance, so that nothing makes them much smaller.
  const random = seededRandom(1);
  let last = 0;
  const numbers = Array.from({ length: BACKLOG }, () => (last += 1 + Math.floor(random.next() * 2 ** 20)));
  for (let batch = 0; batch < BACKLOG_BATCHES; batch++)
    log.append(log.partition(TOPIC, 0), numbers.slice(batch * RECORDS_PER_BATCH, (batch + 1) * RECORDS_PER_BATCH));
  await startUplinkAgent(t, link.port, { log, options: { batchBytesMax: BATCH_BYTES_MAX } });
  for (const share of BREAKS_AT) {
    await untilStored(hub.engine, TOPIC, 0, BACKLOG * share);
    link.break();
  }
  await untilStored(hub.engine, TOPIC, 0, BACKLOG);
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), numbers);
  assert.deepEqual(hub.losses, []);

  const { appends } = hub.engine;
  const arrived = appends.reduce((sum, { header }) => sum + header.recordCount, 0);
  assert.equal(arrived, BACKLOG, "nothing arrives that was stored before");
  const sizes = appends.map(({ batch }) => batch.length);
  const storedBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const [first = 0, most] = [sizes[0], Math.max(...sizes)];
  // Of each break the batch that was under way, and what was in the air.
  const breaks = link.connections - 1;
  const lostBytesMax = breaks * (BATCH_BYTES_MAX + (FAR.bytesPerSecond * FAR.delayMs) / 1000);
  const text = `${appends.length} batches, the first of ${first}, most ${most} bytes; ${storedBytes} bytes stored, ${link.carriedBytes} carried, ${breaks} breaks`;
  t.diagnostic(text);
  assert.ok(first < BATCH_BYTES_MAX / 2 && most > BATCH_BYTES_MAX / 2, text);
  assert.ok(link.carriedBytes < storedBytes * (1 + OVERHEAD_SHARE) + lostBytesMax, text);
});
