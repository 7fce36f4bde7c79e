/**
 * The hub on a disk that takes no writes any more: consumers read what is stored, and whoever brings something is told to
 * keep it and come back. The agent's counterpart is agent/forward-only.
 *
 *   Kafka clients   Fetch, ListOffsets, Metadata, groups: as ever      Produce, OffsetCommit, …: LOG_READ_ONLY
 *   agents          503 to the upgrade: they keep their data
 *
 * When the disk takes writes again the program ends, and its supervisor starts it as before.
 */
import { closeSync, fsyncSync, openSync } from "node:fs";
import path from "node:path";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import { takesWrites, whenWritable } from "../../shared/disk-probe.ts";
import { Lifecycle } from "../../shared/lifecycle.ts";
import { OverlayLog } from "../../shared/log/overlay-log.ts";
import { whyUnsound } from "../../shared/log/salvage/open-soundly.ts";
import { LOG_FILE_NAME } from "../../shared/log/schema.ts";
import type { Logger } from "../../shared/logger.ts";
import type { HubConfig } from "../config.ts";
import { groupTables } from "../engine/group-tables.ts";
import { startHub } from "../hub.ts";
import type { HubParts, RunningHub } from "../hub.ts";
import { startListeners } from "../listeners.ts";
import { LedgerTable, ledgerTable } from "../uplink/ledger-table.ts";
import { refuseUpgrade } from "../uplink/server.ts";
import { ReadOnlyEngine } from "./read-only-engine.ts";

/** @throws what `startHub` throws, unless the disk takes no writes and there is something to read. */
export async function startHubOrReader(config: HubConfig, parts: HubParts): Promise<RunningHub> {
  try {
    return await startHub(config, parts);
  } catch (error) {
    const failure = toStreamError(error);
    if (failure.code !== "LOG_IO" || (await takesWrites(config.data.dir))) throw error;
    return await startReader(config, { ...parts, failure });
  }
}

/** @throws the failure of the hub's start where there is no log that can be read. */
async function startReader(
  config: HubConfig,
  { logger, clock, failure }: HubParts & { readonly failure: StreamError },
): Promise<RunningHub> {
  const lifecycle = new Lifecycle({ logger, clock });
  const ended = Promise.withResolvers<Error>();
  const { dir } = config.data;
  const log = openLog(dir, failure, logger);
  const engine = await lifecycle.start({
    name: "the log, for reading",
    start: () => new ReadOnlyEngine(log),
    stop: (part) => part.close(),
  });
  logger.error(
    { code: failure.code, reason: failure.reason },
    "the disk takes no writes: nothing new is taken, what is stored can be read. Replace the disk",
  );
  const ledger = new LedgerTable(log);
  const reason = `the hub's disk takes no writes (${failure.reason})`;
  const addresses = await startListeners(lifecycle, {
    ...{ config, logger, clock, engine },
    agents: {
      list: () => [],
      losses: (entriesMax) => ledger.list(entriesMax),
      lossTotals: () => ledger.totals(),
    },
    integrity: () => log.integrity,
    failure: () => ({ code: "LOG_READ_ONLY", message: `${reason}: what is stored can be read` }),
    onUplink: (_request, socket) => refuseUpgrade(socket, { status: "503 Service Unavailable", reason }),
    closeUplink: async () => undefined,
  });
  await lifecycle.start({
    name: "the watch over the disk",
    start: () => whenWritable(dir, () => ended.resolve(new StreamError("LOG_IO", "the disk takes writes again"))),
    stop: (timer) => clearInterval(timer),
  });
  logger.info({ ...addresses, data: dir, topics: engine.topics.size }, "hub is read only");
  return { addresses, failed: ended.promise, close: () => lifecycle.stop() };
}

function openLog(directory: string, failure: StreamError, logger: Logger): OverlayLog {
  try {
    const damage = whyUnsound(directory);
    // Consumers remember offsets: what a salvage would give back they would have passed over.
    if (damage !== undefined) throw new StreamError("LOG_CORRUPT", damage);
    flushWal(directory, logger);
    return new OverlayLog(directory, { asTheyAre: [groupTables, ledgerTable] }, logger);
  } catch (error) {
    logger.error({ err: error }, "the log cannot even be read");
    throw failure;
  }
}

/** What a killed program has left there may be in the memory of the operating system alone; readers are to see what stays. */
function flushWal(directory: string, logger: Logger): void {
  const handle = openSync(path.join(directory, `${LOG_FILE_NAME}-wal`), "r");
  try {
    fsyncSync(handle);
  } catch (error) {
    logger.warn({ err: error }, "the newest commits cannot be flushed; a power cut may take what was not acknowledged");
  } finally {
    closeSync(handle);
  }
}
