import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { full, start } from "./start-ingest.ts";

test("stamps: what they need to keep their meaning is stored with every commit of records", async (t) => {
  const session = { extension: "clock", method: "put", args: 1 };
  const calls = [session];
  const { log, publish } = await start(t, { stampCalls: () => calls });
  publish({ messageId: 1 });
  log.take()!.failed(new StreamError("OVERLOADED", "disk"));
  publish({ messageId: 2 });
  log.commit();
  assert.deepEqual(log.calls, [session]);
  log.calls.length = 0;
  calls.pop();
  publish({ messageId: 3 });
  log.commit();
  assert.deepEqual(log.calls, []);
});

test("stamps: a mark is past when all that had come by then is stored or refused, what a full log holds back included", async (t) => {
  const { log, ingest, publish, partition } = await full(t, "block");
  publish({ messageId: 6, payload: "6" });
  log.commit();
  const mark = ingest.mark();
  assert.ok(!ingest.isPast(mark));
  await log.trim(partition, partition.logEndOffset);
  publish({ messageId: 7, payload: "7" });
  const part = log.take()!;
  assert.ok(!ingest.isPast(mark), "it is on its way");
  log.succeed(part);
  assert.ok(ingest.isPast(mark));
});
