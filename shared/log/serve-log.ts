/**
 * A worker thread of the log. A program's worker file calls `serveLog` with its extensions (agent/log-worker.ts,
 * hub/log-worker.ts).
 */
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../clock.ts";
import type { Clock } from "../clock.ts";
import { invariant } from "../invariant.ts";
import { collectAfterStart } from "../old-garbage.ts";
import { toFailure } from "../thread-failure.ts";
import type { LogExtension } from "./extension.ts";
import type { FromWorker, ToWorker, WorkerData } from "./log-messages.ts";
import { ReaderServer } from "./reader-server.ts";
import { sqliteError } from "./worker-port.ts";
import { openWriter } from "./open-writer.ts";

/** `clock`: another one than the system's, for tests. */
export function serveLog(extensions: readonly LogExtension[], clock: Clock = systemClock): void {
  const port = parentPort;
  invariant(port !== null, "the log runs in a worker thread");
  const data = workerData as WorkerData;
  try {
    const server =
      data.role === "writer" ? openWriter(port, data, { extensions, clock }) : new ReaderServer(port, data);
    collectAfterStart();
    port.on("message", (message: ToWorker) => server.handle(message));
  } catch (error) {
    port.postMessage({ type: "fatal", failure: toFailure(sqliteError(error)) } satisfies FromWorker);
  }
}
