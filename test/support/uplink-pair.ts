/** A hub's uplink on loopback over an engine in memory, and agents with a log in memory that forward to it. */
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import { createServer as createSecureServer, Server as SecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { LossLedger } from "../../agent/ledger/loss-ledger.ts";
import { Uplink } from "../../agent/uplink/uplink-runner.ts";
import type { UplinkParts } from "../../agent/uplink/uplink-runner.ts";
import type { DeclaredLoss } from "../../hub/uplink/loss-ledger.ts";
import { UplinkServer } from "../../hub/uplink/server.ts";
import type { UplinkServerOptions } from "../../hub/uplink/server.ts";
import { systemClock } from "../../shared/clock.ts";
import { silentLogger } from "../../shared/logger.ts";
import type { Logger } from "../../shared/logger.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { ledgerOf } from "./hub-ledger.ts";
import { MemoryEngine } from "./memory-engine.ts";
import type { TestCertificate } from "./test-certificate.ts";
import { numbersOf } from "./virtual-log.ts";
import type { VirtualLog } from "./virtual-log.ts";

export type TestHub = {
  readonly engine: MemoryEngine;
  readonly server: UplinkServer;
  readonly port: number;
  readonly losses: DeclaredLoss[];
  /** Connections are greeted with this one from now on. */
  useCertificate(certificate: TestCertificate): void;
  stop(): Promise<void>;
};

export type HubSetup = {
  readonly engine?: MemoryEngine;
  readonly port?: number;
  readonly options?: Partial<UplinkServerOptions>;
  /** What the hub takes for the address of everybody who connects: they sit behind one NAT. */
  readonly peerAddress?: string;
  /** Speaks TLS. */
  readonly certificate?: TestCertificate;
  readonly logger?: Logger;
};

export async function startUplinkHub(t: After, setup: HubSetup = {}): Promise<TestHub> {
  const { engine = new MemoryEngine(), options = {} } = setup;
  const losses: DeclaredLoss[] = [];
  const server = new UplinkServer({
    engine,
    ledger: ledgerOf(losses),
    logger: setup.logger ?? silentLogger(),
    clock: systemClock,
    options,
  });
  const notFound: RequestListener = (_request, response) => response.writeHead(404).end();
  const { certificate } = setup;
  const http = certificate === undefined ? createServer(notFound) : createSecureServer(certificate, notFound);
  http.on("upgrade", (request, socket, head) => server.handleUpgrade(request, socket, head));
  const { peerAddress } = setup;
  if (peerAddress !== undefined) {
    http.on("connection", (socket) => Object.defineProperty(socket, "remoteAddress", { value: peerAddress }));
  }
  await new Promise<void>((resolve) => http.listen(setup.port ?? 0, "127.0.0.1", resolve));
  const stop = async (): Promise<void> => {
    await server.close();
    http.closeAllConnections();
    await new Promise<void>((resolve) => http.close(() => resolve()));
  };
  onCleanUp(t, stop);
  const useCertificate = (next: TestCertificate): void => {
    if (!(http instanceof SecureServer)) throw new Error("the hub speaks no TLS");
    http.setSecureContext(next);
  };
  return { engine, server, port: (http.address() as AddressInfo).port, losses, useCertificate, stop };
}

export const impatient: NonNullable<UplinkParts["options"]> = {
  retryMinMs: 1,
  retryMaxMs: 5,
  connectTimeoutMs: 2_000,
  closeMsMax: 200,
};

export async function startUplinkAgent(
  t: After,
  port: number,
  rest: Partial<UplinkParts> & { readonly log: VirtualLog },
): Promise<Uplink> {
  const ledger = rest.ledger ?? (await LossLedger.load({ log: rest.log, clock: systemClock }));
  const uplink = new Uplink({
    ledger,
    hubUrl: `ws://127.0.0.1:${port}`,
    agentName: "agent",
    version: "1",
    policyOf: () => ({ acks: "all", priority: 0, catchUp: "in-order" }),
    onPartitionCount: async (topic, count) => rest.log.createTopic(topic, count),
    trimBytes: 4 * 1024 * 1024,
    clock: systemClock,
    logger: silentLogger(),
    ...rest,
    options: { ...impatient, ...rest.options },
  });
  await uplink.start();
  onCleanUp(t, () => uplink.close());
  return uplink;
}

/** What the hub holds of a partition, in its order. */
export function storedNumbers(engine: MemoryEngine, topic: string, partition: number): number[] {
  if (!engine.topics.has(topic)) return [];
  const { batches } = engine.read({ topic, partition, offset: 0, bytesMax: 2 ** 30, atLeastOne: true });
  return batches.flatMap(numbersOf);
}

/** Resolves when a partition holds `count` records or more. */
export async function untilStored(
  engine: MemoryEngine,
  topic: string,
  partition: number,
  count: number,
): Promise<void> {
  const reached = Promise.withResolvers<void>();
  const look = (): void => {
    if (engine.topics.has(topic) && engine.offsets({ topic, partition }).highWatermark >= count) reached.resolve();
  };
  const undo = engine.onChange(look);
  look();
  await reached.promise;
  undo();
}
