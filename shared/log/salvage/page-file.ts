/**
 * The pages of a database as they stand after its last commit: the file, and over it what the WAL holds. Nothing of it is
 * taken on trust, and nothing is written.
 */
import { existsSync } from "node:fs";
import { FileBytes } from "./byte-source.ts";
import { readWal, walPageBytes } from "./wal-frames.ts";
import type { WalPages } from "./wal-frames.ts";

const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;
const HEADER_BYTES = 100;
const MAGIC = Buffer.from("SQLite format 3\0", "latin1");
/** One read of the disk; pages that lie side by side are mostly asked for one after another. */
const BLOCK_BYTES = 128 * 1024;
const BLOCKS_MAX = 64;
const NOTHING: WalPages = { places: new Map(), pageCount: undefined, commitsBehindBreak: 0 };

export type PageFileOptions = {
  /** Neither needs to be there. */
  readonly database: string;
  readonly wal: string;
  /** Where neither of them tells. */
  readonly pageBytes: number;
};

export class PageFile {
  readonly pageBytes: number;
  /** Of a page, less what the file's header sets apart at its end. */
  readonly usableBytes: number;
  readonly pageCount: number;
  readonly #database: FileBytes | undefined;
  readonly #wal: FileBytes | undefined;
  readonly #walPages: WalPages;
  /** The one used longest ago first. */
  readonly #blocks = new Map<number, Buffer | undefined>();

  constructor({ database, wal, pageBytes }: PageFileOptions) {
    this.#database = existsSync(database) ? new FileBytes(database) : undefined;
    this.#wal = existsSync(wal) ? new FileBytes(wal) : undefined;
    const header = this.#database?.read(0, HEADER_BYTES);
    const isSound = header?.subarray(0, MAGIC.length).equals(MAGIC) === true;
    const inWal = this.#wal === undefined ? undefined : walPageBytes(this.#wal);
    this.pageBytes = inWal ?? (isSound ? pageBytesOf(header) : undefined) ?? pageBytes;
    // We never set any apart.
    this.usableBytes = this.pageBytes;
    this.#walPages = this.#wal === undefined ? NOTHING : readWal(this.#wal, this.pageBytes);
    const inFile = Math.floor((this.#database?.bytes ?? 0) / this.pageBytes);
    this.pageCount = Math.max(inFile, this.#walPages.pageCount ?? 0);
  }

  get commitsBehindBreak(): number {
    return this.#walPages.commitsBehindBreak;
  }

  /** Page numbers count from 1. Undefined for a page that is not there or cannot be read. */
  page(number: number): Buffer | undefined {
    if (number < 1 || number > this.pageCount) return undefined;
    const inWal = this.#walPages.places.get(number);
    return inWal === undefined ? this.#inFile(number) : this.#wal?.read(inWal, this.pageBytes);
  }

  close(): void {
    this.#database?.close();
    this.#wal?.close();
  }

  #inFile(number: number): Buffer | undefined {
    const at = (number - 1) * this.pageBytes;
    const blockNumber = Math.floor(at / BLOCK_BYTES);
    const block = this.#block(blockNumber);
    // At the end of the file, or around a bad block: by itself.
    if (block === undefined) return this.#database?.read(at, this.pageBytes);
    const within = at - blockNumber * BLOCK_BYTES;
    return block.subarray(within, within + this.pageBytes);
  }

  #block(number: number): Buffer | undefined {
    const has = this.#blocks.has(number);
    const block = has ? this.#blocks.get(number) : this.#database?.read(number * BLOCK_BYTES, BLOCK_BYTES);
    if (has) this.#blocks.delete(number);
    this.#blocks.set(number, block);
    if (this.#blocks.size > BLOCKS_MAX) {
      const [oldest] = this.#blocks.keys();
      if (oldest !== undefined) this.#blocks.delete(oldest);
    }
    return block;
  }
}

function pageBytesOf(header: Buffer): number | undefined {
  const stored = header.readUInt16BE(16);
  const bytes = stored === 1 ? PAGE_BYTES_MAX : stored;
  const isPowerOfTwo = (bytes & (bytes - 1)) === 0;
  return bytes >= PAGE_BYTES_MIN && isPowerOfTwo ? bytes : undefined;
}
