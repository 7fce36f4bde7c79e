/** Consumer groups: three members, a death, the hub's death, and static members. */
import assert from "node:assert/strict";
import { waitForBalance } from "../../support/client-driver.ts";
import type { DriverMember, MemberArguments } from "../../support/client-driver.ts";
import { committedOffsets, kafkaJs, topicEnds } from "../../support/topic-ends.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { DEADLINE_MS, byNumber, createTopic, numberOf, upTo } from "./feature.ts";
import type { Feature, Trial } from "./feature.ts";

const PARTITIONS = 6;
const RECORDS = 600;
/** A member that was killed is missed after so long. */
const SESSION_TIMEOUT_MS = 6000;

type Protocol = "classic" | "consumer";

function startMember({ t, hub, driver, name }: Trial, options: Partial<MemberArguments> = {}): Promise<DriverMember> {
  const sessionTimeoutMs = SESSION_TIMEOUT_MS;
  return driver.member(t, { bootstrap: hub.kafkaAddress, group: name, topic: name, sessionTimeoutMs, ...options });
}

/** Values `g-FROM-x` to `g-END-x`, spread over all partitions. */
async function publish({ hub, name: topic }: Trial, from: number, end: number): Promise<void> {
  const producer = kafkaJs(hub.kafkaAddress).producer();
  await producer.connect();
  const messages = upTo(end - from).map((i) => ({ partition: i % PARTITIONS, value: `g-${from + i}-x` }));
  await producer.send({ topic, messages });
  await producer.disconnect();
}

async function waitForCommits({ admin, name }: Trial, members: readonly DriverMember[]): Promise<void> {
  const ends = await topicEnds(admin, name);
  await waitUntil(
    async () => {
      const committed = await committedOffsets(admin, { group: name, topic: name });
      return [...ends].every(([partition, end]) => committed.get(partition) === end);
    },
    {
      what: "the group's commits at the end of every partition",
      deadlineMs: DEADLINE_MS,
      describe: () =>
        members.map((member) => `${member.describe()}\n${member.child.stderrTail.slice(-2000)}`).join("; "),
    },
  );
}

const readBy = (members: readonly DriverMember[]): number[] =>
  members.flatMap(({ records }) => records.map(({ value }) => numberOf(value))).toSorted(byNumber);

/** Joins one after the other, as programs are started. */
async function balancedGroup(trial: Trial, count: number, options: (i: number) => Partial<MemberArguments>) {
  const members: DriverMember[] = [];
  for (const i of upTo(count)) members.push(await startMember(trial, options(i)));
  await waitForBalance(members, upTo(PARTITIONS), DEADLINE_MS);
  return members;
}

function rebalance(protocol: Protocol) {
  return async (trial: Trial): Promise<void> => {
    await createTopic(trial, { partitions: PARTITIONS });
    const members = await balancedGroup(trial, 3, () => ({ protocol }));
    await publish(trial, 0, RECORDS);
    await waitForCommits(trial, members);
    assert.deepEqual(readBy(members), upTo(RECORDS), "each record read once");
    for (const { records } of members) assert.ok(records.length > 0, "every member had its share");
    const [victim, ...heirs] = members as [DriverMember, ...DriverMember[]];
    await victim.child.kill9();
    await waitForBalance(heirs, upTo(PARTITIONS), DEADLINE_MS);
    await publish(trial, RECORDS, 2 * RECORDS);
    await waitForCommits(trial, heirs);
    assert.deepEqual(readBy(members), upTo(2 * RECORDS), "the heirs go on at the committed offsets: nothing twice");
    for (const heir of heirs) await heir.leave(DEADLINE_MS);
  };
}

async function survivesHub(trial: Trial): Promise<void> {
  const { t, hub, admin, driver, name } = trial;
  await createTopic(trial, { partitions: PARTITIONS });
  const members = await balancedGroup(trial, 2, () => ({}));
  const count = 3000;
  const producing = driver.produce(t, {
    bootstrap: hub.kafkaAddress,
    topic: name,
    count,
    prefix: "h",
    codec: "none",
    acks: -1,
    idempotent: true,
    perRequest: 5,
    backoffMs: 50,
  });
  const isInTheMiddle = async (): Promise<boolean> =>
    [...(await topicEnds(admin, name)).values()].reduce((sum, end) => sum + end, 0) >= 100;
  await Promise.race([
    waitUntil(isInTheMiddle, { what: "the first records", deadlineMs: DEADLINE_MS }),
    producing.then(() => undefined),
  ]);
  await hub.kill9();
  await hub.start();
  const delivered = await producing;
  assert.equal(delivered, count, `all are acknowledged in the end: ${driver.complaints.slice(-2000)}`);
  const ends = await topicEnds(admin, name);
  assert.equal(
    [...ends.values()].reduce((sum, end) => sum + end, 0),
    count,
    "each record is stored once",
  );
  await waitForCommits(trial, members);
  assert.deepEqual([...new Set(readBy(members))], upTo(count), "the group has read all of them");
  for (const member of members) await member.leave(DEADLINE_MS);
}

async function staticMember(trial: Trial): Promise<void> {
  await createTopic(trial, { partitions: PARTITIONS });
  const instanceOf = (i: number): Partial<MemberArguments> => ({
    instanceId: `instance-${i}`,
    sessionTimeoutMs: 30_000,
  });
  const [stays, goes] = (await balancedGroup(trial, 2, instanceOf)) as [DriverMember, DriverMember];
  await publish(trial, 0, RECORDS);
  await waitForCommits(trial, [stays, goes]);
  const assignmentsBefore = stays.assignments.length;
  const held = goes.assigned;
  await goes.child.kill9();
  const back = await startMember(trial, instanceOf(1));
  await waitUntil(() => back.assigned.join(" ") === held.join(" "), {
    what: "the returning member to get its partitions back",
    deadlineMs: DEADLINE_MS,
    describe: () => back.describe(),
  });
  await publish(trial, RECORDS, 2 * RECORDS);
  await waitForCommits(trial, [stays, back]);
  assert.deepEqual(readBy([stays, goes, back]), upTo(2 * RECORDS), "each record read once");
  assert.equal(stays.assignments.length, assignmentsBefore, "the other member saw no rebalance");
}

export const groupFeature: Feature = {
  key: "group",
  title: "group of three, commit, one member killed",
  run: rebalance("classic"),
};
export const hubDeathFeature: Feature = {
  key: "group",
  title: "producer and group go on after kill -9 of the hub",
  run: survivesHub,
};
export const staticMemberFeature: Feature = {
  key: "static-member",
  title: "static member returns without a rebalance",
  run: staticMember,
};
export const nextGenerationGroupFeature: Feature = {
  key: "next-generation-group",
  title: "group of three by the consumer protocol (KIP-848), one member killed",
  run: rebalance("consumer"),
};
