/**
 * Keeps an eye on the disk: the log's database by the pages that are in use, and the file system by what is free.
 *
 *   cap = what may be kept of `log.bytesMax` (disk-budget.ts), and while less than `log.freeBytesMin` is free on the file
 *         system, no more than the file has grown to: its own freed pages are used again, the others' room is not touched
 *
 * The database is asked now and then, and sooner while the log grows fast; in between, its size moves by the bytes of the
 * batches in it.
 */
import { statfs } from "node:fs/promises";
import type { ExtensionCall, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { DiskBudget } from "./disk-budget.ts";
import type { LogSpace } from "./log-space.ts";
import { storedBytes } from "./log-space.ts";
import { SPACE_EXTENSION } from "./space-extension.ts";
import type { DatabaseSize, LimitArgs } from "./space-extension.ts";

const MEASURE_INTERVAL_MS = 1000;
/** The log has grown by so much since: what is free may have changed as much, and somebody else may be at it too. */
const MEASURE_GROWTH_BYTES = 2 * 1024 * 1024;

export type DiskUseOptions = {
  readonly log: Pick<PartitionedLog, "topics" | "call" | "query" | "onCommit">;
  readonly directory: string;
  readonly budget: Pick<DiskBudget, "databaseBytesMax" | "keptBytesMax">;
  /** What has to stay free on the file system for others. */
  readonly freeBytesMin: number;
  readonly logger: Logger;
  /** Free bytes of the file system; tests give their own. */
  readonly freeBytesOf?: (directory: string) => Promise<number>;
};

export class DiskUse implements LogSpace {
  readonly #options: DiskUseOptions;
  #size: DatabaseSize = { fileBytes: 0, usedBytes: 0 };
  /** Bytes in use beside those of the batches. */
  #overheadBytes = 0;
  #freeBytes = Infinity;
  #isLow = false;
  #measuredBytes = 0;
  #isMeasuring = false;
  #removeCommitListener: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: DiskUseOptions) {
    this.#options = options;
  }

  get usedBytes(): number {
    return storedBytes(this.#options.log) + this.#overheadBytes;
  }

  get capBytes(): number {
    const { budget, freeBytesMin } = this.#options;
    const growthBytes = Math.max(0, this.#freeBytes - freeBytesMin);
    return Math.min(budget.keptBytesMax, Math.max(this.#size.fileBytes, this.#size.usedBytes) + growthBytes);
  }

  get capBytesMax(): number {
    return this.#options.budget.keptBytesMax;
  }

  /** Of the log's database. */
  get fileBytes(): number {
    return this.#size.fileBytes;
  }

  /** Of the file system; null before it was asked. */
  get diskFreeBytes(): number | null {
    return Number.isFinite(this.#freeBytes) ? this.#freeBytes : null;
  }

  /** Resolves when the sizes are known. A log without room takes the limit later: it has one, or cannot grow. */
  async start(): Promise<void> {
    const args: LimitArgs = { bytesMax: this.#options.budget.databaseBytesMax };
    await this.#options.log.call([toCall("limit", args)], "os").catch((error: unknown) => {
      if (!toStreamError(error).retriable) throw error;
    });
    await this.#measure();
    this.#measureSoon();
    this.#removeCommitListener = this.#options.log.onCommit(() => this.#committed());
  }

  stop(): void {
    this.#isStopped = true;
    this.#removeCommitListener();
    clearTimeout(this.#timer);
  }

  #measureSoon(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      // A log that is closing says nothing more, and need not.
      void this.#measure().then(
        () => this.#measureSoon(),
        () => undefined,
      );
    }, MEASURE_INTERVAL_MS).unref();
  }

  #committed(): void {
    if (this.#isMeasuring || storedBytes(this.#options.log) - this.#measuredBytes < MEASURE_GROWTH_BYTES) return;
    this.#isMeasuring = true;
    void this.#measure()
      .catch(() => undefined)
      .finally(() => (this.#isMeasuring = false));
  }

  async #measure(): Promise<void> {
    const { log, directory, freeBytesOf = freeBytesOfDisk } = this.#options;
    const stored = storedBytes(log);
    this.#measuredBytes = stored;
    const [size, freeBytes] = await Promise.all([log.query(toCall("size", undefined)), freeBytesOf(directory)]);
    this.#size = size as DatabaseSize;
    this.#overheadBytes = Math.max(0, this.#size.usedBytes - stored);
    this.#freeBytes = freeBytes;
    this.#tell();
  }

  #tell(): void {
    const { freeBytesMin, logger } = this.#options;
    const isLow = this.#freeBytes < freeBytesMin;
    if (isLow === this.#isLow) return;
    this.#isLow = isLow;
    const fields = { freeBytes: this.#freeBytes, freeBytesMin, capBytes: this.capBytes };
    if (isLow) logger.warn(fields, "little is free on the disk (log.freeBytesMin): the log does not grow any more");
    else logger.info(fields, "enough is free on the disk again: the log may grow");
  }
}

async function freeBytesOfDisk(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

function toCall(method: string, args: unknown): ExtensionCall {
  return { extension: SPACE_EXTENSION, method, args };
}
