import { WorkerLog } from "../../shared/log/worker-log.ts";
import type { WorkerLogOptions } from "../../shared/log/worker-log.ts";
import { workerFile } from "../../shared/worker-file.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

/** A real log on `directory`, closed after the test. */
export async function openLog(
  t: After,
  directory: string,
  options: Partial<WorkerLogOptions> = {},
): Promise<WorkerLog> {
  const log = await WorkerLog.open({
    directory,
    worker: workerFile(import.meta.url, "./log-worker"),
    hasReaderThread: false,
    crashPointBeforeFsync: "hub-before-fsync",
    reserveBytes: 1 << 20,
    ...options,
  });
  onCleanUp(t, () => log.close());
  return log;
}
