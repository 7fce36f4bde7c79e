/** Members of a group that freeze, and come and go all the time: no committed offset is lost, nothing is left out. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { describeMembers, publish, startMember, startWithEvents, watchCommits } from "../support/kafkajs-group.ts";
import type { Member } from "../support/kafkajs-group.ts";
import { seededRandom } from "../../bin/demo/random.ts";
import { eventsRoute } from "../support/test-routes.ts";
import { topicEnds, waitForRecords } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 60_000;
const MEMBERS_MAX = 5;
const STORM_STEPS = 14;
const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9);
const { topic } = eventsRoute;

/** Each offset was read by somebody. */
function assertAllRead(members: readonly Member[], ends: ReadonlyMap<number, number>): void {
  for (const [partition, end] of ends) {
    const all = new Set(members.flatMap(({ read }) => read.get(partition) ?? []));
    assert.equal(all.size, end, `nothing of partition ${partition} is left out`);
  }
}

const readBy = (members: readonly Member[]): number => members.reduce((sum, each) => sum + each.readCount(), 0);

function isAtEnds(members: readonly Member[], ends: ReadonlyMap<number, number>): boolean {
  return [...ends].every(([partition, end]) => members.some(({ committed }) => committed.get(partition) === end));
}

suite("rebalances", () => {
  test("a member stands still for longer than its session: another takes over, and its late commits change nothing", async (t) => {
    const { hub, agent, admin } = await startWithEvents(t, 20_000);
    const [frozen, heir] = [await startMember(t, hub), await startMember(t, hub)] as const;
    const members = [frozen, heir];
    const describe = (): string => describeMembers(members);
    await waitUntil(() => members.every(({ assigned, readCount }) => assigned.length === 2 && readCount() > 500), {
      what: "both members at work",
      deadlineMs: DEADLINE_MS,
      describe,
    });
    const commits = watchCommits(admin);
    frozen.child.signal("SIGSTOP");
    const before = frozen.readCount();
    await waitUntil(() => heir.assigned.length === 4, {
      what: "the other to have all partitions",
      deadlineMs: DEADLINE_MS,
      describe,
    });
    await publish(t, agent.mqttPort, { name: "late", count: 4000 });
    await waitForRecords(admin, { topic, count: 24_000, deadlineMs: DEADLINE_MS });
    const ends = await topicEnds(admin, topic);
    await waitUntil(() => isAtEnds([heir], ends), { what: "the other at the ends", deadlineMs: DEADLINE_MS, describe });
    frozen.child.signal("SIGCONT");
    const isBack = (): boolean => heir.assigned.length === 2;
    await waitUntil(() => isBack() || frozen.child.exit !== undefined, {
      what: "the member to be back, or to give up",
      deadlineMs: DEADLINE_MS,
      describe,
    });
    // KafkaJS joins again when one of its commits is refused, and ends when two are; then its supervisor starts it.
    if (!isBack()) members.push(await startMember(t, hub));
    await waitUntil(isBack, { what: "two members again", deadlineMs: DEADLINE_MS, describe });
    await publish(t, agent.mqttPort, { name: "last", count: 4000 });
    await waitForRecords(admin, { topic, count: 28_000, deadlineMs: DEADLINE_MS });
    const last = await topicEnds(admin, topic);
    await waitUntil(() => isAtEnds(members, last), { what: "both at the ends", deadlineMs: DEADLINE_MS, describe });
    assert.deepEqual(await commits.end(), [], "no committed offset went back");
    assert.ok(readBy(members) - heir.readCount() > before, "the other one reads again");
    assertAllRead(members, last);
  });

  test("members come, go and are killed all the time while records arrive: all are read, no commit is lost", async (t) => {
    t.diagnostic(`SEED=${SEED}`);
    const random = seededRandom(SEED);
    const { hub, agent, admin } = await startWithEvents(t, 10_000);
    const everybody: Member[] = [];
    let running: Member[] = [];
    const describe = (): string => describeMembers(everybody);
    const commits = watchCommits(admin);
    for (let step = 0; step < STORM_STEPS; step++) {
      // KafkaJS ends by itself when two of its commits are refused at once.
      running = running.filter(({ child }) => child.exit === undefined);
      const isComing = running.length === 0 || (running.length < MEMBERS_MAX && random.next() < 0.6);
      if (isComing) {
        const member = await startMember(t, hub);
        running.push(member);
        everybody.push(member);
      } else {
        const going = running[Math.floor(random.next() * running.length)] as Member;
        running = running.filter((member) => member !== going);
        if (random.next() < 0.5) await going.child.kill9();
        else going.child.signal("SIGTERM");
      }
      await publish(t, agent.mqttPort, { name: `step${step}-`, count: 200 });
      const so = readBy(running);
      // Sometimes in the middle of a rebalance, sometimes at work.
      const wanted = random.next() < 0.5 || running.length === 0 ? 0 : 1;
      await waitUntil(() => readBy(running) >= so + wanted, {
        what: "somebody to read",
        deadlineMs: DEADLINE_MS,
        describe,
      });
    }
    if (running.every(({ child }) => child.exit !== undefined)) {
      const member = await startMember(t, hub);
      running.push(member);
      everybody.push(member);
    }
    await waitForRecords(admin, { topic, count: 10_000 + 200 * STORM_STEPS, deadlineMs: DEADLINE_MS });
    const ends = await topicEnds(admin, topic);
    await waitUntil(() => isAtEnds(everybody, ends), {
      what: "the group at the end of every partition",
      deadlineMs: DEADLINE_MS,
      describe,
    });
    assert.deepEqual(await commits.end(), [], "no committed offset went back");
    assertAllRead(everybody, ends);
  });
});
