import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { TopicCompaction } from "../../../../hub/engine/topic-compaction.ts";
import { StreamError } from "../../../../shared/errors.ts";
import type { ErrorCode } from "../../../../shared/errors.ts";
import type { Compacted } from "../../../../shared/log/log-compactor.ts";
import type { LogPartition, LogTopic } from "../../../../shared/log/partitioned-log.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

const done: Compacted = {
  reason: "dirty",
  runs: 2,
  cleanEnd: 7,
  bytesBefore: 100,
  bytesAfter: 40,
  recordsRemoved: 3,
  batchesOpaque: 0,
};

function topic(name: string, config: Record<string, string>, partitionCount = 1): LogTopic {
  const partitions = Array.from({ length: partitionCount }, (_, partition): LogPartition => {
    const id = name.length * 100 + partition;
    return { id, topic: name, partition, logStartOffset: 0, logEndOffset: 10, bytes: 100 };
  });
  return { name, id: Buffer.from(name), partitions, config };
}

type Answer = Compacted | ErrorCode | undefined;

function compactionOf(t: TestContext, topics: readonly LogTopic[], answer: (name: string) => Answer | Promise<Answer>) {
  const asked: string[] = [];
  const forgotten: string[] = [];
  const clock = new VirtualTimers();
  const byName = new Map(topics.map((each) => [each.name, each]));
  const compaction = new TopicCompaction({
    log: {
      topics: byName,
      markAge: async () => 0,
      compact: async (partition) => {
        const name = `${partition.topic}-${partition.partition}`;
        asked.push(name);
        const given = await answer(name);
        if (typeof given === "string") throw new StreamError(given, "as the test wants it");
        return given;
      },
    },
    clock,
    logger: silentLogger(),
    checkMs: 3_600_000,
    onCompacted: ({ topic: name, partition }, cleanEnd) => forgotten.push(`${name}-${partition} before ${cleanEnd}`),
  });
  onCleanUp(t, () => compaction.close());
  return { compaction, asked, forgotten, clock, byName };
}

test("topic compaction: every partition of compacted topics is looked at, of others none", async (t) => {
  const topics = [
    topic("logs", {}),
    topic("state", { "cleanup.policy": "compact" }, 2),
    topic("both", { "cleanup.policy": "delete,compact" }),
  ];
  const { compaction, asked, forgotten } = compactionOf(t, topics, () => done);
  await compaction.check();
  assert.deepEqual(asked, ["state-0", "state-1", "both-0"]);
  assert.deepEqual(forgotten, ["state-0 before 7", "state-1 before 7", "both-0 before 7"]);
  assert.deepEqual(compaction.stats, {
    runsTotal: 6,
    bytesBeforeTotal: 300,
    bytesAfterTotal: 120,
    recordsRemovedTotal: 9,
    lastDurationMs: 0,
  });
});

test("topic compaction: where nothing was to do there is no second look without news, but one after a minute", async (t) => {
  const state = topic("state", { "cleanup.policy": "compact" });
  const { compaction, asked, clock, byName } = compactionOf(t, [state], () => undefined);
  const looks = async (): Promise<number> => {
    asked.length = 0;
    await compaction.check();
    return asked.length;
  };
  assert.deepEqual([await looks(), await looks()], [1, 0]);
  Object.assign(state.partitions[0] as LogPartition, { logEndOffset: 11 });
  assert.deepEqual([await looks(), await looks()], [1, 0]);
  byName.set("state", { ...state, config: { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0" } });
  assert.deepEqual([await looks(), await looks()], [1, 0]);
  await clock.advance(60_000);
  assert.deepEqual([await looks(), await looks()], [1, 0]);
});

test("topic compaction: a failure ends nothing but itself", async (t) => {
  for (const code of ["LOG_FULL", "UNKNOWN_TOPIC_OR_PARTITION", "CLOSING"] as const) {
    const topics = [topic("state", { "cleanup.policy": "compact" }, 2)];
    const { compaction, asked } = compactionOf(t, topics, (name) => (name === "state-0" ? code : done));
    await compaction.check();
    assert.deepEqual(asked, ["state-0", "state-1"]);
    assert.equal(compaction.stats.runsTotal, 2);
  }
});

test("topic compaction: a check that takes long is not joined by another, nor goes on after close", async (t) => {
  const gate = Promise.withResolvers<Answer>();
  const topics = [topic("state", { "cleanup.policy": "compact" }, 3)];
  const { compaction, asked } = compactionOf(t, topics, () => gate.promise);
  const running = compaction.check();
  await compaction.check();
  assert.deepEqual(asked, ["state-0"]);
  compaction.close();
  gate.resolve(undefined);
  await running;
  assert.deepEqual(asked, ["state-0"]);
});

test("topic compaction: a topic deleted and made anew while its first partition was compacted is left for next time", async (t) => {
  const state = topic("state", { "cleanup.policy": "compact" }, 2);
  const { compaction, asked, byName } = compactionOf(t, [state], () => {
    byName.set("state", { ...state, id: Buffer.from("new") });
    return done;
  });
  await compaction.check();
  assert.deepEqual(asked, ["state-0"]);
});
