/**
 * Up to where the partitions may be shown to readers that remember what they have seen. It is behind the log end where
 * the last commits are not flushed yet (`os`): a power cut may take them, and other records may then get their offsets. And
 * where damage has taken the last batches, as long as nothing was written behind them.
 *
 *   0 ········ readable end ··············· log end
 *                           └ until the next flush
 *                           └ until the next batch
 */
import type { Offset } from "../ids.ts";

type Place = { readonly id: number; readonly logEndOffset: Offset };
/** Nothing is left from here to the partition's end. */
export type EndHole = { readonly partitionId: number; readonly from: Offset; readonly logEndOffset: Offset };

export class ReadableEnds {
  /** By partition; one that is not here is flushed to its end. */
  readonly #unflushed = new Map<number, Offset>();
  readonly #holes = new Map<number, EndHole>();

  /** As damage has left them when the log was opened. */
  addHoles(holes: readonly EndHole[]): void {
    for (const hole of holes) this.#holes.set(hole.partitionId, hole);
  }

  of({ id, logEndOffset }: Place): Offset {
    const end = this.#unflushed.get(id) ?? logEndOffset;
    const hole = this.#holes.get(id);
    return hole?.logEndOffset === end ? hole.from : end;
  }

  /** A commit without a flush is about to move the partition on from where it is. */
  leave({ id, logEndOffset }: Place): void {
    if (!this.#unflushed.has(id)) this.#unflushed.set(id, logEndOffset);
  }

  /** All that was committed until now is flushed. Returns the partitions for which that is news. */
  flushed(): number[] {
    const ids = [...this.#unflushed.keys()];
    this.#unflushed.clear();
    return ids;
  }
}
