/** Opens the log for writing within the lock of its directory; a log that turns out to be damaged is salvaged first. */
import type { MessagePort } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { DiskReserve } from "./disk-reserve.ts";
import type { LogExtension } from "./extension.ts";
import type { WorkerData } from "./log-messages.ts";
import { makeDirectory } from "./make-directory.ts";
import { lockDirectory } from "./open-database.ts";
import { openSoundly } from "./salvage/open-soundly.ts";
import { noteStopped, noteSuspicion } from "./salvage/suspicion.ts";
import { post, sqliteError } from "./worker-port.ts";
import { WriterServer } from "./writer-server.ts";

type Parts = { readonly extensions: readonly LogExtension[]; readonly clock: Clock };

/** @throws StreamError LOG_DIRECTORY, LOG_NOT_ALLOWED, LOG_LOCKED, LOG_VERSION, LOG_NOT_DURABLE, LOG_FULL, LOG_IO. */
export function openWriter(port: MessagePort, data: WorkerData, parts: Parts): WriterServer {
  const { directory, reserveBytes, skippedOnDamage: margin } = data;
  const leftOut = parts.extensions.flatMap((extension) => extension.leftOut ?? []);
  makeDirectory(directory);
  const lock = lockDirectory(directory);
  const reserve = new DiskReserve(directory, reserveBytes);
  reserve.makeWay();
  const onSalvage = (cause: string): void => {
    reserve.release();
    post(port, { type: "salvaging", cause });
  };
  const onGivenUp = (commits: number): void => post(port, { type: "given-up", commits });
  const open = (): WriterServer => {
    const database = openSoundly({ directory, margin, leftOut, clock: parts.clock, onSalvage, onGivenUp });
    try {
      return new WriterServer(port, data, { ...parts, lock, reserve, database });
    } catch (error) {
      database.close();
      noteStopped(directory);
      throw error;
    }
  };
  try {
    return open();
  } catch (error) {
    const { code, reason } = sqliteError(error);
    if (code !== "LOG_CORRUPT") throw error;
    noteSuspicion(directory, reason);
    return open();
  }
}
