import assert from "node:assert/strict";
import { cpSync, readdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { EmbeddedEngine } from "../../../../hub/engine/embedded.ts";
import type { Engine } from "../../../../hub/engine/engine.ts";
import { groupTables } from "../../../../hub/engine/group-tables.ts";
import { ReadOnlyEngine } from "../../../../hub/read-only/read-only-engine.ts";
import { ledgerTable } from "../../../../hub/uplink/ledger-table.ts";
import { checkBatch, splitBatches, stampProducer } from "../../../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../../../shared/batch/records.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { OverlayLog } from "../../../../shared/log/overlay-log.ts";
import { WorkerLog } from "../../../../shared/log/worker-log.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const at = { topic: "events", partition: 1 };
const PRODUCER_ID = 7n;

async function openEmbedded(t: TestContext, directory: string): Promise<EmbeddedEngine> {
  const log = await WorkerLog.open({
    directory,
    worker: new URL("../../../../hub/log-worker.ts", import.meta.url),
    hasReaderThread: false,
    crashPointBeforeFsync: "hub-before-fsync",
    skippedOnDamage: 1000,
  });
  const engine = new EmbeddedEngine({
    log,
    clock: systemClock,
    logger: silentLogger(),
    options: {
      topicsMax: 3,
      partitionsPerTopicMax: 100,
      tailCacheBytesMax: 1_000_000,
      retentionMs: undefined,
      retentionBytes: undefined,
      retentionCheckMs: 3_600_000,
      compactionCheckMs: 3_600_000,
    },
  });
  onCleanUp(t, () => engine.close());
  return engine;
}

function openReading(t: TestContext, directory: string): ReadOnlyEngine {
  const log = new OverlayLog(directory, { asTheyAre: [groupTables, ledgerTable] }, silentLogger());
  const engine = new ReadOnlyEngine(log);
  onCleanUp(t, () => engine.close());
  return engine;
}

/** Ten batches of two records, the first of them deleted; a group with a committed offset. */
async function fill(engine: Engine): Promise<void> {
  await engine.createTopic({ name: at.topic, partitionCount: 2, config: { "retention.ms": "5000" } });
  for (let i = 0; i < 10; i++) {
    const batch = encodeRecords(
      [0, 1].map((k) => ({ timestamp: 1000 + i, key: null, value: Buffer.from(`${i}.${k}`) })),
    );
    stampProducer(batch, { producerId: PRODUCER_ID, producerEpoch: 0, baseSequence: 2 * i });
    await engine.append({ ...at, batch, header: checkBatch(batch), durability: "fsync" });
  }
  await engine.deleteRecords(at, 2);
  await engine.commitOffsets("readers", [{ ...at, offset: 4, leaderEpoch: 0, metadata: "m", committedAt: 1 }]);
  await engine.saveGroup("readers", Buffer.from("members"));
}

/** All that readers can ask. */
async function read(engine: Engine) {
  const values: string[] = [];
  for (let offset = 2; ;) {
    const { batches } = await engine.read({ ...at, offset, bytesMax: 200, atLeastOne: true });
    const records = batches.flatMap((each) => [...splitBatches(each)].flatMap((batch) => [...decodeRecords(batch)]));
    if (records.length === 0) break;
    values.push(...records.map((record) => `${record.offset}:${String(record.value)}`));
    offset = (records.at(-1)?.offset ?? 0) + 1;
  }
  const producers = await engine.producersOf(at);
  return {
    values,
    clusterId: engine.clusterId,
    topics: [...engine.topics],
    offsets: [engine.offsets(at), engine.offsets({ ...at, partition: 0 })],
    forTimestamp: await engine.offsetForTimestamp(at, 1005),
    forLater: await engine.offsetForTimestamp(at, 9999),
    newest: await engine.maxTimestamp(at),
    committed: [...(await engine.loadCommittedOffsets())],
    groups: (await engine.loadGroups()).map(({ group, snapshot }) => `${group}:${Buffer.from(snapshot).toString()}`),
    positions: await engine.producerPositions(PRODUCER_ID),
    producers,
  };
}

suite("a hub's log that is only read", () => {
  for (const how of ["stopped", "killed"] as const) {
    test(`it answers as the hub did that was ${how}`, async (t) => {
      const directory = tempDir(t);
      const engine = await openEmbedded(t, directory);
      await fill(engine);
      const expected = await read(engine);
      assert.equal(expected.values.length, 18);
      if (how === "stopped") await engine.close();
      // As a kill leaves it.
      const copy = path.join(tempDir(t), "copy");
      cpSync(directory, copy, { recursive: true });

      assert.deepEqual(await read(openReading(t, copy)), expected);
    });
  }

  test("what would have to be written is refused, so that clients keep it and try again", async (t) => {
    const directory = tempDir(t);
    const writing = await openEmbedded(t, directory);
    await fill(writing);
    await writing.close();
    const engine: Engine = openReading(t, directory);
    const before = await read(engine);

    const batch = encodeRecords([{ timestamp: 1, key: null, value: Buffer.from("new") }]);
    const header = checkBatch(batch);
    const committed = { ...at, offset: 9, leaderEpoch: 0, metadata: "", committedAt: 1 };
    const refused: readonly (() => Promise<unknown>)[] = [
      () => engine.append({ ...at, batch, header, durability: "os" }),
      () => engine.createTopic({ name: "other", partitionCount: 1 }),
      () => engine.createPartitions(at.topic, 5),
      () => engine.alterTopic(at.topic, {}),
      () => engine.deleteTopic(at.topic),
      () => engine.deleteRecords(at, 4),
      () => engine.commitOffsets("readers", [committed]),
      () => engine.deleteOffsets("readers", [at]),
      () => engine.saveGroup("readers", undefined),
    ];
    for (const each of refused) await assert.rejects(each(), { code: "LOG_READ_ONLY", retriable: true, wire: 56 });
    // Who is in a group may change, as long as nobody relies on it.
    await engine.saveGroup("readers", Buffer.from("others"));
    assert.deepEqual(await read(engine), before);
  });

  test("what is not there is refused as ever", async (t) => {
    const directory = tempDir(t);
    const writing = await openEmbedded(t, directory);
    await fill(writing);
    await writing.close();
    const engine = openReading(t, directory);
    const request = { ...at, bytesMax: 100, atLeastOne: true };
    await assert.rejects(engine.read({ ...request, offset: 1 }), { code: "OFFSET_OUT_OF_RANGE" });
    await assert.rejects(engine.read({ ...request, offset: 21 }), { code: "OFFSET_OUT_OF_RANGE" });
    const unknown = { code: "UNKNOWN_TOPIC_OR_PARTITION" };
    await assert.rejects(engine.read({ ...request, partition: 2, offset: 0 }), unknown);
    assert.throws(() => engine.offsets({ topic: "other", partition: 0 }), unknown);
  });

  test("where the disk takes writes again when it ends, the next start finds nothing missing", async (t) => {
    const directory = tempDir(t);
    const engine = await openEmbedded(t, directory);
    await fill(engine);
    const copy = path.join(tempDir(t), "copy");
    cpSync(directory, copy, { recursive: true });
    assert.ok(readdirSync(copy).includes("log.running"));
    const reading = openReading(t, copy);
    const expected = await read(reading);
    await reading.close();

    const again = await openEmbedded(t, copy);
    assert.deepEqual(await read(again), expected);
    assert.equal(again.offsets(at).logEndOffset, 20);
  });
});
