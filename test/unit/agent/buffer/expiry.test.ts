import assert from "node:assert/strict";
import test from "node:test";
import type { TestContext } from "node:test";
import { EXPIRY_CHECK_MS, Expiry } from "../../../../agent/buffer/expiry.ts";
import type { ExpiryOptions } from "../../../../agent/buffer/expiry.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import type { LogPartition } from "../../../../shared/log/partitioned-log.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { memoryLedger } from "../../../support/memory-ledger.ts";
import { ManualLog } from "../ingest/manual-log.ts";

/** A partition of a hundred records, of which the first forty are too old. */
async function start(t: TestContext, pendingFrom: number) {
  const log = new ManualLog();
  await log.createTopic({ name: "t", partitionCount: 1 });
  Object.assign(log.partition("t", 0), { logEndOffset: 100 } satisfies Partial<LogPartition>);
  const asked: string[] = [];
  const ledger = await memoryLedger();
  const expiring: ExpiryOptions["log"] = {
    topics: log.topics,
    expiredEnd: async (_, ageMsMax) => {
      asked.push(`older than ${ageMsMax}`);
      return 40;
    },
    trim: async (partition, before, note) => {
      asked.push(`trim ${before}, ${note?.calls.length ?? 0} calls`);
      await log.trim(partition, before, note);
    },
  };
  const options = { ledger, pendingFrom: () => pendingFrom, ageMsMax: 5000, logger: silentLogger() };
  const expiry = new Expiry({ ...options, log: expiring });
  onCleanUp(t, () => expiry.stop());
  return { expiry, ledger, asked };
}

test("expiry: what the hub did not get in time goes, and is in the ledger as expired", async (t) => {
  const { expiry, ledger, asked } = await start(t, 10);
  await expiry.check();
  assert.deepEqual(asked, ["older than 5000", "trim 40, 1 calls"]);
  assert.deepEqual(ledger.counts(), [{ topic: "t", reason: "expired", records: 30 }]);
  await expiry.check();
  assert.deepEqual(asked.slice(2), ["older than 5000"]);
  assert.deepEqual(ledger.counts(), [{ topic: "t", reason: "expired", records: 30 }]);
});

test("expiry: what the hub had is no loss", async (t) => {
  const { expiry, ledger, asked } = await start(t, 60);
  await expiry.check();
  assert.deepEqual(ledger.counts(), []);
  assert.deepEqual(asked, ["older than 5000", "trim 40, 0 calls"]);
});

test("expiry: it looks by itself, until it is stopped", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { expiry, asked } = await start(t, 0);
  expiry.start();
  const tick = async (): Promise<void> => {
    t.mock.timers.tick(EXPIRY_CHECK_MS);
    for (let turns = 0; turns < 20; turns++) await Promise.resolve();
  };
  await tick();
  await tick();
  const looks = (): number => asked.filter((each) => each.startsWith("older")).length;
  assert.equal(looks(), 2);
  expiry.stop();
  await tick();
  assert.equal(looks(), 2);
});
