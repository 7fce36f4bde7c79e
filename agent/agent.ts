/**
 * The agent on one page: its parts, the order in which they start, and how a failed disk ends the program.
 *
 *   log ▶ uplink ▶ ingest ▶ MQTT listener, bridge
 *                         ▶ admin pages
 *
 * The uplink does not wait for the hub: an agent without network starts, stores, and forwards when it can.
 */
import packageJson from "../package.json" with { type: "json" };
import type { Clock } from "../shared/clock.ts";
import { formatListenAddress } from "../shared/config/listen-address.ts";
import { toStreamError } from "../shared/errors.ts";
import type { StreamError } from "../shared/errors.ts";
import type { Offset } from "../shared/ids.ts";
import { Lifecycle } from "../shared/lifecycle.ts";
import type { LogPartition } from "../shared/log/partitioned-log.ts";
import { tellLog } from "../shared/log/tell-log.ts";
import { WorkerLog } from "../shared/log/worker-log.ts";
import type { Logger } from "../shared/logger.ts";
import { workerFile } from "../shared/worker-file.ts";
import { divideDisk } from "./buffer/disk-budget.ts";
import { DiskUse } from "./buffer/disk-use.ts";
import { Expiry } from "./buffer/expiry.ts";
import { diskBytesWritten } from "./admin/disk-writes.ts";
import { AdminHttpServer } from "./admin/http.ts";
import { StatusCollector } from "./admin/status.ts";
import type { AgentConfig } from "./config.ts";
import { DuplicateWindow } from "./ingest/duplicate-window.ts";
import { Ingest } from "./ingest/ingest.ts";
import { LossLedger } from "./ledger/loss-ledger.ts";
import { QosTwoPackets } from "./ingest/qos-two-packets.ts";
import { compileRoutes, policyOf } from "./ingest/route.ts";
import type { Route } from "./ingest/route.ts";
import type { Bridge } from "./mqtt/bridge.ts";
import { MqttListener } from "./mqtt/listener.ts";
import { EpochStore, logEnds } from "./uplink/epoch-store.ts";
import { AgentClock } from "./time/agent-clock.ts";
import { trimBytesOf } from "./uplink/cursors.ts";
import { Uplink } from "./uplink/uplink-runner.ts";

export type AgentParts = { readonly logger: Logger; readonly clock: Clock };

export type RunningAgent = {
  /** HOST:PORT as really bound. */
  readonly addresses: { readonly mqtt: string; readonly mqttWebSocket?: string; readonly admin: string };
  /** Resolves when the agent cannot go on: its disk failed. */
  readonly failed: Promise<Error>;
  /** Stops accepting, commits, acknowledges, closes the log. */
  close(): Promise<void>;
};

/** The parts that the others are built on. */
type Core = AgentParts & {
  readonly config: AgentConfig;
  readonly routes: readonly Route[];
  readonly log: WorkerLog;
  readonly qosTwo: QosTwoPackets;
  readonly ledger: LossLedger;
  readonly space: DiskUse;
  readonly uplink: Uplink | undefined;
  readonly time: AgentClock;
};

