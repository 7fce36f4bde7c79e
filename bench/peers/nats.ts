/**
 * NATS as its makers describe it for the edge: a leaf node with MQTT and a JetStream domain of its own, whose stream the
 * hub's stream sources; file storage at both. JetStream fsyncs every two minutes (its default, sync_interval).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TestChild } from "../../test/support/child-process.ts";
import type { After } from "../../test/support/clean-up.ts";
import { freePort } from "../../test/support/free-port.ts";
import { decodePayload, nowUs } from "../../test/support/payload.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { Latencies } from "../measure/latencies.ts";
import { findPrograms, sayMissing } from "./find-program.ts";
import { NatsClient } from "./nats-client.ts";
import type { Contender, IngestContender, Reader, StartOptions } from "./pipeline.ts";
import { startPeer } from "./server.ts";

/** Of one pull; the next is asked for when half of it has come, so that the reader never waits for a round trip. */
const PULL_MESSAGES = 2000;
const PULL_EXPIRES_NS = 30e9;
const JETSTREAM_MS_MAX = 20_000;
const READER = { stream: "HUB", durable: "reader" };

type Stream = {
  readonly name: string;
  readonly storage: "file";
  readonly subjects?: readonly string[];
  readonly sources?: readonly { readonly name: string; readonly external: { readonly api: string } }[];
};

type Edge = { readonly server: TestChild; readonly mqttPort: number };

async function startEdge(t: After, program: string, directory: string, remotePort?: number): Promise<Edge> {
  const [port, mqttPort] = [await freePort(), await freePort()];
  const remote =
    remotePort === undefined ? "" : `leafnodes { remotes [ { url: "nats-leaf://127.0.0.1:${remotePort}" } ] }`;
  const server = await startServer(t, { program, directory, ports: [port, mqttPort] }, [
    `listen: "127.0.0.1:${port}"`,
    "server_name: edge",
    `jetstream { domain: edge, store_dir: ${JSON.stringify(directory)} }`,
    `mqtt { listen: "127.0.0.1:${mqttPort}" }`,
    remote,
  ]);
  const client = await NatsClient.connect(t, port);
  await createStream(client, { name: "EDGE", subjects: ["bench.>"], storage: "file" });
  client.close();
  return { server, mqttPort };
}

async function createStream(client: NatsClient, stream: Stream): Promise<void> {
  // JetStream comes up after the listener does.
  await waitUntil(() => client.request(`$JS.API.STREAM.CREATE.${stream.name}`, stream), {
    what: `the stream ${stream.name}`,
    deadlineMs: JETSTREAM_MS_MAX,
  });
}

function startServer(
  t: After,
  { program, directory, ports }: { program: string; directory: string; ports: readonly number[] },
  lines: readonly string[],
): Promise<TestChild> {
  mkdirSync(directory, { recursive: true });
  const file = path.join(directory, "nats.conf");
  writeFileSync(file, `${lines.join("\n")}\n`);
  return startPeer(t, { command: program, args: ["-c", file] }, ports);
}

async function openReader(t: After, port: number, isTimed: boolean): Promise<Reader> {
  const latencies = new Latencies();
  let count = 0;
  let wanted = 0;
  const client = await NatsClient.connect(t, port);
  const config = { durable_name: READER.durable, ack_policy: "all", deliver_policy: "all", max_ack_pending: -1 };
  const create = `$JS.API.CONSUMER.DURABLE.CREATE.${READER.stream}.${READER.durable}`;
  await client.request(create, { stream_name: READER.stream, config });
  const inbox = "_INBOX.reader";
  const pull = (): void => {
    const next = `$JS.API.CONSUMER.MSG.NEXT.${READER.stream}.${READER.durable}`;
    wanted += PULL_MESSAGES;
    client.publish(next, JSON.stringify({ batch: PULL_MESSAGES, expires: PULL_EXPIRES_NS }), inbox);
  };
  client.subscribe(inbox, ({ payload, reply, isStatus }) => {
    if (isStatus) {
      // The pull has ended before it was full.
      wanted = count;
      return pull();
    }
    count++;
    if (isTimed) latencies.add(nowUs() - decodePayload(payload.toString("latin1")).sentAtUs);
    if (wanted - count > PULL_MESSAGES / 2) return;
    client.publish(reply, "+ACK");
    pull();
  });
  pull();
  return { count: () => count, heldBackMax: 0, latencies, close: async () => client.close() };
}

async function start(
  t: After,
  program: string,
  { directory, between }: { readonly directory: string } & StartOptions,
): ReturnType<Contender["start"]> {
  const [port, hubPort] = [await freePort(), await freePort()];
  const uplinkPort = (await between?.(hubPort)) ?? hubPort;
  const hubDirectory = path.join(directory, "hub");
  const hub = await startServer(t, { program, directory: hubDirectory, ports: [port, hubPort] }, [
    `listen: "127.0.0.1:${port}"`,
    "server_name: hub",
    `jetstream { domain: hub, store_dir: ${JSON.stringify(hubDirectory)} }`,
    `leafnodes { listen: "127.0.0.1:${hubPort}", advertise: "127.0.0.1:${uplinkPort}" }`,
  ]);
  const edge = await startEdge(t, program, path.join(directory, "edge"), uplinkPort);
  // The hub tells the edge where else it can be reached; its own port would be a way round a link that is cut.
  const client = await NatsClient.connect(t, port);
  const external = { api: "$JS.edge.API" };
  await createStream(client, { name: READER.stream, storage: "file", sources: [{ name: "EDGE", external }] });
  client.close();
  return {
    mqttPort: edge.mqttPort,
    uplinkPort,
    edgePid: () => edge.server.pid,
    hubPid: () => hub.pid,
    openReader: (scope, { isTimed }) => openReader(scope, port, isTimed),
  };
}

function programs(): readonly string[] {
  const found = findPrograms("nats-server", "BENCH_NATS_SERVER");
  if (found.length === 0) sayMissing("NATS", "BENCH_NATS_SERVER");
  return found;
}

function about(program: string) {
  const said = execFileSync(program, ["--version"], { encoding: "utf8" });
  const version = /v(\d\S+)/.exec(said)?.[1] ?? "of unknown version";
  return { name: `NATS ${version}`, version, durability: "written to files; fsync every 2 min" };
}

export function natses(): readonly Contender[] {
  return programs().map((program) => ({
    ...about(program),
    start: (t, directory, options = {}) => start(t, program, { directory, ...options }),
  }));
}

export function natsIngests(): readonly IngestContender[] {
  return programs().map((program) => ({
    ...about(program),
    start: async (t, directory) => {
      const { server, mqttPort } = await startEdge(t, program, directory);
      return { mqttPort, edgePid: () => server.pid };
    },
  }));
}
