import assert from "node:assert/strict";
import test from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";
import { failuresAfter, retryDelayMs, STABLE_CONNECTION_MS } from "../../../../agent/uplink/backoff.ts";

const limits = { retryMinMs: 1000, retryMaxMs: 300_000 };

test("backoff: the bound doubles with every failure up to the maximum", () => {
  const bounds = [0, 1, 2, 5, 8, 9, 50, 5000].map((failures) => retryDelayMs(limits, failures, 1));
  assert.deepEqual(bounds, [1000, 2000, 4000, 32_000, 256_000, 300_000, 300_000, 300_000]);
});

test("backoff: full jitter takes a random part of the bound, down to nothing", () => {
  assert.equal(retryDelayMs(limits, 3, 0), 0);
  assert.equal(retryDelayMs(limits, 3, 0.5), 4000);
});

test("backoff: a connection that did not last is a failure like none at all", () => {
  assert.equal(failuresAfter(4, undefined), 5);
  assert.equal(failuresAfter(4, STABLE_CONNECTION_MS - 1), 5);
  assert.equal(failuresAfter(4, STABLE_CONNECTION_MS), 0);
});

/** How long after the hub's return each of the agents has its first attempt, when all lost it at once. */
function returnsAfter(outageMs: number, agents: number, random: () => number): number[] {
  return Array.from({ length: agents }, () => {
    let atMs = 0;
    for (let failures = 0; atMs <= outageMs; failures++) atMs += retryDelayMs(limits, failures, random());
    return atMs - outageMs;
  });
}

const fleets = [
  { outage: "a restart of a second", outageMs: 1_000, allWithinMs: 60_000, busiestSecondMax: 160 },
  { outage: "ten minutes", outageMs: 600_000, allWithinMs: 300_000, busiestSecondMax: 20 },
  { outage: "a day", outageMs: 86_400_000, allWithinMs: 300_000, busiestSecondMax: 20 },
];

for (const { outage, outageMs, allWithinMs, busiestSecondMax } of fleets) {
  test(`backoff: 200 agents after ${outage} -> all back within ${allWithinMs / 1000} s, at most ${busiestSecondMax} in a second`, (t) => {
    const seed = Date.now() % 1_000_000;
    const random = seededRandom(seed);
    const returns = returnsAfter(outageMs, 200, () => random.next());
    const perSecond = new Map<number, number>();
    for (const ms of returns) perSecond.set(Math.floor(ms / 1000), (perSecond.get(Math.floor(ms / 1000)) ?? 0) + 1);
    const last = Math.max(...returns);
    const busiest = Math.max(...perSecond.values());
    t.diagnostic(`seed ${seed}: the last after ${last} ms, ${busiest} in the busiest second`);
    assert.ok(last <= allWithinMs && busiest <= busiestSecondMax, `seed ${seed}: ${last} ms, ${busiest}`);
  });
}
