/**
 * Measures the whole path: MQTT clients ─▶ agent ─▶ hub ─▶ a consumer group, each a process of its own.
 *
 *   node bench/pipeline.ts [--clients 50] [--window 20] [--seconds 12] [--data DIR]
 *
 * QoS 1, payloads of 100 bytes, every commit fsynced at the edge; the reader is kcat (librdkafka). Three phases after a
 * warm-up: as fast as the windows let the clients, then 20,000 and 2,000 messages a second, with the latency from the
 * sensor's write to the consumer's output. Everything shares the machine's cores, load and reader too. The payload is a
 * few changing digits and constant padding: it compresses as the readings of a sensor do, or somewhat better.
 */
import { cpus, tmpdir } from "node:os";
import path from "node:path";
import { mkdtempSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { renderTable } from "../bin/table.ts";
import { TestChild } from "../test/support/child-process.ts";
import { onCleanUp } from "../test/support/clean-up.ts";
import type { After } from "../test/support/clean-up.ts";
import { decodePayload, nowUs } from "../test/support/payload.ts";
import { startAgent, startHub } from "../test/support/programs.ts";
import type { AgentProgram, HubProgram } from "../test/support/programs.ts";
import { openAdmin, recordCount } from "../test/support/topic-ends.ts";
import { waitUntil } from "../test/support/wait-until.ts";
import { Latencies } from "./latency.ts";
import type { Load, LoadResult } from "./pipeline-load.ts";
import { readUsage, usageSince } from "./process-usage.ts";
import type { Usage } from "./process-usage.ts";

const LOAD_PROGRAM = fileURLToPath(new URL("pipeline-load.ts", import.meta.url));
const PAYLOAD_BYTES = 100;
const WARM_UP_SECONDS = 3;
const OUTPUT_BLOCK_BYTES = 4096;
const DRAIN_MS_MAX = 60_000;
const MIB = 1024 * 1024;
const US_PER_MS = 1000;
const MILLION = 1e6;

type Phase = { readonly name: string; readonly seconds: number; readonly perSecond?: number };

type Programs = { readonly hub: HubProgram; readonly agent: AgentProgram };

type PhaseResult = {
  readonly phase: Phase;
  readonly messages: number;
  /** Until the last PUBACK. */
  readonly publishSeconds: number;
  /** Until the group had the last record. */
  readonly readSeconds: number;
  /** Empty where the reader only counted. */
  readonly latencies: Latencies;
  readonly agent: Usage;
  readonly hub: Usage;
};

type Reader = { readonly child: TestChild; readonly count: () => number; readonly latencies: Latencies };

/**
 * A group of one kcat. Unpaced it only counts, by the length of what comes, because looking at each record would take
 * from what is measured.
 */
async function startReader(
  t: After,
  hub: HubProgram,
  { topic, isTimed }: { topic: string; isTimed: boolean },
): Promise<Reader> {
  const latencies = new Latencies();
  let bytes = 0;
  const output = isTimed
    ? { onLine: (line: string) => latencies.add(nowUs() - decodePayload(line).sentAtUs) }
    : { onData: (chunk: Buffer) => void (bytes += chunk.length) };
  const format = isTimed ? ["-u", "-f", "%s\\n"] : ["-f", "%s\\n"];
  const start = ["-X", "auto.offset.reset=earliest"];
  const args = ["-b", hub.kafkaAddress, "-q", ...start, ...format, "-G", topic, topic];
  const child = await TestChild.start(t, { command: "kcat", args, ...output });
  const count = (): number => (isTimed ? latencies.count : Math.floor(bytes / (PAYLOAD_BYTES + 1)));
  return { child, count, latencies };
}

async function runLoad(t: After, load: Load): Promise<LoadResult> {
  const lines: string[] = [];
  const args = [LOAD_PROGRAM, JSON.stringify(load)];
  const child = await TestChild.start(t, { command: process.execPath, args, onLine: (line) => lines.push(line) });
  const { code } = await child.exited;
  if (code !== 0 || lines[0] === undefined) throw new Error(`the load failed: ${child.describe()}`);
  return JSON.parse(lines[0]) as LoadResult;
}

async function runPhase(
  t: After,
  { hub, agent }: Programs,
  { phase, shape }: { readonly phase: Phase; readonly shape: Pick<Load, "clients" | "windowMax"> },
): Promise<PhaseResult> {
  const topic = `bench-${phase.name}`;
  const admin = await openAdmin(t, hub.kafkaAddress);
  await admin.createTopics({ topics: [{ topic, numPartitions: 4, replicationFactor: 1 }] });
  const reader = await startReader(t, hub, { topic, isTimed: phase.perSecond !== undefined });
  await waitUntil(async () => (await admin.describeGroups([topic])).groups[0]?.state === "Stable", {
    what: "the reader to have its partitions",
    deadlineMs: DRAIN_MS_MAX,
    describe: () => reader.child.describe(),
  });
  const usage = () => ({ agent: readUsage(agent.process.pid), hub: readUsage(hub.process.pid) });
  const before = usage();
  const startMs = performance.now();
  const { perSecond, seconds } = phase;
  const pace = perSecond === undefined ? {} : { perSecond };
  const target = { port: agent.mqttPort, topicPrefix: `bench/${phase.name}`, payloadBytes: PAYLOAD_BYTES };
  const load = await runLoad(t, { ...target, ...shape, ...pace, seconds });
  // What kcat prints unpaced, only to be counted, it holds back a block at a time.
  const expected = perSecond === undefined ? load.acked - Math.ceil(OUTPUT_BLOCK_BYTES / PAYLOAD_BYTES) : load.acked;
  await waitUntil(() => reader.count() >= expected, {
    what: "all records at the group",
    deadlineMs: DRAIN_MS_MAX,
    describe: () => `${reader.count()} of ${load.acked}`,
  });
  const readSeconds = (performance.now() - startMs) / 1000;
  const after = usage();
  reader.child.signal("SIGTERM");
  await reader.child.exited;
  const stored = await recordCount(admin, topic);
  if (stored !== load.acked || load.resent !== 0 || reader.count() > load.acked) {
    const sent = `${load.acked} acknowledged, ${load.resent} of them sent again`;
    throw new Error(`${sent}, ${stored} at the hub, ${reader.count()} read`);
  }
  return {
    phase,
    messages: load.acked,
    publishSeconds: load.seconds,
    readSeconds,
    latencies: reader.latencies,
    agent: usageSince(before.agent, after.agent),
    hub: usageSince(before.hub, after.hub),
  };
}

const number = (value: number, digits = 0): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

function resultRow(result: PhaseResult): string[] {
  const { phase, messages, publishSeconds, readSeconds, latencies, agent, hub } = result;
  const percentile = (share: number): string =>
    latencies.count === 0 ? "" : number(latencies.percentile(share) / US_PER_MS, 2);
  return [
    phase.name,
    number(messages),
    number(messages / publishSeconds),
    number(messages / readSeconds),
    percentile(0.5),
    percentile(0.99),
    percentile(1),
    ...[agent, hub].flatMap((usage) => [
      number((usage.cpuSeconds / messages) * MILLION, 1),
      number(usage.diskBytes / messages),
      number(usage.writtenBytes / messages),
      number(usage.residentBytes / MIB),
    ]),
  ];
}

const columns = [
  { title: "phase" },
  ...[
    "messages",
    "acked/s",
    "read/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    ...["agent", "hub"].flatMap((who) => [`${who} cpu s/M`, "disk B/msg", "write B/msg", "RSS MiB"]),
  ].map((title) => ({ title, align: "right" as const })),
];

async function run(t: After): Promise<void> {
  const options = { clients: "50", window: "20", seconds: "12", data: tmpdir() };
  const { values } = parseArgs({
    options: {
      clients: { type: "string", default: options.clients },
      window: { type: "string", default: options.window },
      seconds: { type: "string", default: options.seconds },
      data: { type: "string", default: options.data },
    },
  });
  const shape = { clients: Number(values.clients), windowMax: Number(values.window) };
  const seconds = Number(values.seconds);
  const phases: readonly Phase[] = [
    { name: "warm-up", seconds: WARM_UP_SECONDS },
    { name: "unpaced", seconds },
    { name: "20000-per-s", seconds, perSecond: 20_000 },
    { name: "2000-per-s", seconds, perSecond: 2000 },
  ];
  const directory = mkdtempSync(path.join(values.data, "tributary-bench-"));
  const hub = await startHub(t, { data: path.join(directory, "hub") });
  const route = { match: "bench/{phase}/{client}", topic: "bench-{phase}", key: "{client}" };
  const agent = await startAgent(t, { hub, data: path.join(directory, "agent"), config: { routes: [route] } });
  onCleanUp(t, () => rmSync(directory, { recursive: true, force: true }));

  const idle = [agent, hub].map((program) => number(readUsage(program.process.pid).residentBytes / MIB));
  print(`${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}, Node ${process.version}`);
  print(
    `${shape.clients} clients × window ${shape.windowMax}, ${PAYLOAD_BYTES} B payloads, QoS 1, data in ${values.data}`,
  );
  print(`idle: agent ${idle[0]} MiB, hub ${idle[1]} MiB\n`);
  const results: PhaseResult[] = [];
  for (const phase of phases) results.push(await runPhase(t, { hub, agent }, { phase, shape }));
  const rows = results.slice(1).map(resultRow);
  print(renderTable(columns, rows).join("\n"));
  const peaks = [agent, hub].map((program) => number(readUsage(program.process.pid).residentBytesPeak / MIB));
  print(`\npeak RSS: agent ${peaks[0]} MiB, hub ${peaks[1]} MiB`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const cleanUps: (() => unknown)[] = [];
try {
  await run({ after: (cleanUp: () => unknown) => void cleanUps.push(cleanUp) });
} finally {
  for (const cleanUp of cleanUps) await cleanUp();
}
