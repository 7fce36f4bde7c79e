/** One file of the model: what of it is surely on the disk, and what only the memory of the operating system has. */
import type { Random } from "../../../bin/demo/random.ts";

export type Change =
  | { readonly at: number; readonly type: "write"; readonly offset: number; readonly data: Buffer }
  | { readonly at: number; readonly type: "truncate"; readonly size: number };

/** What becomes of changes that were not flushed. */
export type Fate = "dropped" | "kept" | "prefix" | "subset" | "torn" | "garbage";

const SECTOR_BYTES = 512;
/** How much of what is lost a cut fills with garbage. */
const GARBAGE_SHARE = 0.5;

export class DiskFile {
  /** Where it was made, so that a flush of it can tell whether its name goes to the disk too. */
  readonly madeAt: number;
  #bytes: Buffer;
  #size: number;
  #pending: Change[] = [];

  constructor(madeAt: number, content: Buffer = Buffer.alloc(0)) {
    this.madeAt = madeAt;
    this.#bytes = content;
    this.#size = content.length;
  }

  change(change: Change): void {
    this.#pending.push(change);
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  get lastWrite(): { readonly offset: number; readonly data: Buffer } | undefined {
    return this.#pending.findLast((change) => change.type === "write");
  }

  /** What was changed before `begun` is on the disk. Returns whether the file's size was part of it. */
  flush(begun: number): boolean {
    const sizeBefore = this.#size;
    let hasTruncated = false;
    let count = 0;
    for (const change of this.#pending) {
      if (change.at >= begun) break;
      this.#apply(change);
      hasTruncated ||= change.type === "truncate";
      count++;
    }
    this.#pending = this.#pending.slice(count);
    return hasTruncated || this.#size !== sizeBefore;
  }

  /** The content after a cut. */
  after(fate: Fate, random: Random): Buffer {
    const cut = new DiskFile(this.madeAt, Buffer.from(this.#bytes.subarray(0, this.#size)));
    const keptShare = random.next();
    const prefix = fate === "prefix" ? Math.floor(random.next() * (this.#pending.length + 1)) : this.#pending.length;
    for (const change of this.#pending.slice(0, prefix)) {
      if (fate === "dropped") break;
      if (fate === "kept" || fate === "prefix") cut.#apply(change);
      else if (change.type === "truncate" || fate === "subset") {
        if (random.next() < keptShare) cut.#apply(change);
      } else cut.#tear(change, random, { keptShare, hasGarbage: fate === "garbage" });
    }
    return Buffer.from(cut.#bytes.subarray(0, cut.#size));
  }

  /** By sectors of the disk. Garbage stays within what was being written: disks keep their hands off what is beside it. */
  #tear(
    { at, offset, data }: Extract<Change, { type: "write" }>,
    random: Random,
    { keptShare, hasGarbage }: { keptShare: number; hasGarbage: boolean },
  ): void {
    for (let from = 0; from < data.length;) {
      const to = Math.min(data.length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES));
      const part = { at, type: "write", offset: offset + from } as const;
      if (random.next() < keptShare) this.#apply({ ...part, data: data.subarray(from, to) });
      else if (hasGarbage && random.next() < GARBAGE_SHARE) this.#apply({ ...part, data: noise(to - from, random) });
      from = to;
    }
  }

  #apply(change: Change): void {
    if (change.type === "write") {
      const end = change.offset + change.data.length;
      this.#reach(Math.max(end, this.#size));
      change.data.copy(this.#bytes, change.offset);
      return;
    }
    if (change.size < this.#size) this.#bytes.fill(0, change.size, this.#size);
    this.#reach(change.size);
  }

  #reach(size: number): void {
    if (size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(size, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    this.#size = size;
  }
}

export function noise(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random.next() * 256)));
}
