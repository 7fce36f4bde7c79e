/** The demo: a hub, an agent and twenty sensors in one process, as far apart as they would be on three machines. */
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startAgent } from "../../agent/agent.ts";
import { loadAgentConfig } from "../../agent/config.ts";
import { loadHubConfig } from "../../hub/config.ts";
import { startHub } from "../../hub/hub.ts";
import type { Logger } from "../../shared/logger.ts";
import { createLogger } from "../../shared/logger.ts";
import { paintFor, write, writeLine } from "../context.ts";
import type { CommandContext } from "../context.ts";
import { parseHubAddress } from "../hub-client/address.ts";
import type { HubAddress } from "../hub-client/address.ts";
import { withAdmin } from "../hub-client/connect.ts";
import { interruptSignal, whenAborted } from "../interrupt.ts";
import { closeInTime } from "../serve.ts";
import type { RunningProgram } from "../serve.ts";
import { Observer } from "./observer.ts";
import { portOrAnyOther } from "./ports.ts";
import { SensorFleet } from "./sensor-fleet.ts";
import { createSensors } from "./sensor-model.ts";
import { renderStatusLine } from "./status-line.ts";
import { renderWelcome } from "./welcome.ts";

export type DemoOptions = { readonly data: string; readonly seed: number };

const HOST = "127.0.0.1";
/** The defaults of hub and agent, so that the commands find the demo without flags. */
const WANTED_PORTS = { http: 7070, kafka: 9092, mqtt: 1883, admin: 7071 } as const;
const portNames = ["http", "kafka", "mqtt", "admin"] as const;
const DEMO_TOPICS = ["climate", "doors", "energy", "machines"] as const;
const PARTITION_COUNT = 4;
const AGENT_CONFIG_FILE = fileURLToPath(new URL("agent.yaml", import.meta.url));
/** Long enough for the first messages to have gone all the way. */
const FIRST_INTERVAL_MS = 2000;
const TERMINAL_INTERVAL_MS = 1000;
const PLAIN_INTERVAL_MS = 5000;
/** Back to the first column and clear what is there. */
const REDRAW = "\r\u001b[K";

type Stoppable = { readonly name: string; readonly close: () => Promise<void> };

/** Runs until Ctrl-C. @throws StreamError when a part cannot start or fails later. */
export async function runDemo(options: DemoOptions, context: CommandContext): Promise<void> {
  const interrupt = interruptSignal(context);
  const started: Stoppable[] = [];
  try {
    const parts = await startParts(options, context, started);
    const status = showStatus(parts, options, { context, signal: interrupt.signal });
    const stopStatus = async (): Promise<void> => {
      interrupt.end();
      // Its failure, if that is what ended the demo, goes up from the race below.
      await status.catch(() => undefined);
    };
    started.push({ name: "consumer", close: stopStatus });
    const failure = await Promise.race([parts.hub.failed, parts.agent.failed, status, whenAborted(interrupt.signal)]);
    if (failure instanceof Error) throw failure;
  } finally {
    // In reverse: the consumer leaves its group, the sensors fall silent, and the agent closes before the hub.
    for (const part of started.toReversed()) await closeInTime(part.name, part);
    interrupt.dispose();
  }
  await writeLine(
    context.stdout,
    `\nStopped. The data stays in ${options.data}; start again and it goes on from there.`,
  );
}

type Parts = { readonly hub: RunningProgram; readonly agent: RunningProgram; readonly fleet: SensorFleet };

