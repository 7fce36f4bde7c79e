/** An ingest on a log that the test commits by hand, and one whose log is full. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Ingest } from "../../../../agent/ingest/ingest.ts";
import type { IngestOptions } from "../../../../agent/ingest/ingest.ts";
import { QosTwoPackets } from "../../../../agent/ingest/qos-two-packets.ts";
import { compileRoutes } from "../../../../agent/ingest/route.ts";
import type { RouteConfig } from "../../../../agent/ingest/route.ts";
import type { PublishMessage } from "../../../../agent/mqtt/publish-sink.ts";
import type { StreamError } from "../../../../shared/errors.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { ManualLog } from "./manual-log.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { fixedSpace } from "../../../support/fixed-space.ts";
import { memoryLedger } from "../../../support/memory-ledger.ts";

type Over = Partial<Omit<IngestOptions, "log" | "routes" | "space">> & {
  readonly routes?: readonly RouteConfig[];
  readonly capBytes?: number;
  readonly capBytesMax?: number;
};

/** An ingest on a log whose topics exist already, unless the test wants them made. */
export async function start(
  t: TestContext,
  { routes = [], capBytes = 1024 * 1024 * 1024, capBytesMax = capBytes, ...overrides }: Over = {},
  log = new ManualLog(),
) {
  for (const name of ["mqtt", ...routes.map((route) => route.topic)]) {
    if (!log.topics.has(name) && !name.startsWith("new")) await log.createTopic({ name, partitionCount: 4 });
  }
  const compiled = compileRoutes(routes);
  assert.deepEqual(compiled.problems, []);
  let nowMs = 1_000_000;
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const ledger = await memoryLedger({ clock, call: log.call.bind(log) });
  const ingest = new Ingest({
    log: log.asLog,
    ledger,
    routes: compiled.routes,
    qosTwo: await QosTwoPackets.load(log),
    clock,
    logger: silentLogger(),
    space: fixedSpace(log, capBytes, capBytesMax),
    ...overrides,
  });
  onCleanUp(t, () => ingest.stop());
  const answers: string[] = [];
  const publish = (over: Partial<Omit<PublishMessage, "payload">> & { payload?: string } = {}): void => {
    const { payload = "21.5", ...rest } = over;
    const message = { clientId: "c", topic: "a/b", qos: 1, retain: false, dup: false, messageId: 1, ...rest } as const;
    ingest.publish({ ...message, payload: Buffer.from(payload) }, (error) => {
      answers.push(error === undefined ? "ok" : (error as StreamError).code);
    });
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { ingest, log, ledger, publish, answers, pass };
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A log of 10 kB at its cap: five records of 2 kB. */
export async function full(t: TestContext, overflow: "drop-oldest" | "drop-newest" | "block", over: Over = {}) {
  const routes = [{ match: "#", topic: "full", key: "k", overflow }];
  const started = await start(t, { routes, capBytes: 10_000, capBytesMax: 1_000_000, ...over });
  for (let id = 1; id <= 5; id++) {
    started.publish({ messageId: id, payload: String(id).repeat(2000) });
    started.log.commit();
  }
  assert.deepEqual(
    started.answers.splice(0),
    Array.from({ length: 5 }, () => "ok"),
  );
  await turn();
  const partition = started.log.topics.get("full")!.partitions.find((each) => each.bytes > 0)!;
  const values = (): string[] => started.log.values("full").map((value) => value?.[0] ?? "");
  return { ...started, partition, values };
}
