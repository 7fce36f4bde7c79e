/** Ourselves: agent and hub as a user starts them, read by kcat (librdkafka) in a consumer group. */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { TestChild } from "../../test/support/child-process.ts";
import type { After } from "../../test/support/clean-up.ts";
import { decodePayload, nowUs } from "../../test/support/payload.ts";
import { startAgent, startHub, TRIBUTARY } from "../../test/support/programs.ts";
import type { HubProgram } from "../../test/support/programs.ts";
import { openAdmin } from "../../test/support/topic-ends.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { Latencies } from "../measure/latencies.ts";
import type { BrokerContender } from "./broker.ts";
import type { Contender, IngestContender, Reader, ReaderOptions } from "./pipeline.ts";

const TOPIC = "bench";
const PARTITIONS = 4;
const OUTPUT_BLOCK_BYTES = 4096;
const BALANCE_MS_MAX = 60_000;

const version = execFileSync(process.execPath, [TRIBUTARY, "--version"], { encoding: "utf8" }).trim();

type Durability = "fsync" | "os";

const route = (durability: Durability) => {
  return { match: "bench/{client}", topic: TOPIC, key: "{client}", partitions: PARTITIONS, durability };
};

const about = (durability: Durability) => ({
  name: durability === "fsync" ? "tributary" : "tributary, durability: os",
  version,
  durability: durability === "fsync" ? "every commit is fsynced before its PUBACKs" : "written, not fsynced",
});

export function tributary(durability: Durability = "fsync"): Contender {
  const start: Contender["start"] = async (t, directory, { between } = {}) => {
    const hub = await startHub(t, { data: path.join(directory, "hub") });
    const admin = await openAdmin(t, hub.kafkaAddress);
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS, replicationFactor: 1 }] });
    const data = path.join(directory, "agent");
    const uplinkPort = (await between?.(hub.httpPort)) ?? hub.httpPort;
    const uplink = { uplinkUrl: `ws://127.0.0.1:${uplinkPort}` };
    const agent = await startAgent(t, { hub: uplink, data, config: { routes: [route(durability)] } });
    return {
      mqttPort: agent.mqttPort,
      uplinkPort,
      edgePid: () => agent.process.pid,
      hubPid: () => hub.process.pid,
      openReader: (scope, options) => openReader(scope, hub, options),
    };
  };
  return { ...about(durability), start };
}

export function tributaryIngest(): IngestContender {
  const start: IngestContender["start"] = async (t, directory) => {
    // Nobody listens on port 1: the hub is away, and everything stays in the log.
    const hub = { uplinkUrl: "ws://127.0.0.1:1" };
    const agent = await startAgent(t, {
      hub,
      data: path.join(directory, "agent"),
      config: { routes: [route("fsync")] },
    });
    return { mqttPort: agent.mqttPort, edgePid: () => agent.process.pid };
  };
  return { ...about("fsync"), start };
}

/**
 * A group of one kcat. Unless times are asked for it only counts, by the length of what comes, because looking at each
 * record would take from what is measured.
 */
async function openReader(t: After, hub: HubProgram, { payloadBytes, isTimed }: ReaderOptions): Promise<Reader> {
  const latencies = new Latencies();
  let bytes = 0;
  let lines = 0;
  const onLine = (line: string): void => {
    lines++;
    latencies.add(nowUs() - decodePayload(line).sentAtUs);
  };
  const output = isTimed ? { onLine } : { onData: (chunk: Buffer) => void (bytes += chunk.length) };
  const format = isTimed ? ["-u", "-f", "%s\\n"] : ["-f", "%s\\n"];
  const args = ["-b", hub.kafkaAddress, "-q", "-X", "auto.offset.reset=earliest", ...format, "-G", TOPIC, TOPIC];
  const child = await TestChild.start(t, { command: "kcat", args, ...output });
  const admin = await openAdmin(t, hub.kafkaAddress);
  await waitUntil(async () => (await admin.describeGroups([TOPIC])).groups[0]?.state === "Stable", {
    what: "the reader to have its partitions",
    deadlineMs: BALANCE_MS_MAX,
    describe: () => child.describe(),
  });
  return {
    count: () => (isTimed ? lines : Math.floor(bytes / (payloadBytes + 1))),
    // What kcat prints only to be counted, it holds back a block at a time.
    heldBackMax: isTimed ? 0 : Math.ceil(OUTPUT_BLOCK_BYTES / payloadBytes),
    latencies,
    close: async () => {
      child.signal("SIGTERM");
      await child.exited;
    },
  };
}

export function tributaryHub(): BrokerContender {
  return {
    name: "tributary",
    version,
    durability: "every commit is fsynced before its answers",
    start: async (t, directory) => {
      const hub = await startHub(t, { data: path.join(directory, "hub") });
      return { address: hub.kafkaAddress, pid: () => hub.process.pid };
    },
  };
}
