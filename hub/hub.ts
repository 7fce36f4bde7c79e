/**
 * The hub on one page: its parts, the order in which they start, and how a failed disk ends the program.
 *
 *   log ▶ engine ▶ groups ▶ Kafka listener
 *           └────▶ uplink ▶ HTTP listener, which carries the uplink's WebSocket
 */
import packageJson from "../package.json" with { type: "json" };
import type { Clock } from "../shared/clock.ts";
import { formatListenAddress, isLoopbackHost } from "../shared/config/listen-address.ts";
import { toStreamError } from "../shared/errors.ts";
import type { StreamError } from "../shared/errors.ts";
import { Lifecycle } from "../shared/lifecycle.ts";
import { WorkerLog } from "../shared/log/worker-log.ts";
import type { Logger } from "../shared/logger.ts";
import { workerFile } from "../shared/worker-file.ts";
import { aclAuthorizer } from "./access/acl-authorizer.ts";
import { CertificateWatch } from "./access/certificate-watch.ts";
import { UserDirectory } from "./access/user-directory.ts";
import { usersOf } from "./access/users-config.ts";
import type { HubConfig } from "./config.ts";
import { EmbeddedEngine } from "./engine/embedded.ts";
import type { Engine } from "./engine/engine.ts";
import { GroupCoordinator } from "./group/coordinator-runner.ts";
import { systemTimers } from "./group/deadline-timers.ts";
import { HubHttpServer } from "./http/server.ts";
import { KafkaListener } from "./kafka/listener.ts";
import { LedgerTable } from "./uplink/ledger-table.ts";
import { UplinkServer } from "./uplink/server.ts";

/** How long consumers may wait for what was appended with `acks` of none or leader: they see what is flushed. */
const FLUSH_DELAY_MS = 20;

/**
 * Offsets that each partition leaves out after damage: consumers have seen records at them that may be lost. More than the
 * records that can have been stored since the partitions' ends were last noted down.
 */
const SKIPPED_ON_DAMAGE = 2 ** 24;

export type HubParts = { readonly logger: Logger; readonly clock: Clock };

export type RunningHub = {
  /** HOST:PORT as really bound. */
  readonly addresses: { readonly http: string; readonly kafka: string };
  /** Resolves when the hub cannot go on: its disk failed. */
  readonly failed: Promise<Error>;
  /** Stops accepting, answers what is on its way, closes the log. */
  close(): Promise<void>;
};

/** @throws StreamError LOG_LOCKED, LOG_VERSION, PORT_IN_USE, … after everything that had started was stopped. */
export async function startHub(config: HubConfig, { logger, clock }: HubParts): Promise<RunningHub> {
  const lifecycle = new Lifecycle({ logger, clock });
  const failed = Promise.withResolvers<Error>();
  let failure: StreamError | undefined;
  let isStopping = false;

  const { log, engine } = await lifecycle.start({
    name: "the log",
    start: async () => {
      const opened = await openLog(config, logger);
      const options = engineOptions(config);
      return { log: opened, engine: new EmbeddedEngine({ log: opened, clock, logger, options }) };
    },
    stop: (part) => part.engine.close(),
    startMsMax: Infinity,
  });
  log.onFatal((error) => {
    failure = toStreamError(error);
    logger.error({ err: error, code: failure.code, hint: failure.hint }, "the log failed; the hub stops");
    failed.resolve(error);
  });
  const groups = await lifecycle.start({
    name: "the consumer groups",
    start: () => openGroups(config, engine, { logger, clock }),
    stop: (part) => part.close(),
  });
  const certificate = await lifecycle.start({
    name: "the TLS certificate",
    start: () => openCertificate(config, { logger, clock }),
    stop: (part) => part?.close(),
  });
  const kafka = new KafkaListener({
    ...{ engine, groups, clock, logger, certificate },
    ...accessOf(config),
    options: kafkaOptions(config),
  });
  const uplink = createUplink(config, { engine, log, logger, clock });
  const addresses = { http: "", kafka: "" };
  const http = new HubHttpServer({
    version: packageJson.version,
    clock,
    logger,
    engine,
    integrity: () => log.integrity,
    groups,
    kafka,
    agents: uplink,
    addresses: () => addresses,
    failure: () => (isStopping ? { code: "CLOSING", message: "the hub is stopping" } : failure),
    onUplink: (request, socket, head) => uplink.handleUpgrade(request, socket, head),
    options: config.http.listen,
  });
  await lifecycle.start({
    name: "the Kafka listener",
    start: async () => (addresses.kafka = formatListenAddress(await kafka.start())),
    stop: () => kafka.close(),
  });
  await lifecycle.start({
    name: "the HTTP listener",
    start: async () => (addresses.http = formatListenAddress(await http.start())),
    // The agents' connections are this listener's own: it cannot end before they do.
    stop: async () => void (await Promise.all([http.close(), uplink.close()])),
  });
  warnOfPlainText(config, logger);
  logger.info({ ...addresses, data: config.data.dir, topics: engine.topics.size }, "hub is ready");
  const close = (): Promise<void> => {
    isStopping = true;
    return lifecycle.stop();
  };
  return { addresses, failed: failed.promise, close };
}

