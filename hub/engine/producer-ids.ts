/**
 * Producer ids for Kafka clients.
 *
 *   [ block: 31 bits, random ][ count: 22 bits ]       53 bits, so that clients may keep them as any number
 *
 * Each start takes a block of its own by chance, and so gives none of the ids that it gave before a backup was restored,
 * though nothing of them is on the disk. Agents have 63 random bits.
 */
import { randomInt } from "node:crypto";
import type { ProducerId } from "../../shared/ids.ts";

const BLOCK_COUNT = 2 ** 31;
const IDS_PER_BLOCK = 2 ** 22;

export class ProducerIds {
  readonly #pick: (blockCount: number) => number;
  #block = 0;
  #used = IDS_PER_BLOCK;

  constructor(pick: (blockCount: number) => number = (blockCount) => randomInt(blockCount)) {
    this.#pick = pick;
  }

  next(): ProducerId {
    if (this.#used === IDS_PER_BLOCK) {
      this.#block = this.#pick(BLOCK_COUNT);
      this.#used = 0;
    }
    return BigInt(this.#block * IDS_PER_BLOCK + this.#used++);
  }
}
