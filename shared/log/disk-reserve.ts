/**
 * Room on the disk that only freeing may use: a file beside the log that is removed when the disk is full. Deleting needs
 * room itself (the WAL takes the changed pages first, and a checkpoint may have to make the database longer before it can
 * make the WAL shorter), so a log that had filled its disk to the last byte could never free any of it.
 *
 *   held ──the disk is full──▶ released: the log only frees ──there is room for it again──▶ held
 *
 * The log takes data only while the reserve is held. The file is kept when the program ends, so it is written once.
 */
import { randomFillSync } from "node:crypto";
import { closeSync, openSync, rmSync, statSync, statfsSync, writeSync } from "node:fs";
import path from "node:path";
import { StreamError } from "../errors.ts";

const RESERVE_FILE_NAME = "log.reserve";
/** Unless the program says otherwise. */
export const RESERVE_BYTES = 16 * 1024 * 1024;
/** What must be free besides, or the log would be full again at once. */
const APPEND_ROOM_BYTES = 1024 * 1024;
/** What opening the log may need: the index of its WAL, and tables that a newer version adds. */
const OPENING_ROOM_BYTES = 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

export class DiskReserve {
  readonly #directory: string;
  readonly #file: string;
  readonly #bytes: number;
  readonly #freeBytes: () => number;
  #isHeld: boolean;

  constructor(directory: string, bytes: number, freeBytes: () => number = () => freeBytesOf(directory)) {
    this.#directory = directory;
    this.#file = path.join(this.#directory, RESERVE_FILE_NAME);
    this.#bytes = bytes;
    this.#freeBytes = freeBytes;
    this.#isHeld = statSync(this.#file, { throwIfNoEntry: false })?.size === bytes;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What the disk has left, the reserve not counted. */
  get freeBytes(): number {
    return this.#freeBytes();
  }

  /** Before the log is opened: a disk too full even for that gets the reserve's room. */
  makeWay(): void {
    if (this.#freeBytes() < OPENING_ROOM_BYTES) this.release();
  }

  release(): void {
    this.#isHeld = false;
    rmSync(this.#file, { force: true });
  }

  /** Whether the reserve is held afterwards. @throws StreamError LOG_IO. */
  restore(): boolean {
    if (this.#isHeld) return true;
    // What a kill has left of it, or of another size.
    this.release();
    if (this.#freeBytes() < this.#bytes + APPEND_ROOM_BYTES) return false;
    try {
      writeFile(this.#file, this.#bytes);
      this.#isHeld = true;
    } catch (error) {
      this.release();
      if (!isLackOfRoom(error)) throw new StreamError("LOG_IO", `${this.#file}: ${String(error)}`, { cause: error });
    }
    return this.#isHeld;
  }
}

/** Of random bytes, because a file system that compresses would keep no room for zeros. */
function writeFile(file: string, bytes: number): void {
  const chunk = randomFillSync(Buffer.alloc(Math.min(CHUNK_BYTES, bytes)));
  const handle = openSync(file, "w", 0o600);
  try {
    for (let at = 0; at < bytes;) at += writeSync(handle, chunk, 0, Math.min(chunk.length, bytes - at), at);
  } finally {
    closeSync(handle);
  }
}

function freeBytesOf(directory: string): number {
  const { blocks, bavail, bsize } = statfsSync(directory);
  // Some network file systems do not tell.
  return blocks === 0 ? Infinity : bavail * bsize;
}

function isLackOfRoom(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}
