import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { ledgerTable } from "../../../../agent/ledger/ledger-table.ts";
import { LossLedger } from "../../../../agent/ledger/loss-ledger.ts";
import type { DeclarationPart, LedgerChange } from "../../../../agent/ledger/loss-ledger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const at = { topic: "a", partition: 0 };

/** A ledger on a database; `again` loads it as the next start of the program does. */
async function start(t: TestContext, confirmedRowsMax?: number) {
  const file = path.join(tempDir(t), "log.db");
  let nowMs = 1000;
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const load = async () => {
    const log = new DirectExtensionLog(file, [ledgerTable]);
    onCleanUp(t, () => log.close());
    const options = confirmedRowsMax === undefined ? {} : { confirmedRowsMax };
    const ledger = await LossLedger.load({ log, clock, ...options });
    const commit = async ({ calls, apply }: LedgerChange): Promise<void> => {
      await log.call(calls);
      apply();
    };
    const drop = (records: number, offset = 5) =>
      commit(ledger.planDrops([{ ...at, at: offset, reason: "overflow", records }]));
    const planned = ({ ranges = [], from = 0, settled = 0, end = Infinity, hubRecords, ...how }: Declared) => {
      const part = { ranges, from, settled: end, epoch: 1, own: [{ start: 0, end: Infinity }] };
      const isForgetful = how.isForgetful ?? false;
      const recount = hubRecords === undefined ? undefined : { settled, hubRecords, isForgetful };
      return ledger.planDeclaration({ ...at, parts: [part], recount });
    };
    const declare = (declared: Declared) => commit(planned(declared));
    const open = () => ledger.open(at).map(({ from, to, records }) => [from, to, records]);
    return { log, ledger, commit, drop, planned, declare, open };
  };
  return { ...(await load()), again: load, pass: (ms: number) => void (nowMs += ms) };
}

type Declared = {
  readonly ranges?: DeclarationPart["ranges"];
  readonly from?: number;
  readonly settled?: number;
  /** Where it ends: what lies behind it goes on. */
  readonly end?: number;
  readonly hubRecords?: number;
  readonly isForgetful?: boolean;
};

test("loss ledger: drops that were never stored count up in one row until the hub has it", async (t) => {
  const { ledger, drop, open, again, pass } = await start(t);
  await drop(2);
  pass(500);
  await drop(3, 9);
  assert.deepEqual(open(), [[5, 4, 5]]);
  const [row] = ledger.open(at);
  assert.deepEqual([row?.since, row?.until], [1000, 1500]);
  await ledger.confirm(row?.id ?? 0, 5);
  await drop(4, 9);
  assert.deepEqual(open(), [[9, 8, 4]]);
  assert.deepEqual(ledger.totals(at), { stored: 0, unstored: 9 });
  const next = await again();
  assert.deepEqual(next.open(), [[9, 8, 4]]);
  assert.deepEqual(next.ledger.totals(at), { stored: 0, unstored: 9 });
});

test("loss ledger: a row that has grown since it was sent is not confirmed, and is told again", async (t) => {
  const { ledger, drop, open } = await start(t);
  await drop(2);
  const [row] = ledger.open(at);
  await drop(1);
  let announced = 0;
  ledger.onOpen(() => void announced++);
  await ledger.confirm(row?.id ?? 0, 2);
  assert.equal(announced, 1);
  assert.deepEqual(open(), [[5, 4, 3]]);
  await ledger.confirm(row?.id ?? 0, 3);
  assert.deepEqual(open(), []);
});

test("loss ledger: two commits on their way at once both count; one that fails counts nothing", async (t) => {
  const { log, ledger, drop } = await start(t);
  await drop(1);
  const plan = (records: number) => ledger.planDrops([{ ...at, at: 5, reason: "overflow", records }]);
  const first = plan(10);
  const second = plan(100);
  const third = plan(1000);
  await log.call(first.calls);
  await log.call(third.calls);
  first.apply();
  second.cancel();
  third.apply();
  assert.equal(ledger.totals(at).unstored, 1011);
});

test("loss ledger: no two drops of one partition look alike to the hub, though the clock stands still", async (t) => {
  const { ledger, drop, again } = await start(t);
  const seen: number[] = [];
  const note = async (of: LossLedger): Promise<void> => {
    const [row] = of.open(at);
    seen.push(row?.since ?? 0);
    await of.confirm(row?.id ?? 0, 1);
  };
  await drop(1);
  await note(ledger);
  await drop(1);
  await note(ledger);
  const next = await again();
  await next.drop(1);
  await note(next.ledger);
  assert.deepEqual(seen, [1000, 1001, 1002]);
});

