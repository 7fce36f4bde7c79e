/** The log when its thread or its disk fails, and at its end. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { encodeRecords } from "../../shared/batch/records.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 5000;
const batch = (): Buffer => encodeRecords([{ timestamp: 1, key: null, value: Buffer.from("v") }]);
const call = (method: string, args?: unknown) => ({ extension: "test", method, args });

suite("log: faults", () => {
  test("after a failed flush every request is refused with LOG_IO, also one that was on its way behind it", async (t) => {
    const log = await openLog(t, tempDir(t));
    await log.createTopic({ name: "events", partitionCount: 1 });
    const at = log.partition("events", 0);
    const fatal: Error[] = [];
    log.onFatal((error) => fatal.push(error));
    const failing = assert.rejects(log.call([call("failDisk")]), { code: "LOG_IO" });
    // Until the first commit is on its way, so that this one follows it.
    await new Promise(setImmediate);
    const following = assert.rejects(log.append(at, batch(), "fsync"), { code: "LOG_IO" });
    await Promise.all([failing, following]);
    await assert.rejects(log.append(at, batch(), "fsync"), { code: "LOG_IO" });
    await log.close();
    assert.equal(fatal.length, 1);
  });

  for (const hasReaderThread of [false, true]) {
    test(`a thread that ends is fatal: requests are refused and close returns, reader thread: ${hasReaderThread}`, async (t) => {
      const log = await openLog(t, tempDir(t), { hasReaderThread });
      await log.createTopic({ name: "events", partitionCount: 1 });
      const fatal: Error[] = [];
      log.onFatal((error) => fatal.push(error));
      await assert.rejects(log.query(call("endThread")), { code: "LOG_IO", message: /exit code 3/ });
      await assert.rejects(log.append(log.partition("events", 0), batch(), "fsync"), { code: "LOG_IO" });
      await log.close();
      assert.equal(fatal.length, 1);
    });
  }

  test("a query sees the calls and the appends that were asked for before it", async (t) => {
    const log = await openLog(t, tempDir(t));
    await log.createTopic({ name: "events", partitionCount: 1 });
    const put = log.call([call("put", { name: "n", value: "v" })]);
    const append = log.append(log.partition("events", 0), batch(), "os");
    assert.deepEqual(await Promise.all([log.query(call("get", "n")), log.query(call("commits"))]), ["v", 1]);
    await Promise.all([put, append]);
  });

  test("a query is answered also when the calls before it are refused", async (t) => {
    const log = await openLog(t, tempDir(t));
    const refused = assert.rejects(log.call([call("put", { name: "n", value: null })]), { code: "UNEXPECTED" });
    assert.equal(await log.query(call("get", "n")), undefined);
    await refused;
  });

  test("close commits at once what waits for the commit interval", async (t) => {
    const log = await openLog(t, tempDir(t), { pace: { intervalMs: 3_600_000, lingerMs: 0 } });
    await log.createTopic({ name: "events", partitionCount: 1 });
    const append = log.append(log.partition("events", 0), batch(), "fsync");
    await new Promise(setImmediate);
    let isClosed = false;
    void log.close().then(() => (isClosed = true));
    await waitUntil(() => isClosed, { what: "the log to be closed", deadlineMs: DEADLINE_MS });
    assert.equal((await append).baseOffset, 0);
  });
});
