/**
 * The hub on one page: its parts, the order in which they start, and how a failed disk ends the program.
 *
 *   log ▶ engine ▶ groups ▶ Kafka listener                                          listeners.ts
 *           └────▶ uplink ▶ HTTP listener, which carries the uplink's WebSocket
 *
 * On a disk that takes no writes read-only/ takes its place.
 */
import type { Clock } from "../shared/clock.ts";
import { toStreamError } from "../shared/errors.ts";
import type { StreamError } from "../shared/errors.ts";
import { Lifecycle } from "../shared/lifecycle.ts";
import { tellLog } from "../shared/log/tell-log.ts";
import { WorkerLog } from "../shared/log/worker-log.ts";
import type { Logger } from "../shared/logger.ts";
import { workerFile } from "../shared/worker-file.ts";
import type { HubConfig } from "./config.ts";
import { EmbeddedEngine } from "./engine/embedded.ts";
import type { Engine } from "./engine/engine.ts";
import { startListeners } from "./listeners.ts";
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
  const uplink = createUplink(config, { engine, log, logger, clock });
  const addresses = await startListeners(lifecycle, {
    ...{ config, logger, clock, engine },
    agents: uplink,
    integrity: () => log.integrity,
    failure: () => (isStopping ? { code: "CLOSING", message: "the hub is stopping" } : failure),
    onUplink: (request, socket, head) => uplink.handleUpgrade(request, socket, head),
    closeUplink: () => uplink.close(),
  });
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
    pace: { intervalMs: config.log.commitIntervalMs, lingerMs: 0 },
    flushDelayMs: FLUSH_DELAY_MS,
    crashPointBeforeFsync: "hub-before-fsync",
    skippedOnDamage: SKIPPED_ON_DAMAGE,
    ...tellLog(logger, "a stored batch is damaged; it is skipped, never served"),
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

function createUplink(
  config: HubConfig,
  parts: HubParts & { readonly engine: Engine; readonly log: WorkerLog },
): UplinkServer {
  const { engine, log, logger, clock } = parts;
  const { tokenFile: _tokenFile, ...options } = config.uplink;
  return new UplinkServer({ engine, ledger: new LedgerTable(log), logger, clock, options });
}