/** @throws StreamError LOG_LOCKED, LOG_VERSION, PORT_IN_USE, … after everything that had started was stopped. */
export async function startAgent(config: AgentConfig, { logger, clock }: AgentParts): Promise<RunningAgent> {
  const lifecycle = new Lifecycle({ logger, clock });
  const failed = Promise.withResolvers<Error>();
  let failure: StreamError | undefined;
  let isStopping = false;
  let status: StatusCollector | undefined;
  const { routes } = compileRoutes(config.routes);
  warnOfWeakRoutes(routes, logger);

  const parts = { logger, clock };
  const core = await startCore(lifecycle, {
    ...{ ...parts, config, routes },
    onFatal: (error) => {
      failure = toStreamError(error);
      logger.error({ err: error, code: failure.code, hint: failure.hint }, "the log failed; the agent stops");
      failed.resolve(error);
    },
    statusReport: () => status?.summary() ?? {},
  });
  const { log, space, ledger, uplink, time } = core;
  const ingest = await lifecycle.start({
    name: "the ingest",
    start: () => createIngest(core),
    stop: (part) => part.stop(),
  });
  const mqtt = createListener(core, ingest);
  const bound = await lifecycle.start({
    name: "the MQTT listener",
    start: () => mqtt.start(),
    stop: () => mqtt.close(),
    // It grants its clients the answers to what is on its way to the disk.
    stopMsMax: 7000,
  });
  await lifecycle.start({ name: "the bridge", start: () => startBridge(core, ingest), stop: (part) => part?.close() });
  status = new StatusCollector({
    version: packageJson.version,
    clock: time,
    time,
    log,
    space,
    ingest,
    integrity: () => log.integrity,
    ledger,
    uplink,
    mqtt: { stats: () => mqttCounts(mqtt) },
    diskBytesWritten: () => diskBytesWritten(config.data.dir),
    failure: () => (isStopping ? { code: "CLOSING", message: "the agent is stopping" } : failure),
  });
  const admin = new AdminHttpServer({ ...config.admin.listen, logger, status });
  const adminAddress = await lifecycle.start({
    name: "the admin listener",
    start: () => admin.start(),
    stop: async () => {
      status?.stop();
      await admin.close();
    },
  });
  const addresses = {
    mqtt: formatListenAddress(bound.mqtt),
    ...(bound.webSocket === undefined ? {} : { mqttWebSocket: formatListenAddress(bound.webSocket) }),
    admin: formatListenAddress(adminAddress),
  };
  logger.info({ ...addresses, data: config.data.dir, hub: config.uplink.hub ?? "none" }, "agent is ready");
  const close = (): Promise<void> => {
    isStopping = true;
    return lifecycle.stop();
  };
  return { addresses, failed: failed.promise, close };
}

type CoreParts = AgentParts &
  Pick<Core, "config" | "routes"> & {
    readonly onFatal: (error: Error) => void;
    readonly statusReport: () => Readonly<Record<string, unknown>>;
  };

/** What has to be there before the first message. */
async function startCore(lifecycle: Lifecycle, { onFatal, statusReport, ...parts }: CoreParts): Promise<Core> {
  const { config, routes, logger, clock } = parts;
  const log = await lifecycle.start({
    name: "the log",
    start: () => openLog(config, logger),
    stop: (part) => part.close(),
    startMsMax: Infinity,
  });
  log.onFatal(onFatal);
  const time = await lifecycle.start({
    name: "the clock",
    start: () => AgentClock.open({ log, clock, logger }),
    stop: (part) => part.close(),
  });
  const ledger = await LossLedger.load({ log, clock: time });
  const space = await lifecycle.start({
    name: "the watch over the disk",
    start: () => watchDisk(config, log, logger),
    stop: (part) => part.stop(),
  });
  // It marks where the log ends now, and does not wait for the hub.
  const uplink = await lifecycle.start({
    name: "the uplink",
    start: () => startUplink(config, { log, ledger, routes, logger, clock: time, statusReport }),
    stop: (part) => part?.close(),
  });
  const core: Core = { ...parts, log, ledger, space, uplink, time, qosTwo: await QosTwoPackets.load(log) };
  await lifecycle.start({ name: "the expiry", start: () => startExpiry(core), stop: (part) => part?.stop() });
  return core;
}

/** Counts by name, for people and metrics. */
function mqttCounts(mqtt: MqttListener): Readonly<Record<string, number>> {
  const { retained, limits, ...counts } = mqtt.stats();
  return { ...counts, retainedTopics: retained.topics, retainedBytes: retained.bytes, ...limits };
}

/** What a power cut may take is said at every start (G1). */
function warnOfWeakRoutes(routes: readonly Route[], logger: Logger): void {
  for (const { filter, durability } of routes) {
    if (durability === "fsync") continue;
    const match = filter?.source ?? "everything else";
    logger.warn({ match, durability }, "messages of this route are acknowledged before they are flushed to the disk");
  }
}

function openLog(config: AgentConfig, logger: Logger): Promise<WorkerLog> {
  return WorkerLog.open({
    directory: config.data.dir,
    worker: workerFile(import.meta.url, "./log-worker"),
    hasReaderThread: false,
    pace: { intervalMs: config.log.commitIntervalMs, lingerMs: config.log.lingerMs },
    crashPointBeforeFsync: "agent-before-fsync",
    reserveBytes: divideDisk(config.log.bytesMax).reserveBytes,
    ...tellLog(logger, "a stored batch is damaged; it is never sent"),
  });
}

