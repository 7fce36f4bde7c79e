/**
 * Claim: the whole way costs less than what people use today, with every commit fsynced at the edge.
 *
 *   load ─MQTT, QoS 1─▶ edge ─▶ hub ─▶ a durable reader       each a process of its own, all on the same cores
 *
 * Peers: NATS (a leaf node with MQTT and JetStream, the hub's stream sources its stream) and mosquitto (a bridge).
 * Options: report/rounds.ts.
 */
import { costMetrics } from "./measure/usage-pair.ts";
import { runFlow } from "./measure/flow.ts";
import { inDirectory } from "./measure/scope.ts";
import { mosquittos } from "./peers/mosquitto.ts";
import { natses } from "./peers/nats.ts";
import { tributary } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";

const PAYLOAD_BYTES = 100;
const WARM_UP_SECONDS = 2;

await runBenchmark({
  name: "pipeline",
  claim: "Whole pipeline: MQTT QoS 1 at the edge to a durable reader at the hub, 100 B payloads",
  metrics: [
    { key: "acked", title: "acked/s", digits: 0, better: "more", isGuardedWhenIdle: true },
    { key: "read", title: "read/s", digits: 0, better: "more", isGuardedWhenIdle: true },
    ...costMetrics,
    { key: "loadBusy", title: "load, of a core", digits: 2, better: "less" },
  ],
  contenders: [tributary(), ...natses(), ...mosquittos()],
  rows: [
    { name: "50 clients × window 20", clients: 50, windowMax: 20 },
    { name: "1,000 clients × window 1", clients: 1000, windowMax: 1 },
  ],
  defaults: { rounds: 3, seconds: 5 },
  measure: (contender, { clients, windowMax }, { seconds }) =>
    inDirectory(async (t, directory) => {
      const pipeline = await contender.start(t, directory);
      const reader = await pipeline.openReader(t, { payloadBytes: PAYLOAD_BYTES, isTimed: false });
      const parts = { name: contender.name, pipeline, reader };
      const shape = { clients, windowMax, qos: 1, payloadBytes: PAYLOAD_BYTES } as const;
      await runFlow(t, parts, { ...shape, seconds: WARM_UP_SECONDS });
      const { load, readSeconds, cost } = await runFlow(t, parts, { ...shape, seconds });
      const perSecond = { acked: load.acked / load.seconds, read: load.acked / readSeconds };
      return { ...perSecond, ...cost, loadBusy: load.busyShare };
    }),
});
