import type { TestContext } from "node:test";
import { WorkerLog } from "../../shared/log/worker-log.ts";
import type { WorkerLogOptions } from "../../shared/log/worker-log.ts";
import { workerFile } from "../../shared/worker-file.ts";

/** A real log on `directory`, closed after the test. */
export async function openLog(
  t: Pick<TestContext, "after">,
  directory: string,
  options: Partial<WorkerLogOptions> = {},
): Promise<WorkerLog> {
  const log = await WorkerLog.open({
    directory,
    worker: workerFile(import.meta.url, "./log-worker"),
    hasReaderThread: false,
    commitIntervalMs: 0,
    crashPointBeforeFsync: "hub-before-fsync",
    reserveBytes: 1 << 20,
    ...options,
  });
  t.after(() => log.close());
  return log;
}
