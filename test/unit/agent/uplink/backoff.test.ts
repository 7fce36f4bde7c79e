import assert from "node:assert/strict";
import test from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";
import { Backoff, STABLE_CONNECTION_MS } from "../../../../agent/uplink/backoff.ts";

const limits = { retryMinMs: 1000, retryMaxMs: 300_000 };
const heard = { connectedMs: undefined, isUnheard: false, nowMs: 0, random: 1 };
const unheard = { ...heard, isUnheard: true };
const lasted = { ...heard, connectedMs: STABLE_CONNECTION_MS };

test("backoff: the bound doubles with every failure up to the maximum", () => {
  const backoff = new Backoff(limits);
  const bounds = Array.from({ length: 5000 }, () => backoff.failed(heard));
  assert.deepEqual(bounds.slice(0, 3), [1000, 2000, 4000]);
  assert.deepEqual(bounds.slice(7, 10), [128_000, 256_000, 300_000]);
  assert.equal(bounds.at(-1), 300_000);
});

test("backoff: full jitter takes a random part of the bound, down to nothing", () => {
  const backoff = new Backoff(limits);
  assert.equal(backoff.failed({ ...heard, random: 0 }), 0);
  assert.equal(backoff.failed({ ...heard, random: 0.5 }), 1000);
});

test("backoff: a connection that did not last is a failure like none at all; one that did begins anew", () => {
  const backoff = new Backoff(limits);
  backoff.failed(heard);
  assert.equal(backoff.failed({ ...heard, connectedMs: STABLE_CONNECTION_MS - 1 }), 2000);
  assert.equal(backoff.failures, 2);
  assert.equal(backoff.failed(lasted), 1000);
  assert.equal(backoff.failures, 0);
});

test("backoff: attempts that the hub never heard wait for 1 % of their time, between minimum and maximum", () => {
  const backoff = new Backoff(limits);
  backoff.failed(lasted);
  const bounds = [5000, 65_000, 105_000, 605_000, 86_405_000].map((nowMs) => backoff.failed({ ...unheard, nowMs }));
  assert.deepEqual(bounds, [1000, 1000, 1000, 6000, 300_000]);
  assert.equal(backoff.failures, 5);
});

test("backoff: attempts that the hub never heard neither slow down nor forgive those that it heard", () => {
  const backoff = new Backoff(limits);
  const waits = [heard, unheard, heard, unheard, unheard, heard, unheard].map((failure) => backoff.failed(failure));
  assert.deepEqual(waits, [1000, 1000, 2000, 1000, 1000, 4000, 1000]);
});

test("backoff: what the hub heard ends the time for which it heard nothing", () => {
  const backoff = new Backoff(limits);
  backoff.failed(unheard);
  assert.equal(backoff.failed({ ...unheard, nowMs: 1_000_000 }), 10_000);
  backoff.failed({ ...heard, nowMs: 1_000_000 });
  assert.equal(backoff.failed({ ...unheard, nowMs: 1_001_000 }), 1000);
});

type Fleet = {
  readonly outage: string;
  readonly outageMs: number;
  readonly isUnheard: boolean;
  readonly allWithinMs: number;
  readonly busiestSecondMax: number;
};

/** How long after the hub's return each of the agents has its first attempt, when all lost it at once. */
function returnsAfter({ outageMs, isUnheard }: Fleet, agents: number, random: () => number): number[] {
  return Array.from({ length: agents }, () => {
    const backoff = new Backoff(limits);
    let nowMs = backoff.failed({ ...lasted, random: random() });
    while (nowMs <= outageMs) nowMs += backoff.failed({ connectedMs: undefined, isUnheard, nowMs, random: random() });
    return nowMs - outageMs;
  });
}

// What the hub takes in a second: test/integration/uplink/many-agents.test.ts.
const fleets: readonly Fleet[] = [
  { outage: "a busy second", outageMs: 1_000, isUnheard: false, allWithinMs: 60_000, busiestSecondMax: 180 },
  { outage: "ten busy minutes", outageMs: 600_000, isUnheard: false, allWithinMs: 300_000, busiestSecondMax: 20 },
  { outage: "a busy day", outageMs: 86_400_000, isUnheard: false, allWithinMs: 300_000, busiestSecondMax: 20 },
  { outage: "a restart of a second", outageMs: 1_000, isUnheard: true, allWithinMs: 1_000, busiestSecondMax: 200 },
  { outage: "ten minutes", outageMs: 600_000, isUnheard: true, allWithinMs: 6_000, busiestSecondMax: 110 },
  { outage: "a day", outageMs: 86_400_000, isUnheard: true, allWithinMs: 300_000, busiestSecondMax: 20 },
];

for (const fleet of fleets) {
  const { outage, allWithinMs, busiestSecondMax } = fleet;
  test(`backoff: 200 agents after ${outage} -> all back within ${allWithinMs / 1000} s, at most ${busiestSecondMax} in a second`, (t) => {
    const seed = Date.now() % 1_000_000;
    const random = seededRandom(seed);
    const returns = returnsAfter(fleet, 200, () => random.next());
    const perSecond = new Map<number, number>();
    for (const ms of returns) perSecond.set(Math.floor(ms / 1000), (perSecond.get(Math.floor(ms / 1000)) ?? 0) + 1);
    const last = Math.max(...returns);
    const busiest = Math.max(...perSecond.values());
    t.diagnostic(`seed ${seed}: the last after ${last} ms, ${busiest} in the busiest second`);
    assert.ok(last <= allWithinMs && busiest <= busiestSecondMax, `seed ${seed}: ${last} ms, ${busiest}`);
  });
}
