/** Consumer groups over deaths, and different clients that must see the same. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Consumer, stringDeserializers } from "@platformatic/kafka";
import type { Admin } from "kafkajs";
import { onCleanUp } from "../support/clean-up.ts";
import type { After } from "../support/clean-up.ts";
import { GROUP, describeMembers, publish, startMember, startWithEvents } from "../support/kafkajs-group.ts";
import type { Member } from "../support/kafkajs-group.ts";
import { readAll } from "../support/kcat.ts";
import type { KcatRecord } from "../support/kcat.ts";
import { decodePayload } from "../support/payload.ts";
import type { HubProgram } from "../support/programs.ts";
import { eventsRoute } from "../support/test-routes.ts";
import { committedOffsets, recordCount, topicEnds, waitForRecords } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 60_000;
/** Well below the session timeout after which the partitions get their next owner. */
const COMMIT_SETTLES_MS = 300;
const { topic } = eventsRoute;

/** What the group committed for `partitions`, once the commit that may have been on its way at the kill is through. */
async function settledCommits(admin: Admin, partitions: readonly number[]): Promise<ReadonlyMap<number, number>> {
  let seen = "";
  let sinceMs = 0;
  return waitUntil(
    async () => {
      const committed = await committedOffsets(admin, { group: GROUP, topic });
      const now = partitions.map((partition) => committed.get(partition)).join(" ");
      if (now !== seen) sinceMs = performance.now();
      seen = now;
      return performance.now() - sinceMs >= COMMIT_SETTLES_MS && committed;
    },
    { what: "the dead member's commits to come to an end", deadlineMs: DEADLINE_MS },
  );
}

function range(from: number, end: number): number[] {
  return Array.from({ length: end - from }, (_, index) => from + index);
}

type SeenRecord = Omit<KcatRecord, "sentAtUs">;

async function readWithPlatformatic(t: After, hub: HubProgram, count: number): Promise<readonly SeenRecord[]> {
  const consumer = new Consumer({
    clientId: "platformatic-test",
    bootstrapBrokers: [hub.kafkaAddress],
    groupId: "platformatic",
    deserializers: stringDeserializers,
  });
  onCleanUp(t, () => consumer.close(true));
  const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: true });
  const records: SeenRecord[] = [];
  for await (const { partition, offset, timestamp, value } of stream) {
    const { client, sequence } = decodePayload(value);
    records.push({ partition, offset: Number(offset), timestamp: Number(timestamp), client, sequence });
    if (records.length === count) break;
  }
  return records;
}

suite("consumers", () => {
  test("two KafkaJS members, one is killed: the other goes on from the committed offsets", async (t) => {
    const { hub, admin } = await startWithEvents(t, 40_000);
    const members = [await startMember(t, hub), await startMember(t, hub)] as const;
    const [victim, heir] = members;
    const describe = (): string => describeMembers(members);
    const isAtWork = ({ assigned, committed }: Member): boolean =>
      assigned.length === 2 && assigned.every((partition) => (committed.get(partition) ?? 0) >= 500);
    await waitUntil(() => members.every(isAtWork), {
      what: "both members at work on half of the partitions",
      deadlineMs: DEADLINE_MS,
      describe,
    });
    const inherited = victim.assigned;
    assert.deepEqual(
      [...victim.assigned, ...heir.assigned].toSorted((a, b) => a - b),
      [0, 1, 2, 3],
    );
    await victim.child.kill9();
    // What the heir read so far of these partitions, if anything, was before they were the victim's.
    const readBefore = new Map(inherited.map((partition) => [partition, heir.read.get(partition)?.length ?? 0]));
    const committed = await settledCommits(admin, inherited);
    const ends = await topicEnds(admin, topic);
    await waitUntil(() => [...ends].every(([partition, end]) => heir.committed.get(partition) === end), {
      what: "the other member at the end of every partition",
      deadlineMs: DEADLINE_MS,
      describe,
    });

    for (const partition of inherited) {
      const from = committed.get(partition) ?? -1;
      const end = ends.get(partition) ?? 0;
      assert.ok(from > 0 && from < end, `partition ${partition} was taken over in its middle: ${from} of ${end}`);
      assert.ok(from >= (victim.committed.get(partition) ?? 0), "what was answered as committed is committed");
      const readAfter = heir.read.get(partition)?.slice(readBefore.get(partition));
      const goesOnAt = `partition ${partition} goes on at ${readAfter?.[0]}, committed is ${from}`;
      assert.deepEqual(readAfter, range(from, end), goesOnAt);
    }
    for (const [partition, end] of ends) {
      const all = new Set(members.flatMap(({ read }) => read.get(partition) ?? []));
      assert.equal(all.size, end, `nothing of partition ${partition} is left out`);
    }
  });

  test("@platformatic/kafka from the beginning and kcat from a time: the same records", async (t) => {
    const { hub, agent, admin } = await startWithEvents(t, 2000);
    const publishedMs = Date.now();
    await waitUntil(() => Date.now() > publishedMs, { what: "the next millisecond", deadlineMs: 1000 });
    const sinceMs = Date.now();
    await publish(t, agent.mqttPort, { name: "later", count: 1000 });
    await waitForRecords(admin, { topic, count: 3000, deadlineMs: DEADLINE_MS });
    assert.equal(await recordCount(admin, topic), 3000);

    const all = await readWithPlatformatic(t, hub, 3000);
    const recent = await readAll(t, { address: hub.kafkaAddress, topic, from: `s@${sinceMs}` });
    assert.equal(recent.length, 1000);
    assert.ok(recent.every(({ client, timestamp }) => client.startsWith("later") && timestamp >= sinceMs));
    const identity = (record: SeenRecord): string =>
      [record.partition, record.offset, record.timestamp, record.client, record.sequence].join("/");
    assert.deepEqual(
      all
        .filter(({ timestamp }) => timestamp >= sinceMs)
        .map(identity)
        .toSorted(),
      recent.map(identity).toSorted(),
    );
    const everything = await readAll(t, { address: hub.kafkaAddress, topic });
    assert.deepEqual(all.map(identity).toSorted(), everything.map(identity).toSorted());
  });
});
