/**
 * The newest offset of each key, in memory of a fixed size: open addressing over slots of
 *
 *   [ 16 bytes: SHA-256 of the key, cut ][ 8 bytes: offset + 1, 0 = free ]
 *
 * Keys are known by their digest alone, as in Kafka's cleaner, so that long keys take no more room than short ones. Two
 * keys of one digest would lose a record; with SHA-256 nobody can make such a pair, by accident or on purpose.
 */
import { hash } from "node:crypto";
import type { Offset } from "../ids.ts";

const SLOT_BYTES = 24;
const DIGEST_WORDS = 4;
/** Beyond this the search for a free slot becomes long. */
const LOAD_MAX = 0.75;

export class OffsetMap {
  readonly #digests: Uint32Array;
  readonly #offsets: Float64Array;
  readonly #slotCount: number;
  readonly #keysMax: number;
  #size = 0;

  /** At least one key fits, whatever `bytesMax` is. */
  constructor(bytesMax: number) {
    this.#slotCount = Math.max(2, Math.floor(bytesMax / SLOT_BYTES));
    this.#keysMax = Math.max(1, Math.floor(this.#slotCount * LOAD_MAX));
    this.#digests = new Uint32Array(this.#slotCount * DIGEST_WORDS);
    this.#offsets = new Float64Array(this.#slotCount);
  }

  get size(): number {
    return this.#size;
  }

  /** Remembers `offset` as the key's newest. False, and nothing changed, when the key is new and the map is full. */
  put(key: Buffer, offset: Offset): boolean {
    const digest = digestOf(key);
    const slot = this.#find(digest);
    if (this.#offsets[slot] === 0) {
      if (this.#size >= this.#keysMax) return false;
      this.#digests.set(digest, slot * DIGEST_WORDS);
      this.#size++;
    }
    this.#offsets[slot] = offset + 1;
    return true;
  }

  /** The key's newest offset; undefined for a key that was never put. */
  get(key: Buffer): Offset | undefined {
    if (this.#size === 0) return undefined;
    const stored = this.#offsets[this.#find(digestOf(key))] as number;
    return stored === 0 ? undefined : stored - 1;
  }

  /** The slot that holds the digest, or the free one where it belongs. There is always a free one. */
  #find(digest: Uint32Array): number {
    let slot = (digest[0] as number) % this.#slotCount;
    while (this.#offsets[slot] !== 0 && !this.#isAt(slot * DIGEST_WORDS, digest)) {
      slot = slot + 1 === this.#slotCount ? 0 : slot + 1;
    }
    return slot;
  }

  #isAt(at: number, digest: Uint32Array): boolean {
    const digests = this.#digests;
    return (
      digests[at] === digest[0] &&
      digests[at + 1] === digest[1] &&
      digests[at + 2] === digest[2] &&
      digests[at + 3] === digest[3]
    );
  }
}

const words = new Uint32Array(DIGEST_WORDS);

/** Valid until the next call. */
function digestOf(key: Buffer): Uint32Array {
  const digest = hash("sha256", key, "buffer");
  for (let i = 0; i < DIGEST_WORDS; i++) words[i] = digest.readUInt32LE(i * 4);
  return words;
}
