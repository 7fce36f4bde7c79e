import assert from "node:assert/strict";
import { test } from "node:test";
import {
  changeSession,
  epochAfter,
  openSession,
  partitionsFor,
  partitionsOf,
  tellNews,
} from "../../../../hub/kafka/fetch-session.ts";
import type { AskedPartition, PartitionNews } from "../../../../hub/kafka/fetch-session.ts";

const asking = (partition: number, fetchOffset = 0, topic = "t"): AskedPartition => ({
  topicKey: topic,
  topic,
  topicId: Buffer.alloc(16),
  partition,
  fetchOffset,
  currentLeaderEpoch: -1,
  bytesMax: 1000,
});

const newsOf = (highWatermark: number, bytes = 0, logStartOffset = 0): PartitionNews => ({
  error: null,
  offsets: { logStartOffset, highWatermark },
  bytes,
});
const failed: PartitionNews = {
  error: "OFFSET_OUT_OF_RANGE",
  offsets: { logStartOffset: -1, highWatermark: -1 },
  bytes: 0,
};

const opened = (partitions: readonly AskedPartition[]) =>
  openSession({ id: 7, owner: "alice", usesTopicIds: false, openedMs: 0 }, partitions);

const order = (session: ReturnType<typeof opened>): string[] =>
  partitionsOf(session).map(
    ({ asked: { topic, partition, fetchOffset } }) => `${topic}/${partition} from ${fetchOffset}`,
  );

test("a session expects epoch 1 first, and after the largest 1 again", () => {
  assert.equal(opened([asking(0)]).epoch, 1);
  assert.deepEqual([1, 2, 2 ** 31 - 2, 2 ** 31 - 1].map(epochAfter), [2, 3, 2 ** 31 - 1, 1]);
});

test("changes replace what is known, add what is new at the end, and forget last", () => {
  const session = opened([asking(0), asking(1), asking(2)]);
  const forgotten = [asking(1), asking(9), asking(4)];
  changeSession(session, [asking(0, 5), asking(3), asking(0, 0, "u"), asking(4)], forgotten);
  assert.deepEqual(order(session), ["t/0 from 5", "t/2 from 0", "t/3 from 0", "u/0 from 0"]);
});

test("a partition named twice is one, and the last word counts", () => {
  assert.deepEqual(order(opened([asking(0, 1), asking(1), asking(0, 2)])), ["t/0 from 2", "t/1 from 0"]);
});

test("only records, errors and offsets that the client does not know are news", () => {
  const session = opened([asking(0), asking(1), asking(2)]);
  const told = (...news: PartitionNews[]) => Array.from(tellNews(session, partitionsOf(session), news).values());
  assert.deepEqual(told(newsOf(3), newsOf(4), newsOf(5)), [0, 1, 2], "nothing was told yet");
  assert.deepEqual(told(newsOf(3), newsOf(4), newsOf(5)), []);
  assert.deepEqual(told(newsOf(4), newsOf(4), newsOf(5)), [0], "the end has moved");
  assert.deepEqual(told(newsOf(4), newsOf(4, 0, 2), newsOf(5)), [1], "the start has moved");
  assert.deepEqual(told(newsOf(4), newsOf(4, 0, 2), newsOf(5, 100)), [2], "there are records");
});

test("an error is told again and again, and so is the first answer after it", () => {
  const session = opened([asking(0)]);
  const told = (news: PartitionNews) => tellNews(session, partitionsOf(session), [news]).size;
  assert.deepEqual([newsOf(3), newsOf(3), failed, failed, newsOf(3), newsOf(3)].map(told), [1, 0, 1, 1, 1, 0]);
});

test("partitions that got records go to the end, so that the others have their turn", () => {
  const session = opened([asking(0), asking(1), asking(2)]);
  const served: number[] = [];
  for (let round = 0; round < 6; round++) {
    const read = partitionsOf(session);
    // Room for one partition in each answer.
    const first = read[0]?.asked.partition ?? -1;
    served.push(first);
    tellNews(
      session,
      read,
      read.map((_, index) => newsOf(10, index === 0 ? 100 : 0)),
    );
  }
  assert.deepEqual(served, [0, 1, 2, 0, 1, 2]);
});

test("a partition that was asked for twice is told where it was first, and once", () => {
  const asked = [asking(0), asking(1), asking(0)];
  const session = opened(asked);
  assert.deepEqual(
    Array.from(
      tellNews(
        session,
        partitionsFor(session, asked),
        asked.map(() => newsOf(3)),
      ),
    ),
    [0, 1],
  );
});
