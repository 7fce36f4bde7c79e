/**
 * The newest batches of each partition, as they were stored: consumers at the tail are served from here, by reference,
 * and never touch the disk. Bounded in bytes over all partitions; the oldest batch of the partition that was written
 * longest ago goes first.
 */
import type { Offset } from "../../shared/ids.ts";

type CachedBatch = { readonly baseOffset: Offset; readonly lastOffset: Offset; readonly bytes: Buffer };

export type TailRead = {
  readonly offset: Offset;
  readonly end: Offset;
  readonly bytesMax: number;
  readonly atLeastOne: boolean;
};

/** One partition's run of batches without a gap up to its log end. */
type Run = { batches: CachedBatch[]; /** Index of the first one that is still kept. */ first: number };

/** Dropped entries at the front of a run are cut off once they are this many. */
const CUT_AFTER = 256;

export class TailCache {
  readonly #bytesMax: number;
  /** By partition id, in the order of their last append: the first is the one to take from. */
  readonly #runs = new Map<number, Run>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(partitionId: number, baseOffset: Offset, lastOffset: Offset, bytes: Buffer): void {
    const run = this.#runs.get(partitionId) ?? { batches: [], first: 0 };
    const last = run.batches.at(-1);
    if (last !== undefined && last.lastOffset + 1 !== baseOffset) this.#clear(run);
    run.batches.push({ baseOffset, lastOffset, bytes });
    this.#bytes += bytes.length;
    this.#runs.delete(partitionId);
    this.#runs.set(partitionId, run);
    while (this.#bytes > this.#bytesMax) this.#evict();
  }

  /**
   * Batches from the one that contains `offset`, before `end`, which is where a batch begins; undefined when the cache
   * does not hold that one.
   */
  read(partitionId: number, { offset, end, bytesMax, atLeastOne }: TailRead): Buffer[] | undefined {
    const run = this.#runs.get(partitionId);
    const oldest = run?.batches[run.first];
    const newest = run?.batches.at(-1);
    if (run === undefined || oldest === undefined || newest === undefined) return undefined;
    if (offset < oldest.baseOffset || offset > newest.lastOffset) return undefined;
    const found: Buffer[] = [];
    let bytes = 0;
    for (let index = indexOf(run, offset); index < run.batches.length; index++) {
      const batch = run.batches[index] as CachedBatch;
      if (batch.baseOffset >= end) break;
      if (bytes + batch.bytes.length > bytesMax && !(bytes === 0 && atLeastOne)) break;
      found.push(batch.bytes);
      bytes += batch.bytes.length;
      if (bytes >= bytesMax) break;
    }
    return found;
  }

  /**
   * Drops batches that begin before `offset`: they were compacted. Who reads an old value from here and its successor from
   * the disk could otherwise miss the tombstone between them.
   */
  forgetBefore(partitionId: number, offset: Offset): void {
    const run = this.#runs.get(partitionId);
    if (run === undefined) return;
    const kept = run.batches.slice(run.first).filter(({ baseOffset }) => baseOffset >= offset);
    this.#clear(run);
    run.batches = kept;
    for (const { bytes } of kept) this.#bytes += bytes.length;
  }

  forget(partitionId: number): void {
    const run = this.#runs.get(partitionId);
    if (run === undefined) return;
    this.#clear(run);
    this.#runs.delete(partitionId);
  }

  #clear(run: Run): void {
    for (let i = run.first; i < run.batches.length; i++) this.#bytes -= (run.batches[i] as CachedBatch).bytes.length;
    run.batches = [];
    run.first = 0;
  }

  #evict(): void {
    for (const [partitionId, run] of this.#runs) {
      const oldest = run.batches[run.first];
      if (oldest === undefined) {
        this.#runs.delete(partitionId);
        continue;
      }
      this.#bytes -= oldest.bytes.length;
      run.first++;
      if (run.first >= CUT_AFTER || run.first === run.batches.length) {
        run.batches = run.batches.slice(run.first);
        run.first = 0;
      } else {
        // The dropped entry must not keep its bytes alive until the cut.
        run.batches[run.first - 1] = { ...oldest, bytes: EMPTY };
      }
      return;
    }
  }
}

const EMPTY = Buffer.alloc(0);

/** Index of the batch that contains `offset`, or of the next one. Binary search: batches are in order. */
function indexOf(run: Run, offset: Offset): number {
  let low = run.first;
  let high = run.batches.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((run.batches[middle] as CachedBatch).lastOffset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
