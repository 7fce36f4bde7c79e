/**
 * The blocks in which the memory of stored QoS 1 messages (duplicate-window.ts) outlives the process. What a commit adds
 * goes into the transaction of the records it speaks of, so after a crash the log holds both or neither.
 *
 *   oldest ◀── block ── block ── block ── … ── block ◀── row of the commit that is taken (duplicate-window-row.ts)
 *     └ freed in bunches, with the commit that keeps what they alone said; written over later
 *
 *   block   number:f64  sequence:f64  used:u16  resume:u16  bytes of rows …            BLOCK_BYTES in all, little endian
 *
 * `number` is the block's place in the order, `sequence` the last commit in it, `resume` where the first row of its own
 * begins: what is before it continues the block before. A row begins in the last block if it fits there.
 *
 * Free blocks are written over in any order, so what a start finds may have an old block before others that are gone.
 * Then the old one is not believed: the rows between say how many messages came after those in it. Hence only the last
 * blocks whose numbers follow each other count.
 *
 * All blocks have one size, a little below that of a page of the database, and are written over in place: a row of n
 * bytes costs n / PAYLOAD_BYTES pages, rounded up, and no page that only links them. While rows are small it is the same
 * page again and again.
 *
 * Bounds: BLOCKS_MIN, and BLOCKS_PER_CLIENT for the clients that are known, so that the last messages of each are among
 * them; and on top twice what is kept of silent clients, so that it is copied about once for as much that is new, and less often where it is little.
 */
import type { LogExtension } from "../../shared/log/extension.ts";
import type { ExtensionCall } from "../../shared/log/partitioned-log.ts";
import { RowWriter } from "./duplicate-window-row.ts";

const EXTENSION = "duplicates";
/** Few, because each checkpoint writes all those that have changed since the last once more. */
export const BLOCKS_MIN = 16;
const BLOCKS_PER_CLIENT = 0.25;
/** One block too many takes this share with it, so that freeing is rare. */
const FREED_SHARE = 1 / 4;
export const BLOCK_BYTES = 960;
const NUMBER_AT = 0;
const SEQUENCE_AT = 8;
const USED_AT = 16;
const RESUME_AT = 18;
const HEADER_BYTES = 20;
/** Made together, so that they lie side by side on the disk, which is written in larger pieces than our pages. */
export const GROUP_BLOCKS = 16;
export const PAYLOAD_BYTES = BLOCK_BYTES - HEADER_BYTES;

export type StoredBlock = { readonly slot: number; readonly bytes: Uint8Array };

/** For the agent's log worker. */
export const duplicateExtension: LogExtension = {
  name: EXTENSION,
  schema: "CREATE TABLE IF NOT EXISTS duplicate_block (slot INTEGER PRIMARY KEY, bytes BLOB NOT NULL);",
  // It would answer a message for stored that is among what was lost.
  leftOut: ["duplicate_block"],
  prepare: (database) => {
    const all = database.prepare<[], StoredBlock>("SELECT slot, bytes FROM duplicate_block");
    const update = database.prepare<[Uint8Array, number]>("UPDATE duplicate_block SET bytes = ? WHERE slot = ?");
    const insert = database.prepare<[number]>(
      `INSERT OR IGNORE INTO duplicate_block VALUES (?, zeroblob(${BLOCK_BYTES}))`,
    );
    const grow = (slot: number): void => {
      const first = slot - (slot % GROUP_BLOCKS);
      for (let index = 0; index < GROUP_BLOCKS; index++) insert.run(first + index);
    };
    return {
      all: (): StoredBlock[] => all.all(),
      put: (blocks: readonly StoredBlock[]): void => {
        for (const { slot, bytes } of blocks) {
          if (update.run(bytes, slot).changes > 0) continue;
          grow(slot);
          update.run(bytes, slot);
        }
      },
    };
  },
};

/** Asks for all blocks. */
export const allBlocksCall: ExtensionCall = { extension: EXTENSION, method: "all", args: undefined };

/** Rows of one commit or several, and the last of these. */
export type StoredRows = { readonly sequence: number; readonly bytes: Uint8Array };

type Block = { readonly slot: number; readonly number: number; sequence: number; readonly keptBytes: number };
/** A row on its way to the disk. */
type Taken = {
  readonly sequence: number;
  readonly added: readonly Block[];
  /** The row went into the last block, which was there before. */
  readonly isShared: boolean;
  /** The last block as the commit leaves it. */
  readonly tail: Buffer | undefined;
  readonly freedCount: number;
  readonly deleted: number;
};