function openLog(config: HubConfig, logger: Logger): Promise<WorkerLog> {
  return WorkerLog.open({
    directory: config.data.dir,
    worker: workerFile(import.meta.url, "./log-worker"),
    hasReaderThread: true,
    commitIntervalMs: config.log.commitIntervalMs,
    flushDelayMs: FLUSH_DELAY_MS,
    crashPointBeforeFsync: "hub-before-fsync",
    skippedOnDamage: SKIPPED_ON_DAMAGE,
    onCounting: (bytes) => logger.info({ bytes }, "the log was not closed; counting what it holds"),
    onSalvage: (cause) =>
      logger.error(
        { code: "LOG_CORRUPT", cause },
        "the log is damaged: what can be read is carried over into a new one",
      ),
    onRoom: (hasRoom) => {
      if (hasRoom) logger.info("the disk has room again: the log takes data");
      else logger.error({ code: "LOG_FULL" }, "the disk is full: the log only frees until there is room");
    },
    onDamage: ({ partition: { topic, partition }, from, to }) => {
      const code = "CORRUPT_RECORD";
      logger.error({ code, topic, partition, from, to }, "a stored batch is damaged; it is skipped, never served");
    },
  });
}

function engineOptions(config: HubConfig) {
  return {
    topicsMax: config.topics.countMax,
    partitionsPerTopicMax: config.topics.partitionsMax,
    tailCacheBytesMax: config.tailCache.bytesMax,
    retentionMs: config.topics.retentionMs,
    retentionBytes: config.topics.retentionBytes,
    retentionCheckMs: config.topics.retentionCheckMs,
    compactionCheckMs: config.topics.compactionCheckMs,
  };
}

function openGroups(config: HubConfig, engine: Engine, { logger, clock }: HubParts): Promise<GroupCoordinator> {
  const { countMax, ...options } = config.groups;
  return GroupCoordinator.open({
    engine,
    clock,
    timers: systemTimers,
    logger,
    options: { ...options, groupsMax: countMax },
  });
}

/** @throws StreamError CERTIFICATE_INVALID. */
async function openCertificate(
  { kafka }: HubConfig,
  { logger, clock }: HubParts,
): Promise<CertificateWatch | undefined> {
  return kafka.tls === undefined ? undefined : CertificateWatch.open({ files: kafka.tls, logger, clock });
}

/** Without users everybody who reaches the listener may do everything. */
function accessOf(config: HubConfig) {
  const users = usersOf(config.users);
  return users.length === 0 ? {} : { users: new UserDirectory(users), authorizer: aclAuthorizer(users) };
}

/** What is allowed, but may not be what was meant. */
function warnOfPlainText({ kafka, users }: HubConfig, logger: Logger): void {
  if (kafka.tls !== undefined || users.length === 0 || isLoopbackHost(kafka.listen.host)) return;
  logger.warn(
    { listen: formatListenAddress(kafka.listen) },
    "the Kafka listener has users but no TLS: SCRAM protects the passwords, but whoever can listen in reads the data; " +
      "PLAIN is not offered; set kafka.tls",
  );
}

function kafkaOptions(config: HubConfig) {
  const { listen, advertised, insecure: _insecure, tls: _tls, ...limits } = config.kafka;
  const { partitions, autoCreate, partitionsMax, retentionMs, retentionBytes } = config.topics;
  return {
    ...limits,
    ...listen,
    advertisedHost: advertised?.host,
    advertisedPort: advertised?.port,
    autoCreateTopics: autoCreate,
    partitionCountDefault: partitions,
    partitionCountMax: partitionsMax,
    dataDirectory: config.data.dir,
    topicDefaults: {
      "retention.ms": String(retentionMs ?? -1),
      "retention.bytes": String(retentionBytes ?? -1),
    },
  };
}

function createUplink(
  config: HubConfig,
  parts: HubParts & { readonly engine: Engine; readonly log: WorkerLog },
): UplinkServer {
  const { engine, log, logger, clock } = parts;
  const { tokenFile: _tokenFile, ...options } = config.uplink;
  return new UplinkServer({ engine, ledger: new LedgerTable(log), logger, clock, options });
}
