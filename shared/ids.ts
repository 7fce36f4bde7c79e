/**
 * The scalars of the field, under their Kafka names. Plain aliases: 64-bit wire integers are JavaScript numbers wherever
 * the value stays below 2^53 (offsets, timestamps), because a bigint per record would cost more than the rest of the hot
 * path. Producer ids are random 63-bit numbers and therefore the one bigint (docs/adr/0003-numbers-not-bigints.md).
 */

/** Position of a record in its partition: 0-based, dense, never used twice. */
export type Offset = number;
/** Index of a partition in its topic, 0-based. */
export type Partition = number;
/** Milliseconds since the Unix epoch. */
export type Timestamp = number;
/** Identity of one installation that produces; -1n when a batch has none. */
export type ProducerId = bigint;
/** Number of a run of gap-free sequences of one producer, 0..32767; -1 when a batch has none. */
export type ProducerEpoch = number;
/** Count of records of one producer in one partition and epoch, wrapping from 2^31-1 to 0; -1 when a batch has none. */
export type Sequence = number;
/** Number of a consumer group's current assignment. */
export type Generation = number;

/** Sequences live in int32 without its sign: after 2147483647 comes 0 (KIP-98). */
const SEQUENCE_COUNT = 2 ** 31;

export function sequenceAfter(sequence: Sequence, count: number): Sequence {
  return (sequence + count) % SEQUENCE_COUNT;
}
