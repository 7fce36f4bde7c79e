/**
 * Claim: an fsync in between costs milliseconds, not more: from the write of the MQTT client to the output of the reader.
 *
 *   load ─MQTT, QoS 1, paced─▶ edge ─▶ hub ─▶ a durable reader       100, 2,000 and 20,000 messages a second
 *
 * Peers: as in pipeline.ts; ours also with `durability: os`, which promises what theirs do. Options: report/rounds.ts.
 */
import { runFlow } from "./measure/flow.ts";
import { inDirectory } from "./measure/scope.ts";
import { costMetrics } from "./measure/usage-pair.ts";
import { mosquittos } from "./peers/mosquitto.ts";
import { natses } from "./peers/nats.ts";
import { tributary } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";

const PAYLOAD_BYTES = 100;
const CLIENTS = 50;
/** Wide, so that the pace decides and not the answers. */
const WINDOW_MAX = 500;
const WARM_UP = { seconds: 2, perSecond: 2000 };
const US_PER_MS = 1000;

const rates = [100, 2000, 20_000] as const;

await runBenchmark({
  name: "latency",
  claim: "Latency from the MQTT client's write to the reader's output, QoS 1, 50 clients, 100 B payloads",
  metrics: [
    { key: "p50", title: "p50 ms", digits: 2, better: "less" },
    { key: "p99", title: "p99 ms", digits: 2, better: "less" },
    { key: "perSecond", title: "messages/s", digits: 0, better: "more" },
    ...costMetrics,
  ],
  contenders: [tributary(), tributary("os"), ...natses(), ...mosquittos()],
  rows: rates.map((perSecond) => ({ name: `${perSecond.toLocaleString("en-US")} messages/s`, perSecond })),
  defaults: { rounds: 3, seconds: 5 },
  measure: (contender, { perSecond }, { seconds }) =>
    inDirectory(async (t, directory) => {
      const pipeline = await contender.start(t, directory);
      const shape = { clients: CLIENTS, windowMax: WINDOW_MAX, qos: 1, payloadBytes: PAYLOAD_BYTES } as const;
      const reader = await pipeline.openReader(t, { payloadBytes: PAYLOAD_BYTES, isTimed: true });
      const parts = { name: contender.name, pipeline, reader };
      await runFlow(t, parts, { ...shape, ...WARM_UP });
      reader.latencies.clear();
      const { load, cost } = await runFlow(t, parts, { ...shape, seconds, perSecond });
      const percentile = (share: number): number => reader.latencies.percentile(share) / US_PER_MS;
      return { p50: percentile(0.5), p99: percentile(0.99), perSecond: load.acked / load.seconds, ...cost };
    }),
});
