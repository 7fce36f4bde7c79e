import assert from "node:assert/strict";
import test from "node:test";
import { ADDRESSES_MAX, UpgradeLimiter } from "../../../../hub/uplink/upgrade-limiter.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

test("upgrade limiter: so many a minute and address, then again", async () => {
  const clock = new VirtualTimers();
  const limiter = new UpgradeLimiter(clock, 2);
  assert.deepEqual(
    [1, 2, 3].map(() => limiter.admit("192.0.2.1")),
    [true, true, false],
  );
  assert.equal(limiter.admit("192.0.2.2"), true);
  await clock.advance(59_999);
  assert.equal(limiter.admit("192.0.2.1"), false);
  await clock.advance(1);
  assert.equal(limiter.admit("192.0.2.1"), true);
});

test("upgrade limiter: this machine may as often as it likes", () => {
  const limiter = new UpgradeLimiter(new VirtualTimers(), 1);
  for (const address of ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]) {
    for (let time = 0; time < 5; time++) assert.equal(limiter.admit(address), true);
  }
});

test("upgrade limiter: the addresses it remembers are bounded", () => {
  const limiter = new UpgradeLimiter(new VirtualTimers(), 1);
  limiter.admit("first");
  for (let address = 0; address < ADDRESSES_MAX; address++) limiter.admit(`address ${address}`);
  assert.equal(limiter.admit("first"), true);
});
