import assert from "node:assert/strict";
import test from "node:test";
import { storedBytes } from "../../../../agent/buffer/log-space.ts";
import type { LogPartition } from "../../../../shared/log/partitioned-log.ts";
import { ManualLog } from "../ingest/manual-log.ts";

test("log space: the batches of all partitions of all topics count", async () => {
  const log = new ManualLog();
  for (const name of ["a", "b"]) await log.createTopic({ name, partitionCount: 2 });
  assert.equal(storedBytes(log), 0);
  Object.assign(log.partition("a", 1), { bytes: 7 } satisfies Partial<LogPartition>);
  Object.assign(log.partition("b", 0), { bytes: 5 } satisfies Partial<LogPartition>);
  assert.equal(storedBytes(log), 12);
});
