/**
 * Claim: an edge that fsyncs before it acknowledges takes in as much as brokers that do not.
 *
 *   load ─MQTT, QoS 0 and 1─▶ edge        nobody reads: the hub is away, and what is stored stays where it is
 *
 * Peers: bare aedes, which stores nothing; mosquitto with persistence; NATS, MQTT into a stream. Options: report/rounds.ts.
 */
import { warnIfLimit } from "./load/busy.ts";
import { prepareLoad, runLoad } from "./load/run-load.ts";
import { readUsage, usageSince } from "./measure/process-usage.ts";
import { inDirectory } from "./measure/scope.ts";
import { bareAedes } from "./peers/aedes.ts";
import { mosquittoIngests } from "./peers/mosquitto.ts";
import { natsIngests } from "./peers/nats.ts";
import { tributaryIngest } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";

const PAYLOAD_BYTES = 100;
const WARM_UP_SECONDS = 2;
const MIB = 1024 * 1024;
const MILLION = 1e6;

const shapes = [
  { clients: 50, windowMax: 20 },
  { clients: 1000, windowMax: 1 },
] as const;

const qualities = [0, 1] as const;
const rows = qualities.flatMap((qos) =>
  shapes.map((shape) => ({ name: `QoS ${qos}, ${shape.clients} × ${shape.windowMax}`, qos, ...shape })),
);

await runBenchmark({
  name: "ingest",
  claim: "Ingest: MQTT into the edge alone, 100 B payloads",
  metrics: [
    { key: "acked", title: "messages/s", digits: 0, better: "more", isGuardedWhenIdle: true },
    { key: "edgeCpu", title: "cpu s/M", digits: 1, better: "less", isGuarded: true },
    { key: "edgeRss", title: "RSS MiB", digits: 0, better: "less" },
    { key: "edgeDisk", title: "disk B/msg", digits: 0, better: "less" },
    { key: "loadBusy", title: "load, of a core", digits: 2, better: "less" },
  ],
  contenders: [tributaryIngest(), bareAedes(), ...natsIngests(), ...mosquittoIngests()],
  rows,
  defaults: { rounds: 3, seconds: 4 },
  measure: (contender, { name, clients, windowMax, qos }, { seconds }) =>
    inDirectory(async (t, directory) => {
      const { mqttPort, edgePid } = await contender.start(t, directory);
      const shape = { port: mqttPort, clients, windowMax, qos, payloadBytes: PAYLOAD_BYTES };
      await runLoad(t, { ...shape, seconds: WARM_UP_SECONDS });
      const prepared = await prepareLoad(t, { ...shape, seconds });
      const before = readUsage(edgePid());
      const load = await prepared.run();
      const used = usageSince(before, readUsage(edgePid()));
      warnIfLimit(`${contender.name}, ${name}`, load);
      return {
        acked: load.acked / load.seconds,
        edgeCpu: (used.cpuSeconds / load.acked) * MILLION,
        edgeRss: used.residentBytes / MIB,
        edgeDisk: used.diskBytes / load.acked,
        loadBusy: load.busyShare,
      };
    }),
});
