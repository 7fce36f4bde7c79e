/**
 * The agent on a disk that takes no writes any more (a card at its end goes read-only, or answers EIO): it cannot keep what
 * sensors send, so it does not listen to them; but what it has kept, it forwards.
 *
 *   disk ─reads─▶ overlay-log ─▶ uplink ─▶ hub
 *                                       admin pages: what is wrong, what is left
 *
 * Nothing is written down, and need not be: the next start asks the hub where it stands. What would need writing first, a
 * new epoch, waits (uplink.ts). When the disk takes writes again the program ends, and its supervisor starts it as before.
 */
import packageJson from "../../package.json" with { type: "json" };
import { formatListenAddress } from "../../shared/config/listen-address.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import { takesWrites, whenWritable } from "../../shared/disk-probe.ts";
import { Lifecycle } from "../../shared/lifecycle.ts";
import { OverlayLog } from "../../shared/log/overlay-log.ts";
import { diskBytesWritten } from "../admin/disk-writes.ts";
import { AdminHttpServer } from "../admin/http.ts";
import { StatusCollector } from "../admin/status.ts";
import { startAgent } from "../agent.ts";
import type { AgentParts, RunningAgent } from "../agent.ts";
import { divideDisk } from "../buffer/disk-budget.ts";
import { storedBytes } from "../buffer/log-space.ts";
import type { AgentConfig } from "../config.ts";
import { compileRoutes, policyOf } from "../ingest/route.ts";
import type { IngestStats } from "../ingest/ingest-limits.ts";
import { ledgerTable } from "../ledger/ledger-table.ts";
import { LossLedger } from "../ledger/loss-ledger.ts";
import { AgentClock } from "../time/agent-clock.ts";
import { clockTable } from "../time/clock-table.ts";
import { trimBytesOf } from "../uplink/cursors.ts";
import { epochTable } from "../uplink/epoch-table.ts";
import { Uplink } from "../uplink/uplink-runner.ts";

export type RunningForwarder = Omit<RunningAgent, "addresses"> & { readonly addresses: { readonly admin: string } };

/** @throws what `startAgent` throws, unless the disk takes no writes and there is something to forward. */
export async function startAgentOrForward(
  config: AgentConfig,
  parts: AgentParts,
): Promise<RunningAgent | RunningForwarder> {
  try {
    return await startAgent(config, parts);
  } catch (error) {
    const failure = toStreamError(error);
    const { dir } = config.data;
    if (failure.code !== "LOG_IO" || config.uplink.hub === undefined || (await takesWrites(dir))) throw error;
    return await startForwarder(config, { ...parts, hub: config.uplink.hub, failure });
  }
}

/** @throws the failure of the agent's start where there is no log to read. */
async function startForwarder(
  config: AgentConfig,
  { logger, clock, hub, failure }: AgentParts & { readonly hub: string; readonly failure: StreamError },
): Promise<RunningForwarder> {
  const lifecycle = new Lifecycle({ logger, clock });
  const ended = Promise.withResolvers<Error>();
  const { dir } = config.data;
  const log = await lifecycle.start({
    name: "the log, for reading",
    start: () => openOverlay(dir, failure, logger),
    stop: (part) => part.close(),
  });
  logger.error(
    { code: failure.code, reason: failure.reason },
    "the disk takes no writes: nothing new is taken, what is stored is forwarded. Replace the disk",
  );
  const time = await lifecycle.start({
    name: "the clock",
    start: () => AgentClock.open({ log, clock, logger }),
    stop: (part) => part.close(),
  });
  const ledger = await LossLedger.load({ log, clock: time });
  let status: StatusCollector | undefined;
  const uplink = await lifecycle.start({
    name: "the uplink",
    start: () => startUplink(config, { hub, log, time, ledger, logger, statusReport: () => status?.summary() ?? {} }),
    stop: (part) => part.close(),
  });
  status = new StatusCollector({
    ...{ version: packageJson.version, clock: time, time, log, ledger, uplink },
    space: { usedBytes: storedBytes(log), capBytes: divideDisk(config.log.bytesMax).keptBytesMax },
    ingest: { stats: () => noIngest },
    integrity: () => log.integrity,
    diskBytesWritten: () => diskBytesWritten(dir),
    failure: () => ({
      code: failure.code,
      message: `the disk takes no writes (${failure.reason}): nothing new is taken, what is stored is forwarded`,
    }),
  });
  const admin = new AdminHttpServer({ ...config.admin.listen, logger, status });
  const address = await lifecycle.start({
    name: "the admin listener",
    start: () => admin.start(),
    stop: async () => {
      status?.stop();
      await admin.close();
    },
  });
  await lifecycle.start({
    name: "the watch over the disk",
    start: () => whenWritable(dir, () => ended.resolve(new StreamError("LOG_IO", "the disk takes writes again"))),
    stop: (timer) => clearInterval(timer),
  });
  const addresses = { admin: formatListenAddress(address) };
  logger.info({ ...addresses, data: dir, hub }, "agent forwards only");
  return { addresses, failed: ended.promise, close: () => lifecycle.stop() };
}

async function startUplink(
  config: AgentConfig,
  parts: {
    readonly hub: string;
    readonly log: OverlayLog;
    readonly time: AgentClock;
    readonly ledger: LossLedger;
    readonly logger: AgentParts["logger"];
    readonly statusReport: () => Readonly<Record<string, unknown>>;
  },
): Promise<Uplink> {
  const { hub, log, time, ledger, logger, statusReport } = parts;
  const { routes } = compileRoutes(config.routes);
  const { token, tokenFile: _tokenFile, hub: _hub, caFile, ...options } = config.uplink;
  const uplink = new Uplink({
    ...{ log, ledger, clock: time, logger, hubUrl: hub, token, caFile, options, statusReport },
    isLogReadOnly: true,
    agentName: config.agent.name,
    version: packageJson.version,
    policyOf: (topic) => policyOf(routes, topic),
    // More partitions are for records that come.
    onPartitionCount: async () => undefined,
    trimBytes: trimBytesOf(config.log.bytesMax),
    clockSessions: () => time.sessions(),
    onHubTime: (sample) => time.hear(sample),
  });
  await uplink.start();
  return uplink;
}

function openOverlay(directory: string, failure: StreamError, logger: AgentParts["logger"]): OverlayLog {
  try {
    return new OverlayLog(directory, { overlaid: [epochTable, ledgerTable, clockTable] }, logger);
  } catch (error) {
    logger.error({ err: error }, "the log cannot even be read");
    throw failure;
  }
}

const noIngest: IngestStats = {
  receivedMessages: 0,
  committedRecords: 0,
  committedBytes: 0,
  duplicateMessages: 0,
  refusedMessages: 0,
  uncommittedBytes: 0,
  uncommittedMessages: 0,
  waitingBytes: 0,
  waitingMessages: 0,
  isWithoutRoom: false,
  routedTopics: 0,
};
