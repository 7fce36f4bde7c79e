import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { PRODUCER_EPOCH_MAX } from "../../../../shared/uplink/frames.ts";
import { LossLedger } from "../../../../agent/ledger/loss-ledger.ts";
import { ledgerTable } from "../../../../agent/ledger/ledger-table.ts";
import { EpochStore } from "../../../../agent/uplink/epoch-store.ts";
import { epochTable } from "../../../../agent/uplink/epoch-table.ts";
import type { AdoptChange } from "../../../../agent/uplink/epoch-table.ts";
import type { LostRange } from "../../../../agent/uplink/resume.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

/** Opens the tables as a start of the program does, with one partition whose log ends at `logEndOffset`. */
function tables(t: TestContext) {
  const file = path.join(tempDir(t), "log.db");
  return async (logEndOffset: number, partitionId = 1) => {
    const log = new DirectExtensionLog(file, [epochTable, ledgerTable]);
    onCleanUp(t, () => log.close());
    const ledger = await LossLedger.load({ log, clock: systemClock });
    const store = await EpochStore.open(log, ledger, [{ id: partitionId, logEndOffset }]);
    const gaps = () =>
      ledger.open({ topic: "a", partition: 0 }).map(({ from, to, reason, epoch }) => ({ from, to, reason, epoch }));
    return { log, store, ledger, gaps };
  };
}

const begin = (epoch: number, firstOffset: number, gaps: readonly LostRange[] = []): AdoptChange => ({
  laneId: 1,
  topic: "a",
  partition: 0,
  settled: firstOffset,
  newEpoch: { epoch, firstOffset, previousEnd: firstOffset },
  forgottenEpoch: undefined,
  gaps,
  epoch,
  own: [{ start: 0, end: Infinity }],
  windows: undefined,
  recount: undefined,
});

test("epoch table: the producer id is made once, 63 bits, and stays", async (t) => {
  const open = tables(t);
  const first = await open(0);
  const { producerId } = first.store;
  assert.ok(producerId > 0n && producerId < 2n ** 63n);
  assert.equal((await open(0)).store.producerId, producerId);
});

test("epoch table: an epoch is flushed to disk and there at the next start", async (t) => {
  const open = tables(t);
  const { log, store } = await open(0);
  await store.adopt([begin(0, 0)]);
  assert.deepEqual(log.calls.at(-1), { method: "adopt", durability: "fsync" });
  const { epochs, settled } = (await open(50)).store.memories.get(1) ?? {};
  assert.deepEqual(epochs, [{ epoch: 0, firstOffset: 0, previousEnd: 0 }]);
  assert.equal(settled, 0);
});

test("epoch table: the fence is the lowest end any start has found, until a hub was heard", async (t) => {
  const open = tables(t);
  await (await open(0)).store.adopt([begin(0, 0)]);
  assert.equal((await open(50)).store.memories.get(1)?.fence, 50);
  assert.equal((await open(80)).store.memories.get(1)?.fence, 50);
  const { store } = await open(40);
  assert.equal(store.memories.get(1)?.fence, 40);
  await store.adopt([begin(1, 40)]);
  assert.equal((await open(90)).store.memories.get(1)?.fence, 90);
});

test("epoch table: gaps wait in the ledger until they are confirmed", async (t) => {
  const open = tables(t);
  const { log, store, gaps, ledger } = await open(0);
  await store.adopt([begin(0, 0)]);
  await store.adopt([begin(1, 20, [{ from: 10, to: 19, reason: "overflow" }])]);
  assert.deepEqual(gaps(), [{ from: 10, to: 19, reason: "overflow", epoch: 1 }]);
  await store.adopt([
    begin(2, 40, [
      { from: 20, to: 29, reason: "overflow" },
      { from: 30, to: 39, reason: "corrupt" },
    ]),
  ]);
  assert.deepEqual(log.calls.at(-1), { method: "put", durability: "fsync" });
  const ids = ledger.open({ topic: "a", partition: 0 }).map(({ id }) => id);
  await ledger.confirm(ids[0] ?? -1, 10);
  await ledger.confirm(ids[1] ?? -1, 10);
  assert.deepEqual((await open(50)).gaps(), [{ from: 30, to: 39, reason: "corrupt", epoch: 2 }]);
});

test("epoch table: a partition that is gone takes its epochs with it, its gaps stay", async (t) => {
  const open = tables(t);
  await (await open(0)).store.adopt([begin(0, 20, [{ from: 0, to: 19, reason: "overflow" }])]);
  const { store, gaps } = await open(0, 2);
  assert.equal(store.memories.size, 0);
  assert.equal(gaps().length, 1);
});

test("epoch table: a new producer id begins without epochs, behind what was delivered", async (t) => {
  const open = tables(t);
  const { store } = await open(0);
  await store.adopt([begin(7, 0)]);
  const before = store.producerId;
  await store.renewProducer([{ ...begin(8, 30), gaps: [{ from: 20, to: 29, reason: "overflow" }] }]);
  assert.notEqual(store.producerId, before);
  const after = await open(60);
  assert.equal(after.store.producerId, store.producerId);
  assert.deepEqual(after.store.memories.get(1)?.epochs, []);
  assert.equal(after.store.memories.get(1)?.settled, 30);
  assert.equal(after.gaps().length, 1);
});

test("epoch table: out of epochs, what was lost is declared by the new producer, in epochs that the wire can carry", async (t) => {
  const open = tables(t);
  const { store } = await open(0);
  await store.adopt([begin(PRODUCER_EPOCH_MAX, 20, [{ from: 0, to: 9, reason: "overflow" }])]);
  const beyond = PRODUCER_EPOCH_MAX + 1;
  await store.renewProducer([{ ...begin(beyond, 30), epoch: beyond, gaps: [{ from: 20, to: 29, reason: "expired" }] }]);
  const { gaps } = await open(60);
  assert.deepEqual(
    gaps().map(({ from, epoch }) => [from, epoch]),
    [
      [0, PRODUCER_EPOCH_MAX],
      [20, 0],
    ],
  );
});
