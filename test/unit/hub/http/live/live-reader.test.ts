import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Purgatory } from "../../../../../hub/engine/purgatory.ts";
import { IDLE_MS, LiveReader } from "../../../../../hub/http/live/live-reader.ts";
import type { LiveEvent, LiveReaderParts } from "../../../../../hub/http/live/live-reader.ts";
import { readBatchHeader } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { onCleanUp } from "../../../../support/clean-up.ts";
import { MemoryEngine } from "../../../../support/memory-engine.ts";
import { settled, VirtualTimers } from "../../../../support/virtual-timers.ts";

async function setUp(t: TestContext, over: Partial<LiveReaderParts> = {}) {
  const engine = new MemoryEngine();
  await engine.createTopic({ name: "t", partitionCount: 2 });
  const timers = new VirtualTimers();
  const purgatory = new Purgatory(engine, timers);
  const controller = new AbortController();
  onCleanUp(t, () => controller.abort());
  const reader = new LiveReader({ engine, purgatory, filter: undefined, closed: controller.signal, ...over });
  reader.add([0, 1].map((partition) => ({ topic: "t", partition, offset: 0 })));
  const append = async (partition: number, ...values: readonly string[]): Promise<void> => {
    const batch = encodeRecords(values.map((value) => ({ timestamp: 0, key: null, value: Buffer.from(value) })));
    await engine.append({ topic: "t", partition, batch, header: readBatchHeader(batch), durability: "fsync" });
  };
  const events = reader.events();
  const next = async (): Promise<unknown> => shown((await events.next()).value as LiveEvent);
  return { engine, timers, controller, append, next, events, reader };
}

function shown(event: LiveEvent | undefined): unknown {
  if (event?.type !== "records") return event;
  return [event.at.partition, event.records.map(({ value }) => String(value)), event.next];
}

test("what is there, then what comes, in every partition", async (t) => {
  const { append, next } = await setUp(t);
  await append(1, "a", "b");
  assert.deepEqual(await next(), [1, ["a", "b"], 2]);
  const coming = next();
  await append(0, "c");
  assert.deepEqual(await coming, [0, ["c"], 1]);
});

test("what a filter leaves out is passed by, and the reader's place says so when nothing comes", async (t) => {
  const filter = ({ value }: { readonly value: Buffer | null }): boolean => String(value) === "wanted";
  const { append, next, timers } = await setUp(t, { filter });
  await append(0, "x", "wanted", "x");
  assert.deepEqual(await next(), [0, ["wanted"], 3]);
  await append(0, "x");
  const idle = next();
  while (timers.runningCount === 0) await settled();
  await timers.advance(IDLE_MS);
  const places = [
    { topic: "t", partition: 0, offset: 4 },
    { topic: "t", partition: 1, offset: 0 },
  ];
  assert.deepEqual(await idle, { type: "idle", places });
});

test("what retention took from under the reader is a gap", async (t) => {
  const { append, next, engine } = await setUp(t);
  await append(0, "a", "b", "c");
  await engine.deleteRecords({ topic: "t", partition: 0 }, 2);
  assert.deepEqual(await next(), { type: "gap", at: { topic: "t", partition: 0 }, from: 0, to: 2 });
  assert.deepEqual(await next(), [0, ["c"], 3]);
});

test("it ends when it is closed, and fails when the topic is deleted", async (t) => {
  const first = await setUp(t);
  const waiting = first.events.next();
  first.controller.abort();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  const second = await setUp(t);
  const failing = second.events.next();
  await second.engine.deleteTopic("t");
  await assert.rejects(failing, /UNKNOWN_TOPIC_OR_PARTITION/);
});

test("partitions come and go while it reads; of one that has gone nothing more is told", async (t) => {
  const { append, next, reader } = await setUp(t);
  reader.remove([{ topic: "t", partition: 0 }]);
  await append(0, "a");
  await append(1, "b");
  assert.deepEqual(await next(), [1, ["b"], 1]);
  const coming = next();
  reader.add([{ topic: "t", partition: 0, offset: 0 }]);
  assert.deepEqual(await coming, [0, ["a"], 1]);
});