test("loss ledger: two trims on their way at once each keep what they take, for their own reason", async (t) => {
  const { ledger, commit, declare } = await start(t);
  await commit(ledger.planTrim(at, { from: 0, end: 10, reason: "overflow" }));
  const expired = ledger.planTrim(at, { from: 10, end: 20, reason: "expired" });
  const overflow = ledger.planTrim(at, { from: 10, end: 30, reason: "overflow" });
  await commit(expired);
  await commit(overflow);
  await declare({ ranges: [{ from: 0, to: 29, reason: "overflow" }], end: 30 });
  assert.deepEqual(
    ledger.open(at).map(({ from, to, reason }) => [from, to, reason]),
    [
      [0, 9, "overflow"],
      [10, 19, "expired"],
      [20, 29, "overflow"],
    ],
  );
  const failed = ledger.planTrim(at, { from: 30, end: 40, reason: "overflow" });
  failed.cancel();
  await commit(ledger.planTrim(at, { from: 30, end: 50, reason: "overflow" }));
  await commit(ledger.planTrim(at, { from: 50, end: 60, reason: "overflow" }));
  assert.deepEqual(
    ledger.rows(10).map(({ from, to, state }) => [from, to, state])[0],
    [30, 59, "provisional"],
    "one row as long as they come one after another",
  );
});

test("loss ledger: a declaration leaves alone what is trimmed while it is on its way", async (t) => {
  const { ledger, commit, planned, declare, again } = await start(t);
  await commit(ledger.planTrim(at, { from: 0, end: 10, reason: "expired" }));
  const growing = ledger.planTrim(at, { from: 10, end: 20, reason: "expired" });
  const first = planned({ ranges: [{ from: 0, to: 9, reason: "overflow" }], end: 10 });
  await commit(growing);
  await commit(first);
  // Trimmed by the time it is planned, and not yet known to who declares.
  await declare({ from: 10, end: 10 });
  const next = await again();
  for (const each of [ledger, next.ledger]) {
    const provisional = each.rows(10).find(({ state }) => state === "provisional");
    assert.equal(provisional?.to, 19);
  }
  await declare({ ranges: [{ from: 10, to: 19, reason: "overflow" }], from: 10, end: 20 });
  assert.deepEqual(
    ledger.rows(10).map(({ from, to, reason, state }) => [from, to, reason, state]),
    [
      [10, 19, "expired", "open"],
      [0, 9, "expired", "open"],
    ],
  );
  assert.equal((await again()).ledger.rows(10).length, 2);
});

test("loss ledger: what made room is provisional until the hub has said where it stands", async (t) => {
  const { ledger, commit, declare, open, again, pass } = await start(t);
  await commit(ledger.planTrim(at, { from: 10, end: 20, reason: "overflow" }));
  pass(60_000);
  await commit(ledger.planTrim(at, { from: 20, end: 50, reason: "overflow" }));
  assert.deepEqual(open(), []);
  assert.deepEqual(ledger.totals(at), { stored: 0, unstored: 0 });
  assert.deepEqual(ledger.counts(), [{ topic: "a", reason: "overflow", records: 40 }]);
  // It was sent before it went, and the hub says so later; a lane of newer records has come further still.
  const until = (...settled: readonly number[]) =>
    ledger.counts(() => [
      { start: 0, end: 40, settled: settled[0] ?? 0 },
      { start: 40, end: Infinity, settled: settled[1] ?? 40 },
    ]);
  assert.deepEqual(until(15), [{ topic: "a", reason: "overflow", records: 35 }]);
  assert.deepEqual(until(15, 60), [{ topic: "a", reason: "overflow", records: 25 }]);
  assert.deepEqual(until(40, 60), []);
  assert.deepEqual(
    ledger.rows(10, () => [{ start: 0, end: Infinity, settled: 50 }]),
    [],
  );
  const next = await again();
  pass(60_000);
  // The hub had five of them after all.
  await next.declare({ ranges: [{ from: 15, to: 49, reason: "overflow" }], from: 15, settled: 50 });
  const [row, ...others] = next.ledger.rows(10);
  assert.deepEqual(others, []);
  assert.deepEqual([row?.from, row?.to, row?.records, row?.since, row?.until], [15, 49, 35, 1000, 61_000]);
  assert.deepEqual(open(), []);
  await declare({});
  assert.deepEqual(ledger.rows(10), []);
});

