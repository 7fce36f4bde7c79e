import assert from "node:assert/strict";
import test from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";
import { addBalances, balanceOf } from "../../../../agent/ledger/balance.ts";

const place = (logStartOffset: number, logEndOffset: number) => ({ logStartOffset, logEndOffset });
const none = { stored: 0, unstored: 0 };

test("balance: what is behind the hub's confirmation is pending", () => {
  assert.deepEqual(balanceOf(place(10, 30), 25, none), { accepted: 30, delivered: 25, pending: 5, dropped: 0 });
});

test("balance: what made room before the hub confirmed it counts as dropped until it does", () => {
  assert.deepEqual(balanceOf(place(40, 100), 25, none), { accepted: 100, delivered: 25, pending: 60, dropped: 15 });
  assert.deepEqual(balanceOf(place(40, 100), 30, none), { accepted: 100, delivered: 30, pending: 60, dropped: 10 });
});

test("balance: declared losses are not delivered, and drops that were never stored were accepted all the same", () => {
  const totals = { stored: 15, unstored: 7 };
  assert.deepEqual(balanceOf(place(40, 100), 40, totals), { accepted: 107, delivered: 25, pending: 60, dropped: 22 });
});

test("balance: accepted = delivered + pending + dropped, whatever happened", (t) => {
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const upTo = (max: number): number => Math.floor(random.next() * (max + 1));
  const balances = Array.from({ length: 1000 }, () => {
    const end = upTo(1000);
    const settled = upTo(end);
    return balanceOf(place(upTo(end), end), settled, { stored: upTo(settled), unstored: upTo(50) });
  });
  for (const { accepted, delivered, pending, dropped } of [...balances, addBalances(balances)]) {
    assert.equal(accepted, delivered + pending + dropped);
  }
});
