import assert from "node:assert/strict";
import { test } from "node:test";
import { compare } from "../../../../bench/report/compare.ts";
import { peersAhead, performancePage } from "../../../../bench/report/performance-page.ts";
import { median, ratio, resultsFile } from "../../../../bench/report/results.ts";
import type { Results, Values } from "../../../../bench/report/results.ts";

function resultsOf(rounds: readonly { readonly ours: Values; readonly theirs?: Values }[]): Results {
  const run = (contender: string, round: number, values: Values) => ({ row: "row", round, contender, values });
  return {
    name: "test",
    claim: "Claim",
    command: "node bench/test.ts",
    date: "2026-01-01",
    machine: "machine",
    contenders: ["tributary", "peer"].map((name) => ({ name, version: "1", durability: "none" })),
    metrics: [
      { key: "rate", title: "rate", digits: 0, better: "more", isGuarded: true },
      { key: "cost", title: "cost", digits: 0, better: "less", isGuarded: true },
      { key: "free", title: "free", digits: 0, better: "less" },
    ],
    runs: rounds.flatMap(({ ours, theirs }, round) => [
      run("tributary", round, ours),
      ...(theirs === undefined ? [] : [run("peer", round, theirs)]),
    ]),
  };
}

test("median: the middle, or between the two middle ones; none of nothing", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test("ratio: of measurements of the same round, so that a slow round does not count", () => {
  const rounds = [
    { ours: { rate: 200 }, theirs: { rate: 100 } },
    { ours: { rate: 20 }, theirs: { rate: 10 } },
    { ours: { rate: 1000 } },
  ];
  assert.equal(ratio(resultsOf(rounds), "row", "peer", "rate"), 2);
  assert.ok(Number.isNaN(ratio(resultsOf([{ ours: { rate: 1 }, theirs: { rate: 0 } }]), "row", "peer", "rate")));
});

test("compare: half the rate and double the cost are worse by a half; what is not guarded is not compared", () => {
  const recorded = resultsOf([{ ours: { rate: 10, cost: 10, free: 1 }, theirs: { rate: 10, cost: 10, free: 1 } }]);
  const now = resultsOf([{ ours: { rate: 5, cost: 20, free: 9 }, theirs: { rate: 10, cost: 10, free: 1 } }]);
  const { changes, missing } = compare(recorded, now);
  assert.deepEqual(
    changes.map(({ metric, worse }) => [metric, worse]),
    [
      ["rate", 0.5],
      ["cost", 0.5],
    ],
  );
  assert.deepEqual(missing, []);
  assert.ok(compare(now, recorded).changes.every(({ worse }) => worse < 0));
});

test("compare: a rate that others share is compared on an idle machine only", () => {
  const { metrics, ...results } = resultsOf([{ ours: { rate: 10 }, theirs: { rate: 10 } }]);
  const shared = {
    ...results,
    metrics: metrics.map((metric) => ({ ...metric, isGuarded: false, isGuardedWhenIdle: true })),
  };
  assert.equal(compare(shared, shared).changes.length, 0);
  assert.equal(compare(shared, shared, { isIdle: true }).changes.length, 1);
});

test("compare: what was recorded and is not measured now is missing", () => {
  const recorded = resultsOf([{ ours: { rate: 10 }, theirs: { rate: 10 } }]);
  assert.deepEqual(compare(recorded, resultsOf([{ ours: { rate: 10 } }])).missing, ["row, peer: rate"]);
});

test("page: says where a peer is ahead, and where none is", () => {
  const behind = resultsOf([{ ours: { rate: 5, cost: 10 }, theirs: { rate: 10, cost: 10.5 } }]);
  assert.deepEqual(peersAhead(behind), ["- row, peer: rate 10 (ours ×0.50)."]);
  assert.match(performancePage([behind]), /\| peer \| 10 ×0\.50 \| 11 ×0\.95 \| – \|/);
  const ahead = resultsOf([{ ours: { rate: 20, cost: 1 }, theirs: { rate: 10, cost: 10 } }]);
  assert.match(performancePage([ahead]), /No peer is ahead/);
});

test("file: the results as they were", () => {
  const results = resultsOf([{ ours: { rate: 5 }, theirs: { rate: 10 } }]);
  assert.deepEqual(JSON.parse(resultsFile(results)), results);
});
