import assert from "node:assert/strict";
import test from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";
import { addBalances, balanceOf, historyPending } from "../../../../agent/ledger/balance.ts";

const place = (logStartOffset: number, logEndOffset: number) => ({ logStartOffset, logEndOffset });
const upTo = (settled: number) => [{ start: 0, end: Infinity, settled }];
const none = { stored: 0, unstored: 0 };

test("balance: what is behind the hub's confirmation is pending", () => {
  assert.deepEqual(balanceOf(place(10, 30), upTo(25), none), { accepted: 30, delivered: 25, pending: 5, dropped: 0 });
});

test("balance: what made room before the hub confirmed it counts as dropped until it does", () => {
  assert.deepEqual(balanceOf(place(40, 100), upTo(25), none), {
    accepted: 100,
    delivered: 25,
    pending: 60,
    dropped: 15,
  });
  assert.deepEqual(balanceOf(place(40, 100), upTo(30), none), {
    accepted: 100,
    delivered: 30,
    pending: 60,
    dropped: 10,
  });
});

test("balance: declared losses are not delivered, and drops that were never stored were accepted all the same", () => {
  const totals = { stored: 15, unstored: 7 };
  assert.deepEqual(balanceOf(place(40, 100), upTo(40), totals), {
    accepted: 107,
    delivered: 25,
    pending: 60,
    dropped: 22,
  });
});

test("balance: accepted = delivered + pending + dropped, whatever happened", (t) => {
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const atMost = (max: number): number => Math.floor(random.next() * (max + 1));
  const balances = Array.from({ length: 1000 }, () => {
    const end = atMost(1000);
    const settled = atMost(end);
    return balanceOf(place(atMost(end), end), upTo(settled), { stored: atMost(settled), unstored: atMost(50) });
  });
  for (const { accepted, delivered, pending, dropped } of [...balances, addBalances(balances)]) {
    assert.equal(accepted, delivered + pending + dropped);
  }
});

test("balance: a divided partition -> each window counts by itself, and all but the last are history", () => {
  const places = [
    { start: 100, end: 200, settled: 130 },
    { start: 200, end: 300, settled: 300 },
    { start: 300, end: Infinity, settled: 350 },
  ];
  const totals = { stored: 10, unstored: 0 };
  assert.deepEqual(balanceOf(place(120, 360), places, totals), {
    accepted: 360,
    delivered: 270,
    pending: 80,
    dropped: 10,
  });
  assert.equal(historyPending(place(120, 360), places), 70);
  // The oldest made room: nobody knows yet whether the hub had it.
  const { pending, dropped } = balanceOf(place(150, 360), places, totals);
  assert.deepEqual({ pending, dropped }, { pending: 60, dropped: 30 });
});
