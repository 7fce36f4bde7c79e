import assert from "node:assert/strict";
import { test } from "node:test";
import { CommitPacer } from "../../../../shared/log/commit-pacer.ts";
import type { Durability } from "../../../../shared/record.ts";

const LINGER_MS = 4;

type Comes = (atMs: number, answeredMs: number) => number;

/**
 * Commits as soon as there is something and the pacer lets it, one flush at a time. `comes`: how many messages
 * arrive at `atMs`, when the last answers left at `answeredMs`. Returns the messages that each commit carried, by its start.
 */
function run(
  comes: Comes,
  {
    forMs,
    lingerMs = LINGER_MS,
    flushMs = 1,
    ...rest
  }: {
    forMs: number;
    durability?: Durability;
    lingerMs?: number;
    flushMs?: number;
  },
) {
  const { durability = "fsync" } = rest;
  const pacer = new CommitPacer({ intervalMs: 0, lingerMs });
  const commits: { atMs: number; carried: number }[] = [];
  let gathered = 0;
  let answeredMs = 0;
  for (let atMs = 0; atMs < forMs; atMs += 0.25) {
    gathered += comes(atMs, answeredMs);
    if (gathered === 0 || atMs < answeredMs || atMs < pacer.dueAtMs) continue;
    pacer.began(atMs, { messages: gathered, durability });
    commits.push({ atMs, carried: gathered });
    gathered = 0;
    answeredMs = atMs + flushMs;
  }
  return commits;
}

const mean = (commits: readonly { carried: number }[]): number =>
  commits.reduce((sum, { carried }) => sum + carried, 0) / commits.length;

/** So many clients, each of which sends its next message so long after its answer. */
const waitingClients =
  (count: number, afterMs = 0.25): Comes =>
  (atMs, answeredMs) =>
    atMs === answeredMs + afterMs || atMs === 0 ? count : 0;

/** One each `everyMs`. */
const steady =
  (everyMs: number): Comes =>
  (atMs) =>
    atMs % everyMs === 0 ? 1 : 0;

test("pacer: while many messages come, commits linger for more of them", () => {
  const commits = run(steady(0.5), { forMs: 20_000 });
  assert.ok(mean(commits) > 6.5, `${mean(commits)} messages a commit`);
  assert.ok(Math.max(...commits.map(({ carried }) => carried)) <= 8);
});

for (const flushMs of [0.25, 1, 3]) {
  test(`pacer: publishers that wait for their answers are hardly held back, flushes of ${flushMs} ms`, () => {
    for (const count of [1, 4, 50]) {
      const alone = run(waitingClients(count), { forMs: 60_000, flushMs, lingerMs: 0 });
      const lingering = run(waitingClients(count), { forMs: 60_000, flushMs });
      const share = lingering.length / alone.length;
      assert.ok(share > 0.98, `${share} of the commits with ${count} clients`);
    }
  });
}

test("pacer: few messages do not wait for others that are not to come soon", () => {
  for (const everyMs of [2.5, 10]) {
    const commits = run(steady(everyMs), { forMs: 2000 });
    assert.ok(commits.every(({ atMs }) => atMs % everyMs === 0));
  }
});

test("pacer: when the load falls, nothing waits for long", () => {
  const comes: Comes = (atMs) => (atMs < 10_000 ? steady(0.25)(atMs, 0) : steady(10)(atMs, 0));
  const commits = run(comes, { forMs: 12_000 }).filter(({ atMs }) => atMs > 10_000 + 2 * 128);
  assert.ok(commits.length > 100 && commits.every(({ atMs }) => atMs % 10 === 0));
});

test("pacer: a load that changes its kind is noticed within seconds", () => {
  const comes: Comes = (atMs, answeredMs) =>
    atMs < 60_000 ? waitingClients(4)(atMs, answeredMs) : steady(0.25)(atMs, 0);
  const after = run(comes, { forMs: 90_000 }).filter(({ atMs }) => atMs > 60_000 + 16_500);
  assert.ok(mean(after) > 12, `${mean(after)} messages a commit`);
  const back: Comes = (atMs, answeredMs) =>
    atMs < 60_000 ? steady(0.25)(atMs, 0) : waitingClients(4)(atMs, answeredMs);
  const alone = run(waitingClients(4), { forMs: 10_000, lingerMs: 0 });
  const soon = run(back, { forMs: 73_000 }).filter(({ atMs }) => atMs > 63_000);
  assert.ok(soon.length > 0.9 * alone.length, `${soon.length} of ${alone.length} commits`);
});

test("pacer: commits that are not flushed never linger", () => {
  const commits = run(steady(0.5), { forMs: 2000, durability: "os" });
  assert.ok(mean(commits) <= 2, `${mean(commits)} messages a commit`);
});

test("pacer: the interval counts where it is longer, and nothing lingers beyond it", () => {
  const pacer = new CommitPacer({ intervalMs: 50, lingerMs: LINGER_MS });
  for (let atMs = 0; atMs < 1000; atMs += 50) {
    pacer.began(atMs, { messages: 500, durability: "fsync" });
    assert.equal(pacer.dueAtMs, atMs + 50);
  }
});
