import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Ingest } from "../../../../agent/ingest/ingest.ts";
import { unheardPlaces } from "../../../../agent/uplink/windows.ts";
import { balanceOf, addBalances } from "../../../../agent/ledger/balance.ts";
import { LossLedger } from "../../../../agent/ledger/loss-ledger.ts";
import { QosTwoPackets } from "../../../../agent/ingest/qos-two-packets.ts";
import { compileRoutes } from "../../../../agent/ingest/route.ts";
import type { RouteConfig } from "../../../../agent/ingest/route.ts";
import { splitBatches } from "../../../../shared/batch/record-batch.ts";
import { decodeRecords } from "../../../../shared/batch/records.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import type { WorkerLog } from "../../../../shared/log/worker-log.ts";
import { workerFile } from "../../../../shared/worker-file.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { fixedSpace } from "../../../support/fixed-space.ts";
import { openLog } from "../../../support/open-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

async function start(t: TestContext, directory: string, routes: readonly RouteConfig[] = [], capBytes = 2 ** 30) {
  const log = await openLog(t, directory, { worker: workerFile(import.meta.url, "./log-worker") });
  const qosTwo = await QosTwoPackets.load(log);
  const compiled = compileRoutes(routes).routes;
  const ledger = await LossLedger.load({ log, clock: systemClock });
  const parts = { clock: systemClock, logger: silentLogger(), space: fixedSpace(log, capBytes) };
  const ingest = new Ingest({ ...parts, log, ledger, routes: compiled, qosTwo });
  onCleanUp(t, () => ingest.stop());
  const publish = (qos: 0 | 1 | 2, messageId: number, payload: string, dup = false): Promise<void> =>
    new Promise((resolve, reject) => {
      const message = { clientId: "c", topic: `t/${messageId % 7}`, qos, messageId, dup, retain: false } as const;
      ingest.publish({ ...message, payload: Buffer.from(payload) }, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  return { log, ingest, ledger, qosTwo, publish };
}

async function values(log: WorkerLog, topic: string): Promise<string[]> {
  const found: string[] = [];
  for (const partition of log.topics.get(topic)?.partitions ?? []) {
    const bytes = await log.read({ partition, offset: partition.logStartOffset, bytesMax: 2 ** 24, atLeastOne: true });
    for (const batch of splitBatches(bytes)) {
      for (const { value } of decodeRecords(batch)) found.push(value?.toString() ?? "");
    }
  }
  return found.toSorted();
}

test("ingest on a real log: what was answered is there after a restart, QoS 2 identifiers too", async (t) => {
  const directory = tempDir(t);
  const first = await start(t, directory);
  const payloads = Array.from({ length: 50 }, (_, i) => String(i + 100));
  await Promise.all(payloads.map((payload, i) => first.publish(i % 2 === 0 ? 1 : 2, i + 1, payload)));
  await first.qosTwo.release("c", 2);
  first.ingest.stop();
  await first.log.close();

  const second = await start(t, directory);
  assert.deepEqual(await values(second.log, "mqtt"), payloads);
  assert.equal([...second.qosTwo.ids()].length, 24);
  // The client never saw the PUBREC of one, and has used the released identifier for something new.
  await second.publish(2, 4, "103", true);
  await second.publish(2, 2, "new");
  assert.deepEqual(await values(second.log, "mqtt"), [...payloads, "new"]);
});

test("ingest on a real log: at the cap the oldest go, and stored and lost add up to what was accepted", async (t) => {
  const routes = [{ match: "#", topic: "readings", key: "k" }];
  const directory = tempDir(t);
  const { log, ingest, publish } = await start(t, directory, routes, 64 * 1024);
  const random = (): string => Array.from({ length: 1000 }, () => Math.floor(Math.random() * 36).toString(36)).join("");
  for (let id = 1; id <= 200; id++) await publish(1, id, random());
  const bytes = log.topics.get("readings")!.partitions.reduce((sum, partition) => sum + partition.bytes, 0);
  assert.ok(bytes < 80 * 1024, `${bytes} bytes`);
  ingest.stop();
  await log.close();
  const again = await start(t, directory, routes, 64 * 1024);
  const balances = again.log.topics
    .get("readings")!
    .partitions.map((partition) => balanceOf(partition, unheardPlaces, again.ledger.totals(partition)));
  const { accepted, pending, dropped } = addBalances(balances);
  assert.equal(accepted, 200);
  assert.ok(dropped > 0 && pending > 0);
  assert.equal(pending + dropped, 200);
  // When it was lost is noted after the trim; the last note may not have come before the end.
  const noted = again.ledger.counts()[0]?.records ?? 0;
  assert.ok(noted > 0 && noted <= dropped, `${noted} of ${dropped} are noted`);
});
