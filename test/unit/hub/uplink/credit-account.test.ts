import assert from "node:assert/strict";
import test from "node:test";
import { CreditAccount } from "../../../../hub/uplink/credit-account.ts";

test("credit: an agent may send its window and no more", () => {
  const account = new CreditAccount(100);
  assert.equal(account.take(60), true);
  assert.equal(account.take(40), true);
  assert.equal(account.take(1), false);
});

test("credit: a batch larger than the window may come alone", () => {
  const account = new CreditAccount(100);
  assert.equal(account.take(500), true);
  assert.equal(account.take(1), false);
});

test("credit: it returns by quarters of the window, and whole when nothing waits", () => {
  const account = new CreditAccount(100);
  for (let batch = 0; batch < 10; batch++) account.take(10);
  assert.equal(account.giveBack(10), 0);
  assert.equal(account.giveBack(10), 0);
  assert.equal(account.giveBack(10), 30);
  for (let batch = 0; batch < 2; batch++) assert.equal(account.giveBack(10), 0);
  assert.equal(account.giveBack(10), 30);
  for (let batch = 0; batch < 2; batch++) assert.equal(account.giveBack(10), 0);
  assert.equal(account.giveBack(10), 30);
  assert.equal(account.giveBack(10), 10);
});
