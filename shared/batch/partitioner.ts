/**
 * Which partition a record goes to, as Kafka's default partitioner decides it, so that every Kafka client looks for a
 * key where the agent put it: `toPositive(murmur2(key)) % partitionCount`.
 *
 * The hash is Austin Appleby's MurmurHash2, 32 bits, over little-endian words with Kafka's seed.
 * Source: org.apache.kafka.common.utils.Utils.murmur2 and toPositive.
 */
import type { Partition } from "../ids.ts";

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;
const INT32_WITHOUT_SIGN = 0x7fffffff;

/** The hash as Java's signed int. */
export function murmur2(key: Uint8Array): number {
  const length = key.length;
  const tailAt = length & ~3;
  let hash = SEED ^ length;
  for (let at = 0; at < tailAt; at += 4) {
    let word = wordAt(key, at);
    word = Math.imul(word, M);
    word ^= word >>> R;
    word = Math.imul(word, M);
    hash = Math.imul(hash, M) ^ word;
  }
  if (tailAt < length) {
    for (let at = length - 1; at >= tailAt; at--) hash ^= (key[at] as number) << (8 * (at - tailAt));
    hash = Math.imul(hash, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

function wordAt(key: Uint8Array, at: number): number {
  return (
    (key[at] as number) |
    ((key[at + 1] as number) << 8) |
    ((key[at + 2] as number) << 16) |
    ((key[at + 3] as number) << 24)
  );
}

/** The hash without its sign: what is taken modulo the number of partitions. Clears the bit; it is not Math.abs. */
export function positiveHash(key: Uint8Array): number {
  return murmur2(key) & INT32_WITHOUT_SIGN;
}

/** `partitionCount` is at least 1. */
export function partitionForKey(key: Uint8Array, partitionCount: number): Partition {
  return positiveHash(key) % partitionCount;
}
