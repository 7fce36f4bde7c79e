/** Compacting a log in tests, and reading it as a consumer does. */
import assert from "node:assert/strict";
import { splitBatches } from "../../shared/batch/record-batch.ts";
import type { Codec } from "../../shared/batch/record-batch.ts";
import { decodeRecords, encodeRecords } from "../../shared/batch/records.ts";
import type { CompactionPolicy } from "../../shared/log/compaction-policy.ts";
import type { Compacted } from "../../shared/log/log-compactor.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import type { StoredRecord } from "../../shared/record.ts";

export const DAY_MS = 86_400_000;
export const NOW = 1_700_000_000_000;
export const always: CompactionPolicy = {
  dirtyRatioMin: 0,
  lagMsMin: 0,
  lagMsMax: Number(9_223_372_036_854_775_807n),
  deleteRetentionMs: DAY_MS,
};

export type Pair = readonly [key: string | null, value: string | null];

export function batchOf(
  pairs: readonly Pair[],
  { codec = "none", timestamp = NOW }: { codec?: Codec; timestamp?: number } = {},
): Buffer {
  const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
  return encodeRecords(
    pairs.map(([key, value], i) => ({ timestamp: timestamp + i, key: bytes(key), value: bytes(value) })),
    codec,
  );
}

export async function appendAll(
  log: WorkerLog,
  at: LogPartition,
  ...batches: readonly (readonly Pair[])[]
): Promise<void> {
  await Promise.all(batches.map((pairs) => log.append(at, batchOf(pairs), "fsync")));
}

export function compact(
  log: WorkerLog,
  at: LogPartition,
  over: Partial<CompactionPolicy> = {},
  now = NOW,
): Promise<Compacted | undefined> {
  return log.compact(at, { policy: { ...always, ...over }, now });
}

/** As a consumer reads: batch by batch, each time from the offset after the last record it got. */
export async function consume(
  log: WorkerLog,
  partition: LogPartition,
  from: number,
  bytesMax = 1,
): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for (let offset = from; offset < partition.logEndOffset;) {
    const bytes = await log.read({ partition, offset, bytesMax, atLeastOne: true });
    const got = [...splitBatches(bytes)]
      .flatMap((batch) => [...decodeRecords(batch)])
      .filter((each) => each.offset >= offset);
    assert.ok(got.length > 0, `a fetch from ${offset} gives a record: clients stand still before a batch without one`);
    records.push(...got);
    offset = (got.at(-1)?.offset ?? 0) + 1;
  }
  return records;
}

export const show = (records: readonly StoredRecord[]): string[] =>
  records.map(({ offset, key, value }) => `${offset} ${String(key)}=${String(value)}`);
