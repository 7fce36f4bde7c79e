import assert from "node:assert/strict";
import test from "node:test";
import { LEFT_ADDRESSES_MAX, TRUST_MS, UpgradeLimiter } from "../../../../hub/uplink/upgrade-limiter.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

const SITE = "192.0.2.1";
const limits = { failuresPerMinuteMax: 2, upgradesPerMinuteMax: 3 };

function guarded({ isGuessable = true } = {}) {
  const clock = new VirtualTimers();
  const isAuthorized = (authorization: string | undefined): boolean => authorization === "right";
  const limiter = new UpgradeLimiter(clock, limits, { isAuthorized, isGuessable });
  const tryAll = (address: string, ...tokens: (string | undefined)[]) =>
    tokens.map((token) => limiter.judge(address, token));
  return { clock, limiter, tryAll };
}

test("upgrade limiter: the right token is let in, however often", () => {
  const { tryAll } = guarded();
  const verdicts = tryAll(SITE, ...Array.from({ length: 1000 }, () => "right"));
  assert.deepEqual([...new Set(verdicts)], ["admitted"]);
});

test("upgrade limiter: so many wrong tokens a minute and address, then nothing is heard that could be guessed", async () => {
  const { clock, tryAll } = guarded();
  assert.deepEqual(tryAll(SITE, "a", undefined, "b"), ["unauthorized", "unauthorized", "too-often"]);
  assert.deepEqual(tryAll(SITE, "right"), ["too-often"]);
  assert.deepEqual(tryAll("192.0.2.2", "right", "a"), ["admitted", "unauthorized"]);
  await clock.advance(59_999);
  assert.deepEqual(tryAll(SITE, "c"), ["too-often"]);
  await clock.advance(1);
  assert.deepEqual(tryAll(SITE, "right", "c"), ["admitted", "unauthorized"]);
});

test("upgrade limiter: a token that nobody guesses is heard, whoever else hammers from there, as through one proxy", () => {
  const { tryAll } = guarded({ isGuessable: false });
  const verdicts = tryAll(SITE, "a", "b", "c", "right", "d");
  assert.deepEqual(verdicts, ["unauthorized", "unauthorized", "too-often", "admitted", "too-often"]);
});

test("upgrade limiter: who hammers from an agent's own address does not lock the agent out", async () => {
  const { clock, limiter, tryAll } = guarded();
  limiter.joined(SITE);
  limiter.joined(SITE);
  assert.deepEqual(tryAll(SITE, "a", "b", "c"), ["unauthorized", "unauthorized", "too-often"]);
  assert.deepEqual(tryAll(SITE, "right", "c"), ["admitted", "too-often"]);
  limiter.left(SITE);
  await clock.advance(2 * TRUST_MS);
  tryAll(SITE, "a", "b", "c");
  assert.deepEqual(tryAll(SITE, "right"), ["admitted"], "one agent is still connected");
  limiter.left(SITE);
  await clock.advance(TRUST_MS - 1);
  tryAll(SITE, "a", "b", "c");
  assert.deepEqual(tryAll(SITE, "right"), ["admitted"], "it was connected within the hour");
  await clock.advance(1);
  assert.deepEqual(tryAll(SITE, "right"), ["too-often"]);
});

test("upgrade limiter: without a token every attempt counts, and nobody has earned trust", async () => {
  const clock = new VirtualTimers();
  const limiter = new UpgradeLimiter(clock, limits);
  limiter.joined(SITE);
  const verdicts = Array.from({ length: 4 }, () => limiter.judge(SITE, undefined));
  assert.deepEqual(verdicts, ["admitted", "admitted", "admitted", "too-often"]);
  await clock.advance(60_000);
  assert.equal(limiter.judge(SITE, undefined), "admitted");
});

test("upgrade limiter: this machine may as often as it likes", () => {
  const { tryAll } = guarded();
  for (const address of ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]) {
    assert.deepEqual(tryAll(address, "a", "b", "c", "right").at(-1), "admitted");
  }
});

test("upgrade limiter: the addresses it remembers are bounded", () => {
  const { limiter, tryAll } = guarded();
  const leave = (address: string): void => {
    limiter.joined(address);
    limiter.left(address);
  };
  leave(SITE);
  for (let count = 1; count < LEFT_ADDRESSES_MAX; count++) leave(`address ${count}`);
  tryAll(SITE, "a", "b");
  assert.deepEqual(tryAll(SITE, "right"), ["admitted"]);
  leave("one more");
  assert.deepEqual(tryAll(SITE, "right"), ["too-often"]);
});
