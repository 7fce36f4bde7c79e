/** Compaction against a model: random appends, runs, trims and restarts. SEED comes from the environment, or by chance. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../bin/demo/random.ts";
import { codecs } from "../../shared/batch/record-batch.ts";
import type { Codec } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import { DAY_MS, NOW, always, batchOf, consume } from "../support/compacting.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitUntil } from "../support/wait-until.ts";

type Written = {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestamp: number;
};

/** What a consumer that reads everything ends up knowing. */
function stateOf(records: Iterable<Written>): Map<string, string | null> {
  const state = new Map<string, string | null>();
  for (const { key, value } of records) if (key !== null) state.set(key, value);
  return state;
}

function read({ offset, key, value, timestamp }: StoredRecord): Written {
  const text = (bytes: Uint8Array | null) => (bytes === null ? null : String(bytes));
  return { offset, key: text(key), value: text(value), timestamp };
}

const offsetsOf = (records: readonly Written[]): number[] => records.map(({ offset }) => offset);

test("compaction: against a model, random appends, runs, trims and restarts lose no key's last value", async (t) => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  const { next } = seededRandom(seed);
  const random = (below: number): number => Math.floor(next() * below);
  const directory = tempDir(t);
  let log = await openLog(t, directory, { hasReaderThread: true });
  await log.createTopic({ name: "state", partitionCount: 1 });
  let at = log.partition("state", 0);
  const written = new Map<number, Written>();
  let now = NOW;

  const append = async (): Promise<void> => {
    const records = Array.from({ length: 1 + random(12) }, () => {
      const key = random(20) === 0 ? null : `key-${random(25)}`;
      const value = random(5) === 0 ? null : `value-${random(1_000_000)}`;
      return { key, value, timestamp: now - random(5000) };
    });
    const codec = codecs[random(codecs.length)] as Codec;
    const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
    const encoded = records.map(({ key, value, timestamp }) => ({ key: bytes(key), value: bytes(value), timestamp }));
    const { baseOffset } = await log.append(at, encodeRecords(encoded, codec), "os");
    for (const [i, record] of records.entries()) written.set(baseOffset + i, { offset: baseOffset + i, ...record });
  };

  const check = async (): Promise<void> => {
    const start = at.logStartOffset;
    const left = (await consume(log, at, start, 1 + random(2000))).map(read);
    for (const record of left) assert.deepEqual(record, written.get(record.offset));
    assert.deepEqual(
      offsetsOf(left),
      offsetsOf(left).toSorted((a, b) => a - b),
      "offsets ascend",
    );
    const retained = [...written.values()].filter(({ offset }) => offset >= start);
    const state = stateOf(left);
    for (const [key, value] of stateOf(retained)) assert.equal(state.get(key) ?? null, value, `last value of ${key}`);
    const withoutKey = (records: readonly Written[]) => offsetsOf(records.filter(({ key }) => key === null));
    assert.deepEqual(withoutKey(left), withoutKey(retained), "records without a key stay");
    const from = start + random(at.logEndOffset - start + 1);
    const rest = offsetsOf(left).filter((offset) => offset >= from);
    assert.deepEqual(offsetsOf((await consume(log, at, from)).map(read)), rest, `from ${from}`);
    const stored = await log.read({ partition: at, offset: start, bytesMax: 1 << 26, atLeastOne: true });
    const what = `${stored.length} bytes to be counted once trimmed batches are swept`;
    await waitUntil(() => at.bytes === stored.length, { what, deadlineMs: 5000, describe: () => `${at.bytes}` });
    const newest = left.reduce((most, { timestamp }) => Math.max(most, timestamp), -1);
    assert.equal((await log.maxTimestamp(at))?.timestamp ?? -1, newest, "the largest timestamp");
    const asked = now - random(10_000);
    const first = left.find(({ timestamp }) => timestamp >= asked);
    assert.equal((await log.offsetForTimestamp(at, asked))?.offset, first?.offset, `first record at or after ${asked}`);
  };

  for (let round = 0; round < 60; round++) {
    for (let i = random(12); i >= 0; i--) await append();
    now += random(DAY_MS / 2);
    const mapBytesMax = random(2) === 0 ? 24 * (2 + random(30)) : undefined;
    const policy = { ...always, dirtyRatioMin: random(3) * 0.3, lagMsMin: random(3) === 0 ? DAY_MS : 0 };
    const running = log.compact(at, { policy, now, ...(mapBytesMax === undefined ? {} : { mapBytesMax }) });
    if (random(3) === 0) await append();
    if (random(12) === 0) await log.trim(at, at.logStartOffset + random(at.logEndOffset - at.logStartOffset));
    if (random(12) === 0) {
      const [, closed] = await Promise.allSettled([running, log.close()]);
      assert.equal(closed.status, "fulfilled");
      const { logStartOffset, logEndOffset } = at;
      log = await openLog(t, directory, { hasReaderThread: true });
      at = log.partition("state", 0);
      assert.deepEqual([at.logStartOffset, at.logEndOffset], [logStartOffset, logEndOffset]);
    } else {
      await running;
    }
    if (at.logStartOffset < at.logEndOffset) await check();
  }

  // In the end nothing is left but what has to be.
  for (const days of [0, 2, 4]) {
    await log.append(at, batchOf([["end", `${days}`]], { timestamp: now + days * DAY_MS }), "os");
    const offset = at.logEndOffset - 1;
    written.set(offset, { offset, key: "end", value: `${days}`, timestamp: now + days * DAY_MS });
    await log.compact(at, { policy: always, now: now + days * DAY_MS });
  }
  await check();
  const left = (await consume(log, at, at.logStartOffset)).filter(({ key }) => key !== null && String(key) !== "end");
  assert.equal(new Set(left.map(({ key }) => String(key))).size, left.length, "every key once");
  assert.ok(
    left.every(({ value }) => value !== null),
    "no tombstone",
  );
});