async function startParts(options: DemoOptions, context: CommandContext, started: Stoppable[]): Promise<Parts> {
  // Warnings and errors only: the status line tells the rest.
  const logger: Logger = createLogger("demo", "warn");
  const { clock } = context;
  const ports = await choosePorts(context);
  // The environment is left out: the demo is the same everywhere.
  const hubFlags = {
    data: path.join(options.data, "hub"),
    http: `${HOST}:${ports.http}`,
    kafka: `${HOST}:${ports.kafka}`,
  };
  const { config: hubConfig } = loadHubConfig({ flags: hubFlags, env: {} });
  const hub = await startHub(hubConfig, { logger: logger.child({ part: "hub" }), clock });
  started.push({ name: "hub", close: () => hub.close() });
  await createTopics(kafkaAddressOf(hub));
  const agentFlags = {
    data: path.join(options.data, "agent"),
    mqtt: `${HOST}:${ports.mqtt}`,
    admin: `${HOST}:${ports.admin}`,
    hub: `ws://${hub.addresses.http}`,
  };
  const { config: agentConfig } = loadAgentConfig({ flags: agentFlags, env: {}, file: AGENT_CONFIG_FILE });
  const agent = await startAgent(agentConfig, { logger: logger.child({ part: "agent" }), clock });
  started.push({ name: "agent", close: () => agent.close() });
  const welcome = { addresses: { ...hub.addresses, ...agent.addresses }, data: options.data, env: context.env };
  await writeLine(context.stdout, renderWelcome({ ...welcome, paint: paintFor(context.stdout, context.env) }));
  const fleet = new SensorFleet(clock);
  started.push({ name: "sensors", close: () => fleet.stop(false) });
  await fleet.start(`mqtt://${agent.addresses["mqtt"]}`, createSensors(options.seed));
  return { hub, agent, fleet };
}

async function choosePorts(context: CommandContext): Promise<Record<keyof typeof WANTED_PORTS, number>> {
  const chosen: Record<keyof typeof WANTED_PORTS, number> = { ...WANTED_PORTS };
  for (const name of portNames) {
    chosen[name] = await portOrAnyOther(HOST, WANTED_PORTS[name]);
  }
  const taken = portNames.filter((name) => chosen[name] === 0).map((name) => `${WANTED_PORTS[name]} (${name})`);
  if (taken.length > 0) {
    const list = new Intl.ListFormat("en").format(taken);
    await writeLine(context.stdout, `Taken by another program: port ${list}. Free ones are used instead, see below.\n`);
  }
  return chosen;
}

const kafkaAddressOf = (hub: RunningProgram): HubAddress => parseHubAddress(hub.addresses["kafka"] ?? "");

/** Before the first message, so that the demo's consumer group finds them all. */
async function createTopics(kafka: HubAddress): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const missing = DEMO_TOPICS.filter((topic) => !existing.has(topic));
    if (missing.length > 0) await admin.createTopics({ topics: missing, partitions: PARTITION_COUNT, replicas: -1 });
  });
}

/** Draws the live line until the signal comes; returns or throws what ends it otherwise. */
async function showStatus(
  parts: Parts,
  options: DemoOptions,
  { context, signal }: { context: CommandContext; signal: AbortSignal },
): Promise<void> {
  const isTerminal = context.stdout.isTTY === true;
  const observer = new Observer({
    kafka: kafkaAddressOf(parts.hub),
    topics: DEMO_TOPICS,
    fleet: parts.fleet,
    directories: ["hub", "agent"].map((name) => path.join(options.data, name)),
    adminAddress: parts.agent.addresses["admin"] ?? "",
    clock: context.clock,
    signal,
  });
  const reading = observer.read();
  try {
    await Promise.race([reading, redraw(observer, { context, signal, isTerminal })]);
  } finally {
    await observer.close();
  }
  await reading;
}

async function redraw(
  observer: Observer,
  { context, signal, isTerminal }: { context: CommandContext; signal: AbortSignal; isTerminal: boolean },
): Promise<void> {
  let before = await observer.look();
  let intervalMs = FIRST_INTERVAL_MS;
  // An abort ends the wait early, with false.
  while (await delay(intervalMs, true, { signal }).catch(() => false)) {
    intervalMs = isTerminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS;
    const now = await observer.look();
    const line = renderStatusLine(before, now, isTerminal ? context.stdout.columns : undefined);
    before = now;
    if (isTerminal) await write(context.stdout, `${REDRAW}${line}`);
    else await writeLine(context.stdout, line);
  }
}