test("loss ledger: what expired is told apart from what made room", async (t) => {
  const { ledger, commit, declare } = await start(t);
  await commit(ledger.planTrim(at, { from: 10, end: 20, reason: "expired" }));
  await commit(ledger.planTrim(at, { from: 20, end: 30, reason: "overflow" }));
  await commit(ledger.planTrim(at, { from: 32, end: 40, reason: "expired" }));
  await declare({ ranges: [{ from: 5, to: 44, reason: "overflow" }], from: 5, settled: 45 });
  assert.deepEqual(
    ledger.open(at).map(({ from, to, reason }) => [from, to, reason]),
    [
      [5, 9, "overflow"],
      [10, 19, "expired"],
      [20, 29, "overflow"],
      [30, 31, "overflow"],
      [32, 39, "expired"],
      [40, 44, "overflow"],
    ],
  );
});

test("loss ledger: a hub that fell back makes void what was declared behind it", async (t) => {
  const { ledger, declare, again } = await start(t);
  await declare({ ranges: [{ from: 10, to: 19, reason: "overflow" }], from: 10, settled: 20 });
  await declare({ ranges: [{ from: 30, to: 39, reason: "corrupt" }], from: 30, settled: 40 });
  await declare({ ranges: [{ from: 25, to: 49, reason: "rewound" }], from: 25, settled: 50, hubRecords: 15 });
  for (const each of [ledger, (await again()).ledger]) {
    assert.deepEqual(each.totals(at), { stored: 35, unstored: 0 });
    assert.equal(each.hubAhead(at), 0);
  }
});

test("loss ledger: the hub's count is what was delivered, or the difference is told", async (t) => {
  const { ledger, declare, again } = await start(t);
  await declare({ ranges: [{ from: 10, to: 19, reason: "overflow" }], from: 10, settled: 20 });
  assert.equal(ledger.reconcile(at, 30, 20), 0);
  assert.deepEqual(ledger.differences(), []);
  assert.equal(ledger.reconcile(at, 30, 23), 3);
  assert.deepEqual(ledger.differences(), [{ ...at, records: 3 }]);
  // This log has lost its tail: from here on both count anew.
  await declare({ settled: 25, from: 25, hubRecords: 23 });
  assert.deepEqual(ledger.differences(), []);
  const next = await again();
  assert.equal(next.ledger.hubAhead(at), 8);
  assert.equal(next.ledger.reconcile(at, 30, 28), 0);
});

test("loss ledger: confirmed rows beyond the limit are folded, and still count", async (t) => {
  const { ledger, declare, drop, again } = await start(t, 2);
  for (let offset = 0; offset < 50; offset += 10) {
    await declare({
      ranges: [{ from: offset, to: offset + 4, reason: "overflow" }],
      from: offset,
      settled: offset + 5,
    });
    await ledger.confirm(ledger.open(at)[0]?.id ?? 0, 5);
    await drop(1);
    await ledger.confirm(ledger.open(at)[0]?.id ?? 0, 1);
  }
  for (const each of [ledger, (await again()).ledger]) {
    assert.equal(each.rows(100).length, 2);
    assert.deepEqual(each.totals(at), { stored: 25, unstored: 5 });
    assert.deepEqual(each.counts(), [{ topic: "a", reason: "overflow", records: 30 }]);
  }
});

test("loss ledger: what the hub has confirmed and forgotten is declared again", async (t) => {
  const { ledger, declare, drop, open, again } = await start(t);
  await declare({ ranges: [{ from: 10, to: 19, reason: "overflow" }], from: 10, settled: 20 });
  await drop(3, 20);
  for (const { id, records } of ledger.open(at)) await ledger.confirm(id, records);
  assert.ok(!ledger.isForgotten(at, 13));
  assert.ok(ledger.isForgotten(at, 10));
  await ledger.declareAgain(at);
  const rows = [
    [10, 19, 10],
    [20, 19, 3],
  ];
  assert.deepEqual(open(), rows);
  const next = await again();
  assert.deepEqual(next.open(), rows);
  assert.deepEqual(next.ledger.totals(at), { stored: 10, unstored: 3 });
});

test("loss ledger: a hub that forgot what this log had lost before is ahead by less; anything else is a difference", async (t) => {
  const { ledger, declare, again } = await start(t);
  await declare({ settled: 20, from: 20, hubRecords: 25 });
  assert.equal(ledger.hubAhead(at), 5);
  await declare({ settled: 20, from: 20, hubRecords: 22, isForgetful: true });
  assert.equal((await again()).ledger.hubAhead(at), 2);
  assert.deepEqual(ledger.differences(), []);
  for (const hubRecords of [19, 23]) {
    await declare({ settled: 20, from: 20, hubRecords, isForgetful: true });
    assert.equal(ledger.hubAhead(at), 2);
    assert.deepEqual(ledger.differences(), [{ ...at, records: hubRecords - 22 }]);
  }
});
