import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { AdminHttpServer } from "../../../../agent/admin/http.ts";
import { StatusCollector } from "../../../../agent/admin/status.ts";
import { diskBytesWritten } from "../../../../agent/admin/disk-writes.ts";
import { Ingest } from "../../../../agent/ingest/ingest.ts";
import { QosTwoPackets } from "../../../../agent/ingest/qos-two-packets.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { ManualLog } from "../../../unit/agent/ingest/manual-log.ts";
import { fixedSpace } from "../../../support/fixed-space.ts";
import { memoryLedger } from "../../../support/memory-ledger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";

async function start(t: TestContext, failure?: { code: string; message: string }) {
  const log = new ManualLog();
  await log.createTopic({ name: "mqtt", partitionCount: 1 });
  const qosTwo = await QosTwoPackets.load(log);
  const ledger = await memoryLedger();
  const parts = {
    log: log.asLog,
    ledger,
    clock: systemClock,
    logger: silentLogger(),
    space: fixedSpace(log, 1_000_000),
  };
  const ingest = new Ingest({ ...parts, routes: [], qosTwo });
  onCleanUp(t, () => ingest.stop());
  const status = new StatusCollector({ ...parts, version: "1", ingest, diskBytesWritten, failure: () => failure });
  onCleanUp(t, () => status.stop());
  const server = new AdminHttpServer({ host: "127.0.0.1", port: 0, logger: silentLogger(), status });
  const { port } = await server.start();
  onCleanUp(t, () => server.close());
  return { url: `http://127.0.0.1:${port}`, log, ingest };
}

test("admin: /healthz says ok, or 503 with the reason", async (t) => {
  const well = await fetch(`${(await start(t)).url}/healthz`);
  assert.deepEqual([well.status, await well.json()], [200, { status: "ok" }]);
  const failure = { code: "LOG_IO", message: "disk" };
  const ill = await fetch(`${(await start(t, failure)).url}/healthz`);
  assert.deepEqual([ill.status, await ill.json()], [503, { status: "failed", ...failure }]);
});

test("admin: /status and /metrics tell of a record that was committed", async (t) => {
  const { url, log, ingest } = await start(t);
  const message = { clientId: "c", topic: "a", qos: 1, retain: false, dup: false, messageId: 1 } as const;
  ingest.publish({ ...message, payload: Buffer.from("x") }, () => {});
  log.commit();
  const status = (await (await fetch(`${url}/status`)).json()) as { log: { pendingRecords: number } };
  assert.equal(status.log.pendingRecords, 1);
  const metrics = await fetch(`${url}/metrics`);
  assert.match(metrics.headers.get("content-type") ?? "", /^text\/plain; version=/);
  assert.match(await metrics.text(), /^agent_ingest_committed_records_total 1$/m);
});
