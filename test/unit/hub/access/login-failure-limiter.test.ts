import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESSES_MAX, LoginFailureLimiter } from "../../../../hub/access/login-failure-limiter.ts";

function limiterAt(failuresPerMinuteMax: number) {
  const time = { nowMs: 0 };
  const clock = { wallMs: () => 0, monotonicMs: () => time.nowMs };
  return { time, limiter: new LoginFailureLimiter(clock, failuresPerMinuteMax) };
}

test("an address is blocked at its last failure, for the rest of the minute", () => {
  const { time, limiter } = limiterAt(3);
  for (let count = 0; count < 3; count++) {
    assert.equal(limiter.isBlocked("192.0.2.1"), false);
    limiter.countFailure("192.0.2.1");
    time.nowMs += 10_000;
  }
  assert.equal(limiter.isBlocked("192.0.2.1"), true);
  assert.equal(limiter.isBlocked("192.0.2.2"), false);
  time.nowMs = 59_999;
  assert.equal(limiter.isBlocked("192.0.2.1"), true);
  time.nowMs = 60_000;
  assert.equal(limiter.isBlocked("192.0.2.1"), false);
});

test("addresses of this machine are never blocked", () => {
  const { limiter } = limiterAt(1);
  for (const address of ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"]) {
    limiter.countFailure(address);
    assert.equal(limiter.isBlocked(address), false);
  }
});

test("addresses remembered are bounded: the oldest minute is forgotten", () => {
  const { limiter } = limiterAt(1);
  const address = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  for (let index = 0; index <= ADDRESSES_MAX; index++) limiter.countFailure(address(index));
  assert.equal(limiter.isBlocked(address(0)), false);
  assert.equal(limiter.isBlocked(address(1)), true);
  assert.equal(limiter.isBlocked(address(ADDRESSES_MAX)), true);
});
