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
  reason: "overflow",
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

test("loss ledger: a gap declared again is one entry, and its later end counts", async (t) => {
  const log = new DirectExtensionLog(path.join(tempDir(t), "log.db"), [ledgerTable]);
  onCleanUp(t, () => log.close());
  const ledger = new LedgerTable(log);
  await ledger.record(loss);
  await ledger.record({ ...loss, epoch: 4, to: 160 });
  await ledger.record({ ...loss, to: 120 });
  await ledger.record({ ...loss, from: 200, to: 200, reason: "corrupt" });
  const entries = await ledger.list(10);
  assert.deepEqual(
    entries.map(({ from, to, reason }) => ({ from, to, reason })),
    [
      { from: 200, to: 200, reason: "corrupt" },
      { from: 100, to: 160, reason: "overflow" },
    ],
  );
  assert.equal((await ledger.list(1)).length, 1);
});