async function watchDisk({ log: { bytesMax, freeBytesMin }, data }: AgentConfig, log: WorkerLog, logger: Logger) {
  const use = new DiskUse({ log, directory: data.dir, budget: divideDisk(bytesMax), freeBytesMin, logger });
  await use.start();
  return use;
}

function startExpiry({ config, log, ledger, uplink, logger }: Core): Expiry | undefined {
  const { ageMsMax } = config.log;
  if (ageMsMax === undefined) return undefined;
  const pendingFrom = (partition: LogPartition): Offset => uplink?.pendingFrom(partition) ?? 0;
  const expiry = new Expiry({ log, ledger, pendingFrom, ageMsMax, logger });
  expiry.start();
  return expiry;
}

async function startUplink(
  config: AgentConfig,
  parts: AgentParts & {
    readonly log: WorkerLog;
    readonly ledger: LossLedger;
    readonly routes: readonly Route[];
    readonly clock: AgentClock;
    readonly statusReport: () => Readonly<Record<string, unknown>>;
  },
): Promise<Uplink | undefined> {
  const { hub, token, tokenFile: _tokenFile, caFile, ...options } = config.uplink;
  const { log, ledger, routes, logger, clock, statusReport } = parts;
  if (hub === undefined) {
    logger.warn("no hub is configured (uplink.hub): events are stored and not forwarded");
    // A hub that is configured later has to learn where the log ended at this start, too.
    await EpochStore.open(log, ledger, logEnds(log)).catch((error: unknown) => {
      // A full disk must not keep the agent from starting.
      if (toStreamError(error).code !== "LOG_FULL") throw error;
      logger.warn({ err: error }, "the log has no room to note where it ended");
    });
    return undefined;
  }
  const uplink = new Uplink({
    log,
    ledger,
    clock,
    logger,
    hubUrl: hub,
    token,
    caFile,
    agentName: config.agent.name,
    version: packageJson.version,
    policyOf: (topic) => policyOf(routes, topic),
    onPartitionCount: (topic, count) => growTopic(log, topic, count),
    trimBytes: trimBytesOf(config.log.bytesMax),
    clockSessions: () => clock.sessions(),
    onHubTime: (sample) => clock.hear(sample),
    statusReport,
    options,
  });
  await uplink.start();
  return uplink;
}

/** The hub has more partitions of a topic: records must go where every other producer puts them. */
async function growTopic(log: WorkerLog, topic: string, partitionCount: number): Promise<void> {
  const isThere = (): boolean => (log.topics.get(topic)?.partitions.length ?? 0) >= partitionCount;
  if (isThere()) return;
  try {
    await log.createPartitions(topic, partitionCount);
  } catch (error) {
    // Told twice in a row, the second finds it done.
    if (!isThere()) throw error;
  }
}

async function createIngest({
  config,
  routes,
  log,
  qosTwo,
  ledger,
  space,
  uplink,
  time,
  logger,
  clock,
}: Core): Promise<Ingest> {
  const ingest = new Ingest({
    log,
    ledger,
    routes,
    qosTwo,
    duplicates: await DuplicateWindow.load(log),
    clock,
    stamp: () => time.stamp(),
    stampCalls: () => time.calls(),
    logger,
    space,
    limits: config.ingest,
    ...(uplink === undefined ? {} : { pendingFrom: (partition) => uplink.pendingFrom(partition) }),
  });
  time.follow(ingest);
  return ingest;
}

function createListener({ config, log, qosTwo, logger, clock }: Core, ingest: Ingest): MqttListener {
  const { listen, webSocketListen, allowedOrigins, insecure, limits } = config.mqtt;
  return new MqttListener({
    tcp: listen,
    webSocket: webSocketListen,
    allowedOrigins,
    isInsecure: insecure,
    limits,
    log,
    sink: ingest,
    incoming: qosTwo,
    logger,
    clock,
  });
}

async function startBridge({ config, logger, clock }: Core, ingest: Ingest): Promise<Bridge | undefined> {
  const { url, topics, clientId, username, password } = config.bridge;
  if (url === undefined) return undefined;
  // Few have one, and an MQTT client takes 3 MB.
  const bridging = await import("./mqtt/bridge.ts");
  const bridge = new bridging.Bridge({
    url,
    topics,
    clientId: clientId ?? `tributary-${config.agent.name}`,
    username,
    password,
    sink: ingest,
    logger,
    clock,
  });
  bridge.start();
  return bridge;
}