/** Which blocks there are and which are on their way; by commit number, the highest of a commit that has several. */
export class DuplicateBlocks {
  /** Of commits that gather. */
  readonly #open = new Map<number, RowWriter>();
  readonly #freeWriters: RowWriter[] = [];
  readonly #unsettled = new Set<number>();
  readonly #taken = new Map<number, Taken>();
  readonly #blocks: Block[];
  readonly #freeSlots: number[];
  #nextSlot: number;
  #nextNumber: number;
  #keptBytes = 0;
  #isFreeing = false;
  /** The last block, while another row may go into it. */
  #tail: Buffer | undefined;
  #last: { readonly commit: number; readonly writer: RowWriter } | undefined;

  constructor(stored: readonly StoredBlock[]) {
    this.#blocks = inOrder(stored).map(({ slot, bytes }) => {
      return { slot, number: numberOf(bytes), sequence: bytes.readDoubleLE(SEQUENCE_AT), keptBytes: 0 };
    });
    const used = new Set(this.#blocks.map(({ slot }) => slot));
    this.#freeSlots = stored.map(({ slot }) => slot).filter((slot) => !used.has(slot));
    this.#nextSlot = 1 + stored.reduce((last, { slot }) => Math.max(last, slot), -1);
    this.#nextNumber = (this.#blocks.at(-1)?.number ?? 0) + 1;
  }

  /** In use; the disk may have some more that are free. */
  get blockCount(): number {
    return this.#blocks.length;
  }

  /** The row of a commit that gathers. */
  writer(commit: number): RowWriter {
    if (this.#last?.commit === commit) return this.#last.writer;
    let writer = this.#open.get(commit);
    if (writer === undefined) {
      writer = this.#freeWriters.pop() ?? new RowWriter();
      this.#open.set(commit, writer);
      this.#unsettled.add(commit);
    }
    this.#last = { commit, writer };
    return writer;
  }

  /** Whether messages of the commit are not on the disk yet. */
  readonly isUnsettled = (commit: number): boolean => this.#unsettled.has(commit);

  /**
   * The commit with these numbers leaves. `keep` writes what rows up to the given one alone say, because their blocks are
   * freed with it.
   */
  take(
    numbers: readonly number[],
    clientCount: number,
    keep: (row: RowWriter, deleted: number) => void,
  ): ExtensionCall | undefined {
    const sequence = Math.max(...numbers);
    const row = this.#join(numbers);
    const freedCount = this.#overdue(clientCount);
    const deleted = this.#blocks.slice(0, freedCount).reduce((last, block) => Math.max(last, block.sequence), 0);
    const ownBytes = row.length;
    if (freedCount > 0) keep(row, deleted);
    const keptBytes = row.length - ownBytes;
    const bytes = row.take();
    this.#freeWriters.push(row);
    if (bytes.length === 0 && freedCount === 0) return undefined;
    if (freedCount > 0) this.#isFreeing = true;
    const { taken, written } = this.#place(bytes, sequence, keptBytes);
    this.#taken.set(sequence, { ...taken, sequence, freedCount, deleted });
    return written.length === 0 ? undefined : { extension: EXTENSION, method: "put", args: written };
  }

  /** The commit has ended. Returns the last commit whose blocks were freed with it, 0 for none. */
  settle(numbers: readonly number[], isStored: boolean): number {
    for (const number of numbers) {
      this.#drop(number);
      this.#unsettled.delete(number);
    }
    const taken = this.#taken.get(Math.max(...numbers));
    if (taken === undefined) return 0;
    this.#taken.delete(taken.sequence);
    if (taken.freedCount > 0) this.#isFreeing = false;
    if (!isStored) {
      for (const { slot } of taken.added) this.#freeSlots.push(slot);
      if (taken.tail !== undefined) this.#tail = undefined;
      // A number left out would end the chain.
      if (this.#taken.size === 0) this.#nextNumber = (this.#blocks.at(-1)?.number ?? 0) + 1;
      return 0;
    }
    const last = this.#blocks.at(-1);
    if (taken.isShared && last !== undefined) last.sequence = taken.sequence;
    if (taken.tail !== undefined) this.#tail = taken.tail;
    this.#blocks.push(...taken.added);
    for (const { slot, keptBytes } of this.#blocks.splice(0, taken.freedCount)) {
      this.#freeSlots.push(slot);
      this.#keptBytes -= keptBytes;
    }
    for (const { keptBytes } of taken.added) this.#keptBytes += keptBytes;
    return taken.deleted;
  }

  /** Blocks to free so that the rest keeps the bound; 0 while it does, or while others are being freed. */
  #overdue(clientCount: number): number {
    const keptBlocks = Math.ceil(this.#keptBytes / PAYLOAD_BYTES);
    const blocksMax = BLOCKS_MIN + Math.ceil(clientCount * BLOCKS_PER_CLIENT) + 2 * keptBlocks;
    if (this.#isFreeing || this.#blocks.length <= blocksMax) return 0;
    return this.#blocks.length - Math.floor(blocksMax * (1 - FREED_SHARE));
  }

  /** Blocks for the row. */
  #place(
    row: Uint8Array,
    sequence: number,
    keptBytes: number,
  ): { taken: Pick<Taken, "added" | "isShared" | "tail">; written: readonly StoredBlock[] } {
    const last = this.#blocks.at(-1);
    const used = this.#tail?.readUInt16LE(USED_AT) ?? PAYLOAD_BYTES;
    // A commit on its way may fail; then its block must not go to the disk with another.
    const isShared = this.#taken.size === 0 && row.length > 0 && used + row.length <= PAYLOAD_BYTES;
    if (isShared && last !== undefined && this.#tail !== undefined) {
      const tail = emptyBlock();
      tail.set(this.#tail);
      tail.writeDoubleLE(sequence, SEQUENCE_AT);
      tail.writeUInt16LE(used + row.length, USED_AT);
      tail.set(row, HEADER_BYTES + used);
      return { taken: { added: [], isShared, tail }, written: [{ slot: last.slot, bytes: tail }] };
    }
    const added: Block[] = [];
    const written: StoredBlock[] = [];
    let tail: Buffer | undefined;
    for (let at = 0; at < row.length; at += PAYLOAD_BYTES) {
      const part = row.subarray(at, at + PAYLOAD_BYTES);
      const number = this.#nextNumber++;
      const slot = this.#freeSlots.pop() ?? this.#nextSlot++;
      tail = emptyBlock();
      tail.writeDoubleLE(number, NUMBER_AT);
      tail.writeDoubleLE(sequence, SEQUENCE_AT);
      tail.writeUInt16LE(part.length, USED_AT);
      tail.writeUInt16LE(at === 0 ? 0 : part.length, RESUME_AT);
      tail.set(part, HEADER_BYTES);
      added.push({ slot, number, sequence, keptBytes: at === 0 ? keptBytes : 0 });
      written.push({ slot, bytes: tail });
    }
    return { taken: { added, isShared: false, tail }, written };
  }

  #join(numbers: readonly number[]): RowWriter {
    const [first, ...others] = numbers;
    const row = this.writer(first as number);
    this.#open.delete(first as number);
    this.#last = undefined;
    for (const number of others) {
      const other = this.#open.get(number);
      if (other !== undefined) row.append(other);
      this.#drop(number);
    }
    return row;
  }

  /** A commit that ended without being taken leaves its row behind. */
  #drop(number: number): void {
    const writer = this.#open.get(number);
    if (writer === undefined) return;
    this.#open.delete(number);
    if (this.#last?.commit === number) this.#last = undefined;
    writer.reset();
    this.#freeWriters.push(writer);
  }
}

/** With memory of its own, because it is sent to the log's thread. */
function emptyBlock(): Buffer {
  return Buffer.from(new ArrayBuffer(BLOCK_BYTES));
}

/** What the blocks of the last run say, oldest first. What continues a block that is gone is left out. */
export function storedRows(stored: readonly StoredBlock[]): readonly StoredRows[] {
  const rows: { sequence: number; parts: Uint8Array[] }[] = [];
  for (const { bytes } of inOrder(stored)) {
    const resume = HEADER_BYTES + bytes.readUInt16LE(RESUME_AT);
    const end = HEADER_BYTES + bytes.readUInt16LE(USED_AT);
    rows.at(-1)?.parts.push(bytes.subarray(HEADER_BYTES, resume));
    if (resume === end) continue;
    rows.push({ sequence: bytes.readDoubleLE(SEQUENCE_AT), parts: [bytes.subarray(resume, end)] });
  }
  return rows.map(({ sequence, parts }) => ({ sequence, bytes: Buffer.concat(parts) }));
}

/** The chain that ends with the last block. Whatever is not a block of ours is left out. */
function inOrder(stored: readonly StoredBlock[]): readonly { readonly slot: number; readonly bytes: Buffer }[] {
  const blocks = stored
    .map(({ slot, bytes }) => ({ slot, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) }))
    .filter(({ bytes }) => {
      if (bytes.length !== BLOCK_BYTES) return false;
      const used = bytes.readUInt16LE(USED_AT);
      const counts = [numberOf(bytes), bytes.readDoubleLE(SEQUENCE_AT)];
      return used <= PAYLOAD_BYTES && bytes.readUInt16LE(RESUME_AT) <= used && counts.every(isCount);
    })
    .toSorted((a, b) => numberOf(a.bytes) - numberOf(b.bytes));
  const broken = blocks.findLastIndex(({ bytes }, at) => {
    const before = blocks[at - 1];
    return before !== undefined && numberOf(bytes) !== numberOf(before.bytes) + 1;
  });
  return blocks.slice(Math.max(0, broken));
}

function numberOf(block: Buffer): number {
  return block.readDoubleLE(NUMBER_AT);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}
