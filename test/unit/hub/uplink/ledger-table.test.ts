import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import type { DeclaredLoss } from "../../../../hub/uplink/loss-ledger.ts";
import { LedgerTable, ledgerTable } from "../../../../hub/uplink/ledger-table.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const loss: DeclaredLoss = {
  agent: "gateway",
  producerId: 2n ** 63n - 1n,
  topic: "readings",
  partition: 2,
  epoch: 3,
  from: 100,
  to: 149,
  entry: 0,
  records: 50,
  reason: "overflow",
  since: 1_600_000_000_000,
  until: 1_600_000_000_500,
  declaredAt: 1_700_000_000_000,
};

test("loss ledger: what was declared is there after a restart", async (t) => {
  const file = path.join(tempDir(t), "log.db");
  const before = new DirectExtensionLog(file, [ledgerTable]);
  await new LedgerTable(before).record(loss);
  await before.close();
  const after = new DirectExtensionLog(file, [ledgerTable]);
  onCleanUp(t, () => after.close());
  assert.deepEqual(await new LedgerTable(after).list(10), [loss]);
  assert.equal(before.calls[0]?.durability, "fsync");
});

test("loss ledger: a gap declared again is one entry, and the larger number counts", async (t) => {
  const log = new DirectExtensionLog(path.join(tempDir(t), "log.db"), [ledgerTable]);
  onCleanUp(t, () => log.close());
  const ledger = new LedgerTable(log);
  await ledger.record(loss);
  const unstored = { ...loss, epoch: 0, from: 200, to: 199, entry: 1_600_000_000_000, records: 3 };
  await ledger.record(unstored);
  await ledger.record({ ...unstored, records: 8, until: 1_600_000_009_000 });
  await ledger.record(loss);
  await ledger.record({ ...loss, reason: "corrupt", records: 1, to: 100 });
  const entries = await ledger.list(10);
  assert.deepEqual(
    entries.map(({ from, to, records, until, reason }) => ({ from, to, records, until, reason })),
    [
      { from: 200, to: 199, records: 8, until: 1_600_000_009_000, reason: "overflow" },
      { from: 100, to: 100, records: 1, until: 1_600_000_000_500, reason: "corrupt" },
      { from: 100, to: 149, records: 50, until: 1_600_000_000_500, reason: "overflow" },
    ],
  );
  assert.equal((await ledger.list(1)).length, 1);
  const totals = await ledger.totals();
  assert.deepEqual(
    totals.map(({ reason, records }) => [reason, records]),
    [
      ["corrupt", 1],
      ["overflow", 58],
    ],
  );
});
