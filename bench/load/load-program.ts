/**
 * The load, in a process of its own: connects the clients that the one argument (JSON) describes, says "ready", publishes
 * from the end of its stdin on, and prints what it did as one line of JSON.
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Publisher } from "./publisher.ts";

export type Load = {
  readonly port: number;
  readonly clients: number;
  readonly windowMax: number;
  readonly qos: 0 | 1;
  readonly payloadBytes: number;
  /** Until then, or until `messages` are sent. */
  readonly seconds: number;
  readonly messages?: number;
  /** Of all clients together; without it, as fast as the windows let them. */
  readonly perSecond?: number;
};

export type LoadResult = {
  readonly acked: number;
  readonly seconds: number;
  /** Of one core, that the load itself took; near 1 the load was the limit. */
  readonly busyShare: number;
  /** Messages that were due and not sent, because the windows were full. */
  readonly late: number;
};

const CONNECT_AT_ONCE = 50;
const ANSWERS_MS_MAX = 30_000;
const POLL_MS = 2;
const PACE_MS = 1;
const US_PER_SECOND = 1e6;
/** Of all clients' rings: far more than a batch of any log, and little memory. */
const RING_PACKETS_ALL = 60_000;
const RING_PACKETS_MAX = 65_535;

const load = JSON.parse(process.argv[2] ?? "{}") as Load;
const { clients, windowMax, perSecond } = load;
const isPaced = perSecond !== undefined;

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function connectAll(): Promise<Publisher[]> {
  const length = Math.min(RING_PACKETS_MAX, Math.max(2 * windowMax, Math.ceil(RING_PACKETS_ALL / clients)));
  const publishers: Publisher[] = [];
  while (publishers.length < clients) {
    const count = Math.min(CONNECT_AT_ONCE, clients - publishers.length);
    const first = publishers.length;
    const more = Array.from({ length: count }, (_, index) => {
      const clientId = `c${String(first + index).padStart(4, "0")}`;
      const { port, qos, payloadBytes } = load;
      const ring = { clientId, topic: `bench/${clientId}`, qos, payloadBytes, length };
      return Publisher.connect({ ...ring, port, windowMax, isPaced }, fail);
    });
    publishers.push(...(await Promise.all(more)));
  }
  return publishers;
}

/** Grants by the clock, not by the tick, so that late ticks do not slow the load down. */
async function pace(publishers: readonly Publisher[], rate: number): Promise<void> {
  const startMs = performance.now();
  let granted = 0;
  while (performance.now() - startMs < load.seconds * 1000) {
    const due = Math.floor(((performance.now() - startMs) * rate) / 1000);
    for (; granted < due; granted++) publishers[granted % publishers.length]?.allow(1);
    await delay(PACE_MS);
  }
}

async function hurry(publishers: readonly Publisher[]): Promise<void> {
  const each = load.messages === undefined ? Infinity : load.messages / clients;
  for (const publisher of publishers) publisher.allow(each);
  const startMs = performance.now();
  const acked = (): number => publishers.reduce((sum, { ackedCount }) => sum + ackedCount, 0);
  while (performance.now() - startMs < load.seconds * 1000) {
    await delay(load.messages === undefined ? load.seconds * 1000 : POLL_MS);
    if (load.messages !== undefined && acked() >= load.messages) return;
  }
}

const publishers = await connectAll();
process.stdout.write("ready\n");
process.stdin.resume();
await once(process.stdin, "end");
const cpuBefore = process.cpuUsage();
const startMs = performance.now();
await (perSecond === undefined ? hurry(publishers) : pace(publishers, perSecond));
const unsent = publishers.reduce((sum, publisher) => sum + publisher.stop(), 0);
const lastMs = performance.now() + ANSWERS_MS_MAX;
while (publishers.some(({ inFlight }) => inFlight > 0)) {
  if (performance.now() > lastMs) fail(new Error(`unanswered after ${ANSWERS_MS_MAX} ms`));
  await delay(POLL_MS);
}
const seconds = (performance.now() - startMs) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
const result: LoadResult = {
  acked: publishers.reduce((sum, { ackedCount }) => sum + ackedCount, 0),
  seconds,
  busyShare: (user + system) / US_PER_SECOND / seconds,
  late: isPaced ? unsent : 0,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
for (const publisher of publishers) publisher.close();
