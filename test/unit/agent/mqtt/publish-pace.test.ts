import assert from "node:assert/strict";
import { test } from "node:test";
import { PublishPace } from "../../../../agent/mqtt/publish-pace.ts";

test("pace: a client within its rate never waits", () => {
  const pace = new PublishPace(500);
  for (let i = 0; i < 10_000; i++) assert.equal(pace.delayMs(i * 2), 0);
});

test("pace: a second's worth may come at once, then each message waits for its turn", () => {
  const pace = new PublishPace(500);
  const delays = Array.from({ length: 1000 }, () => pace.delayMs(0));
  assert.ok(delays.slice(0, 500).every((delay) => delay === 0));
  assert.ok(Math.abs((delays.at(-1) ?? 0) - 1000) < 1e-6, "the thousandth waits a second more");
});

test("pace: who was silent may burst again, but not twice as much", () => {
  const pace = new PublishPace(10);
  for (let i = 0; i < 10; i++) assert.equal(pace.delayMs(0), 0);
  assert.ok(pace.delayMs(0) > 0);
  for (let i = 0; i < 10; i++) assert.equal(pace.delayMs(60_000), 0);
  assert.ok(pace.delayMs(60_000) > 0);
});
