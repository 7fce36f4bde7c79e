/**
 * Claim: what an outage has left at the edge is at the reader soon, and the first of it at once.
 *
 *   the link is cut ─▶ 1,000,000 messages into the edge ─▶ the link is back ─▶ first message at the reader ─▶ last
 *
 * The rate counts from the first message on. The reader stays with the hub all the while. Times count from the moment at which the link accepts connections again, so
 * that the edge's patience between two attempts is part of them. The link is a proxy in the benchmark's own process.
 * Peers: as in pipeline.ts. Options: report/rounds.ts; `--seconds` has no meaning here.
 */
import { warnIfLimit } from "./load/busy.ts";
import { runLoad } from "./load/run-load.ts";
import { runFlow } from "./measure/flow.ts";
import { inDirectory } from "./measure/scope.ts";
import { costPerMessage, readPair } from "./measure/usage-pair.ts";
import { Link } from "./peers/link.ts";
import { mosquittos } from "./peers/mosquitto.ts";
import { natses } from "./peers/nats.ts";
import { tributary } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";
import { waitUntil } from "../test/support/wait-until.ts";

const PAYLOAD_BYTES = 100;
const SHAPE = { clients: 50, windowMax: 100, qos: 1, payloadBytes: PAYLOAD_BYTES } as const;
const WARM_UP_SECONDS = 1;
const LOAD_SECONDS_MAX = 180;
const DRAIN_MS_MAX = 180_000;
const MIB = 1024 * 1024;

await runBenchmark({
  name: "drain",
  claim: "Drain after an outage: 100 B payloads, QoS 1, taken in while the hub was away",
  metrics: [
    { key: "rate", title: "messages/s", digits: 0, better: "more", isGuardedWhenIdle: true },
    { key: "all", title: "all after s", digits: 2, better: "less" },
    { key: "first", title: "first after s", digits: 2, better: "less" },
    { key: "edgeCpu", title: "edge cpu s/M", digits: 1, better: "less", isGuarded: true },
    { key: "hubCpu", title: "hub cpu s/M", digits: 1, better: "less", isGuarded: true },
    { key: "edgeRssFull", title: "edge RSS with backlog MiB", digits: 0, better: "less" },
    { key: "missing", title: "missing", digits: 0, better: "less" },
  ],
  contenders: [tributary(), ...natses(), ...mosquittos()],
  rows: [{ name: "1,000,000 messages", messages: 1_000_000 }],
  defaults: { rounds: 3, seconds: 0 },
  measure: (contender, { messages }) =>
    inDirectory(async (t, directory) => {
      let link: Link | undefined;
      const between = async (hubPort: number): Promise<number> => (link = await Link.open(t, hubPort)).port;
      const pipeline = await contender.start(t, directory, { between });
      const reader = await pipeline.openReader(t, { payloadBytes: PAYLOAD_BYTES, isTimed: false });
      const warmUp = await runFlow(
        t,
        { name: contender.name, pipeline, reader },
        { ...SHAPE, seconds: WARM_UP_SECONDS },
      );
      link?.cut();
      const load = await runLoad(t, { ...SHAPE, port: pipeline.mqttPort, seconds: LOAD_SECONDS_MAX, messages });
      warnIfLimit(contender.name, load);
      if (load.acked !== messages) throw new Error(`${contender.name} took in ${load.acked} of ${messages}`);
      const before = readPair(pipeline);

      const readBefore = reader.count();
      if (readBefore > warmUp.load.acked)
        throw new Error(`${contender.name} went round the link that was cut: ${readBefore} of ${warmUp.load.acked}`);
      const count = (): number => reader.count() - readBefore;
      await link?.heal();
      const startMs = performance.now();
      const wait = { deadlineMs: DRAIN_MS_MAX, describe: () => `${count()} of ${messages}` };
      // What the reader held back of the messages before is not one of these.
      await waitUntil(() => count() > reader.heldBackMax, { ...wait, what: `${contender.name}'s first message` });
      const firstSeconds = (performance.now() - startMs) / 1000;
      const arrived = await lastArrival(count, messages - reader.heldBackMax);
      const { edgeCpu, hubCpu } = costPerMessage(before, readPair(pipeline), messages);
      return {
        rate: arrived.count / ((arrived.atMs - startMs) / 1000 - firstSeconds),
        all: (arrived.atMs - startMs) / 1000,
        first: firstSeconds,
        edgeCpu: edgeCpu ?? Number.NaN,
        hubCpu: hubCpu ?? Number.NaN,
        edgeRssFull: before.edge.residentBytes / MIB,
        missing: Math.max(0, messages - reader.heldBackMax - arrived.count),
      };
    }),
});

/** Until all have come, or nothing more does: a contender that loses messages is told so, and not waited for. */
async function lastArrival(count: () => number, wanted: number): Promise<{ count: number; atMs: number }> {
  const quietMsMax = 60_000;
  let last = { count: count(), atMs: performance.now() };
  await waitUntil(
    () => {
      if (count() !== last.count) last = { count: count(), atMs: performance.now() };
      return last.count >= wanted || performance.now() - last.atMs > quietMsMax;
    },
    { what: "the last message", deadlineMs: DRAIN_MS_MAX, describe: () => `${last.count} of ${wanted}` },
  );
  return last;
}
